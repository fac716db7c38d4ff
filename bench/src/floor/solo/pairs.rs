//! A connection with both ends in one thread: level-triggered epoll, and nothing queued.

use crate::Result;
use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address};
use crate::subjects::solo::{PING, PUMPED, check, measure};
use rustix::fd::OwnedFd;
use rustix::net::{SocketFlags, accept_with};
use std::{env, fs, process};

/// The keys of the two ends.
const CLIENT: u64 = 0;
const SERVER: u64 = 1;

/// Bytes asked for by one receive.
const READ_BUFFER: usize = 64 * 1024;

struct Pair {
    client: OwnedFd,
    server: OwnedFd,
    poller: Poller,
    buffer: Vec<u8>,
}

impl Pair {
    fn new(address: &Address) -> Result<Self> {
        let (listener, address) = sockets::listen(address)?;
        let client = sockets::connect(&address, None)?;
        let mut poller = Poller::new()?;
        // The connection is ready to be accepted, whether or not the client has learnt of it.
        poller.add(&listener, SERVER, EventFlags::IN)?;
        poller.wait(None)?;
        let server = accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
        let poller = Poller::new()?;
        poller.add(&client, CLIENT, EventFlags::IN)?;
        poller.add(&server, SERVER, EventFlags::IN)?;
        Ok(Self { client, server, poller, buffer: vec![0; READ_BUFFER] })
    }

    /// The server's input, until there is none: so many bytes.
    fn drain(&mut self) -> Result<u64> {
        let mut drained = 0;
        while let Some(count) = sockets::recv(&self.server, &mut self.buffer)? {
            if count == 0 {
                return Err("the client has closed".into());
            }
            drained += count as u64;
            if count < READ_BUFFER {
                break;
            }
        }
        Ok(drained)
    }
}

/// One operation is a ping that comes back.
pub(crate) fn ping_pongs(ops: u64) -> Result<()> {
    let mut pair = Pair::new(&Address::ANY_PORT)?;
    measure(ops, |count| {
        let mut came = 0;
        sockets::send(&pair.client, PING)?;
        while came < count {
            for index in 0..pair.poller.wait(None)? {
                if pair.poller.event(index).0 == SERVER {
                    let count = sockets::recv(&pair.server, &mut pair.buffer)?.unwrap_or(0);
                    sockets::send(&pair.server, &pair.buffer[..count])?;
                    continue;
                }
                check(sockets::recv(&pair.client, &mut pair.buffer)?.unwrap_or(0) as u64, PING.len() as u64)?;
                came += 1;
                if came < count {
                    sockets::send(&pair.client, PING)?;
                }
            }
        }
        check(came, count)
    })
}

/// One operation is a buffer that is written, while the other end reads.
pub(crate) fn tcp_pump(ops: u64) -> Result<()> {
    pump(ops, &Address::ANY_PORT)
}

/// The same over a Unix socket.
pub(crate) fn pipe_pump(ops: u64) -> Result<()> {
    let path = env::temp_dir().join(format!("upcall-floor-pump-{}", process::id()));
    pump(ops, &Address::Unix(path.clone()))?;
    Ok(fs::remove_file(path)?)
}

fn pump(ops: u64, address: &Address) -> Result<()> {
    let mut pair = Pair::new(address)?;
    measure(ops, |count| {
        let (mut left, mut unsent) = (count, 0);
        let mut unread = count * PUMPED.len() as u64;
        while unread > 0 {
            while left > 0 {
                let Some(sent) = sockets::send(&pair.client, &PUMPED[unsent..])? else { break };
                unsent = (unsent + sent) % PUMPED.len();
                left -= u64::from(unsent == 0);
            }
            pair.poller.wait(None)?;
            unread -= pair.drain()?;
        }
        check(count - left, count)
    })
}
