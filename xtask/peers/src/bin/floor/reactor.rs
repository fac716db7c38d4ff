//! The level-triggered event loop: connections come from a source, an answer is made from the bytes of each
//! receive.

use std::io;
use std::net::SocketAddr;

use peers::poller::{EventFlags, Poller};
use peers::sockets::{self, Transfer};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

/// New connections taken per event, so that a flood of them does not starve those that wait for an answer.
pub(crate) const TAKEN_PER_EVENT: usize = 64;

/// Bytes asked for by one receive.
const READ_BUFFER: usize = 64 * 1024;

/// The source's key; connections use their descriptor's number.
const SOURCE: u64 = u64::MAX;

/// Where new connections come from.
pub(crate) trait Source: AsFd {
    /// The next connection, `None` if there is none now.
    fn next(&self) -> io::Result<Option<OwnedFd>>;
}

/// What is done with received bytes.
pub(crate) trait Answer {
    /// Answers `bytes`; never called with none.
    fn answer(&self, connection: &mut Connection, bytes: &[u8]) -> io::Result<Next>;
}

/// What follows an answer.
pub(crate) enum Next {
    Keep,
    Close,
}

/// One connection: eight bytes, which is all that an idle one costs in user memory.
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    /// Bytes of a head's terminator that ended the last receive.
    pub(crate) carry: u8,
    /// Whether a request was answered already.
    pub(crate) answered: bool,
}

/// A listening socket as a source.
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Listens and says so on standard output.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let (listener, real) = sockets::listen(addr)?;
        println!("listening on {real}");
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

struct Reactor<'a, A> {
    poller: Poller,
    /// Indexed by descriptor.
    connections: Vec<Option<Connection>>,
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
            self.connections[slot] = Some(Connection { socket, carry: 0, answered: false });
        }
        Ok(())
    }

    /// One receive, one answer. Dropping the connection closes it, which also takes it out of the poller.
    fn read(&mut self, slot: usize) {
        let Some(Some(connection)) = self.connections.get_mut(slot) else { return };
        let next = match sockets::recv(&connection.socket, &mut self.buffer) {
            Ok(Transfer::Bytes(0)) => Ok(Next::Close),
            Ok(Transfer::Bytes(count)) => self.answer.answer(connection, &self.buffer[..count]),
            Ok(Transfer::NotReady) => Ok(Next::Keep),
            Err(error) => Err(error),
        };
        // An error is the end of this connection only; the load counts it.
        if !matches!(next, Ok(Next::Keep)) {
            self.connections[slot] = None;
        }
    }
}
