//! The level-triggered event loop: connections come from a source, an answer is made from the bytes of each
//! receive.

use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use std::io;
use upcall::say;

/// New connections taken per event, so that a flood of them does not starve those that wait for an answer.
pub(crate) const TAKEN_PER_EVENT: usize = 64;

/// Bytes asked for by one receive.
const READ_BUFFER: usize = 64 * 1024;

/// Receives per event while each of them is full: more is there then, without another look.
const READS_PER_EVENT: usize = 16;

/// The source's key; connections use their descriptor's number.
const SOURCE: u64 = u64::MAX;

pub(crate) trait Source: AsFd {
    /// The next connection, `None` if there is none now.
    fn next(&self) -> io::Result<Option<OwnedFd>>;
}

pub(crate) trait Answer {
    /// What is kept for each connection: all that an idle one costs in user memory beside its descriptor.
    type State: Default;

    /// Answers `bytes`; never called with none.
    fn answer(&self, socket: BorrowedFd<'_>, state: &mut Self::State, bytes: &[u8]) -> io::Result<Next>;
}

pub(crate) enum Next {
    Keep,
    Close,
}

struct Connection<S> {
    socket: OwnedFd,
    state: S,
}

/// A listening socket as a source.
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Listens, and prints the address on standard output.
    pub(crate) fn open(address: &Address) -> io::Result<Self> {
        let (listener, real) = sockets::listen(address)?;
        say::out(real);
        Ok(Self(listener))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Source for Listener {
    fn next(&self) -> io::Result<Option<OwnedFd>> {
        match accept_with(&self.0, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => Ok(Some(socket)),
            // The client gave up before it was accepted: nothing to serve, the next event brings the next
            // one.
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

struct Reactor<'a, A: Answer> {
    poller: Poller,
    /// Indexed by descriptor.
    connections: Vec<Option<Connection<A::State>>>,
    buffer: Vec<u8>,
    answer: &'a A,
}

/// Serves the connections of `source` until it fails.
pub(crate) fn serve(source: &impl Source, answer: &impl Answer) -> io::Result<()> {
    let mut reactor =
        Reactor { poller: Poller::new()?, connections: Vec::new(), buffer: vec![0; READ_BUFFER], answer };
    reactor.poller.add(source, SOURCE, EventFlags::IN)?;
    loop {
        for index in 0..reactor.poller.wait(None)? {
            match reactor.poller.event(index).0 {
                SOURCE => reactor.take_new(source)?,
                key => reactor.read(key as usize),
            }
        }
    }
}

impl<A: Answer> Reactor<'_, A> {
    fn take_new(&mut self, source: &impl Source) -> io::Result<()> {
        for _ in 0..TAKEN_PER_EVENT {
            let Some(socket) = source.next()? else { break };
            let slot = socket.as_raw_fd() as usize;
            self.poller.add(&socket, slot as u64, EventFlags::IN)?;
            if slot >= self.connections.len() {
                self.connections.resize_with(slot + 1, || None);
            }
            self.connections[slot] = Some(Connection { socket, state: A::State::default() });
        }
        Ok(())
    }

    /// One receive, one answer. Dropping the connection closes it, which also takes it out of the poller.
    fn read(&mut self, slot: usize) {
        let Some(Some(connection)) = self.connections.get_mut(slot) else { return };
        let socket = connection.socket.as_fd();
        for _ in 0..READS_PER_EVENT {
            let (next, is_full) = match sockets::recv(socket, &mut self.buffer) {
                Ok(Some(0)) => (Ok(Next::Close), false),
                Ok(Some(count)) => {
                    let bytes = &self.buffer[..count];
                    (self.answer.answer(socket, &mut connection.state, bytes), count == READ_BUFFER)
                }
                Ok(None) => (Ok(Next::Keep), false),
                Err(error) => (Err(error), false),
            };
            // An error is the end of this connection only; the load counts it.
            if !matches!(next, Ok(Next::Keep)) {
                self.connections[slot] = None;
                return;
            }
            if !is_full {
                return;
            }
        }
    }
}
