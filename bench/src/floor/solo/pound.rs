//! Connections that are made, used once and closed, a hundred at a time, with both ends in one thread.

use crate::Result;
use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address};
use crate::subjects::solo::{PING, POUNDERS, check, measure};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, accept_with, shutdown};

/// The listener's key; connections use their descriptor's number.
const LISTENER: u64 = u64::MAX;

/// An end of a connection.
enum End {
    /// A client that is about to write.
    Connecting(OwnedFd),
    /// A client that waits for its answer, and then for the end.
    Waiting(OwnedFd),
    Serving(OwnedFd),
}

struct Pound {
    listener: OwnedFd,
    address: Address,
    poller: Poller,
    /// Indexed by descriptor.
    ends: Vec<Option<End>>,
    to_start: u64,
    ended: u64,
}

/// One operation is a connection: its client writes, reads the answer and the end, and closes.
pub(crate) fn tcp4(ops: u64) -> Result<()> {
    let (listener, address) = sockets::listen(&Address::ANY_PORT)?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER, EventFlags::IN)?;
    let mut pound = Pound { listener, address, poller, ends: Vec::new(), to_start: 0, ended: 0 };
    measure(ops, |count| {
        (pound.to_start, pound.ended) = (count, 0);
        (0..POUNDERS).try_for_each(|_| pound.start_one())?;
        while pound.ended < count {
            for index in 0..pound.poller.wait(None)? {
                match pound.poller.event(index).0 {
                    LISTENER => pound.accept()?,
                    key => pound.go_on(key as usize)?,
                }
            }
        }
        check(pound.ended, count)
    })
}

impl Pound {
    fn start_one(&mut self) -> Result<()> {
        if self.to_start > 0 {
            self.to_start -= 1;
            let client = sockets::connect(&self.address, None)?;
            self.poller.add(&client, client.as_raw_fd() as u64, EventFlags::OUT)?;
            self.keep(End::Connecting(client));
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(server) => {
                self.poller.add(&server, server.as_raw_fd() as u64, EventFlags::IN)?;
                self.keep(End::Serving(server));
                Ok(())
            }
            Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn keep(&mut self, end: End) {
        let (End::Connecting(fd) | End::Waiting(fd) | End::Serving(fd)) = &end;
        let slot = fd.as_raw_fd() as usize;
        if slot >= self.ends.len() {
            self.ends.resize_with(slot + 1, || None);
        }
        self.ends[slot] = Some(end);
    }

    /// What an end does when it is ready. It is closed unless it is kept.
    fn go_on(&mut self, slot: usize) -> Result<()> {
        let mut buffer = [0; PING.len()];
        match self.ends[slot].take() {
            Some(End::Connecting(client)) => {
                sockets::send(&client, PING)?;
                self.poller.modify(&client, slot as u64, EventFlags::IN)?;
                self.keep(End::Waiting(client));
            }
            Some(End::Waiting(client)) => match sockets::recv(&client, &mut buffer)? {
                Some(0) => {
                    drop(client);
                    self.ended += 1;
                    self.start_one()?;
                }
                _ => self.keep(End::Waiting(client)),
            },
            Some(End::Serving(server)) => match sockets::recv(&server, &mut buffer)? {
                Some(0) => {}
                Some(count) => {
                    sockets::send(&server, &buffer[..count])?;
                    shutdown(&server, Shutdown::Write)?;
                    self.keep(End::Serving(server));
                }
                None => self.keep(End::Serving(server)),
            },
            None => {}
        }
        Ok(())
    }
}
