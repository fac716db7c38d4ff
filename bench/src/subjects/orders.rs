//! What a client holds open: as many connections as each line of standard input says.
//!
//! A client keeps its connections to itself, and makes another one only while all others are in use. So each batch of them is
//! for another address of this machine: the requests of a batch are under way together, and those of all batches never are,
//! whose memory would be taken for that of idle connections.

use super::turns::READY;
use crate::Result;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use upcall::say;

/// Connections of a batch. Node keeps 256 for each address.
const BATCH: usize = 100;

/// So many requests, at once, to an address of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) to: SocketAddr,
    pub(crate) count: usize,
}

/// The batches. A client that takes the next batch holds all before it; when it holds as many as wanted, that is printed.
#[derive(Debug)]
pub(crate) struct Orders {
    port: u16,
    batches: u16,
    held: usize,
    wanted: usize,
}

impl Orders {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, batches: 0, held: 0, wanted: 0 }
    }

    /// The next line. `None` is the end.
    fn read(&mut self) -> Result<Option<()>> {
        if self.wanted > 0 {
            say::out(READY);
        }
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Ok(None);
        }
        self.wanted = line.trim().parse()?;
        if self.wanted <= self.held {
            return Err(format!("{} connections are held already", self.held).into());
        }
        Ok(Some(()))
    }
}

impl Iterator for Orders {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        if self.held == self.wanted
            && let Err(error) = self.read().transpose()?
        {
            return Some(Err(error));
        }
        let count = BATCH.min(self.wanted - self.held);
        self.held += count;
        let [high, low] = self.batches.to_be_bytes();
        self.batches += 1;
        // None of these addresses is the network's own or its broadcast.
        let to = SocketAddr::from((Ipv4Addr::new(127, 1, high, low), self.port));
        Some(Ok(Batch { to, count }))
    }
}
