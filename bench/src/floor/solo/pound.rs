//! Connections that are made, used once or not at all, and closed.

use crate::Result;
use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address};
use crate::subjects::solo::{ACCEPTED, ACCEPTORS, PING, POUNDERS, check, measure};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketFlags, accept_with, shutdown};
use std::{io, thread};

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
    /// If the server's ends are of this thread as well.
    listener: Option<OwnedFd>,
    address: Address,
    /// What a client sends, if anything.
    greeting: &'static [u8],
    poller: Poller,
    /// Indexed by descriptor.
    ends: Vec<Option<End>>,
    to_start: u64,
    ended: u64,
}

/// One operation is a connection: its client writes, reads the answer and the end, and closes.
pub(crate) fn tcp4(ops: u64) -> Result<()> {
    let (listener, address) = sockets::listen(&Address::ANY_PORT)?;
    let mut pound = Pound::new(address, PING)?;
    pound.poller.add(&listener, LISTENER, EventFlags::IN)?;
    pound.listener = Some(listener);
    measure(ops, |count| pound.run(POUNDERS, count))
}

/// One operation is a connection that one of two threads accepts and closes: they share the listener.
pub(crate) fn multi_accept(ops: u64) -> Result<()> {
    let (listener, address) = sockets::listen(&Address::ANY_PORT)?;
    for _ in 0..ACCEPTORS {
        let listener = listener.try_clone()?;
        // They end with the process. The main thread misses the connections of a thread that fails.
        thread::spawn(move || -> io::Result<()> {
            let mut poller = Poller::new()?;
            poller.add(&listener, LISTENER, EventFlags::IN)?;
            loop {
                poller.wait(None)?;
                // The other thread may have been faster.
                match accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                    Ok(_) | Err(Errno::AGAIN) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        });
    }
    let mut pound = Pound::new(address, b"")?;
    measure(ops, |count| pound.run(ACCEPTED, count))
}

impl Pound {
    fn new(address: Address, greeting: &'static [u8]) -> Result<Self> {
        let poller = Poller::new()?;
        Ok(Self { listener: None, address, greeting, poller, ends: Vec::new(), to_start: 0, ended: 0 })
    }

    /// Makes `count` connections, so many at a time.
    fn run(&mut self, at_a_time: u64, count: u64) -> Result<()> {
        (self.to_start, self.ended) = (count, 0);
        (0..at_a_time).try_for_each(|_| self.start_one())?;
        while self.ended < count {
            for index in 0..self.poller.wait(None)? {
                match self.poller.event(index).0 {
                    LISTENER => self.accept()?,
                    key => self.go_on(key as usize)?,
                }
            }
        }
        check(self.ended, count)
    }

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
        let Some(listener) = &self.listener else { return Ok(()) };
        match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
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
                if !self.greeting.is_empty() {
                    sockets::send(&client, self.greeting)?;
                }
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
