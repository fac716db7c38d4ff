//! Datagrams from one thread to itself, each sent and received by a system call of its own.

use crate::Result;
use crate::poller::{EventFlags, Poller};
use crate::subjects::solo::{DATAGRAM, check, measure};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const PING: &[u8] = b"PING";

/// Bytes that a datagram may have.
const LARGEST: usize = 64 * 1024;

/// The keys of the two ends.
const CLIENT: u64 = 0;
const SERVER: u64 = 1;

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One operation is a datagram that comes back.
pub(crate) fn ping(ops: u64) -> Result<()> {
    let (client, server, mut poller) = (socket()?, socket()?, Poller::new()?);
    poller.add(&client, CLIENT, EventFlags::IN)?;
    poller.add(&server, SERVER, EventFlags::IN)?;
    let (to, mut buffer) = (server.local_addr()?, vec![0; LARGEST]);
    measure(ops, |count| {
        let mut came = 0;
        client.send_to(PING, to)?;
        while came < count {
            for index in 0..poller.wait(None)? {
                if poller.event(index).0 == SERVER {
                    let (length, from) = server.recv_from(&mut buffer)?;
                    server.send_to(&buffer[..length], from)?;
                    continue;
                }
                client.recv_from(&mut buffer)?;
                came += 1;
                if came < count {
                    client.send_to(PING, to)?;
                }
            }
        }
        check(came, count)
    })
}

/// One operation is a datagram from the one sender to the one receiver.
pub(crate) fn pummel_1v1(ops: u64) -> Result<()> {
    pummel(ops, 1)
}

/// One operation is a datagram from one of ten senders, each to a receiver of its own.
pub(crate) fn pummel_10v10(ops: u64) -> Result<()> {
    pummel(ops, 10)
}

fn pummel(ops: u64, pairs: u64) -> Result<()> {
    let mut poller = Poller::new()?;
    let mut ends = Vec::new();
    for index in 0..pairs {
        let (sender, receiver) = (socket()?, socket()?);
        poller.add(&receiver, index, EventFlags::IN)?;
        ends.push((sender, receiver.local_addr()?, receiver));
    }
    let (datagram, mut buffer) = (DATAGRAM.concat(), vec![0; LARGEST]);
    measure(ops, |count| {
        let mut sent = 0;
        while sent < count {
            for (sender, to, _) in &ends {
                if sent < count {
                    sender.send_to(&datagram, to)?;
                    sent += 1;
                }
            }
            for index in 0..poller.wait(Some(Duration::ZERO))? {
                ends[poller.event(index).0 as usize].2.recv_from(&mut buffer)?;
            }
        }
        check(sent, count)
    })
}
