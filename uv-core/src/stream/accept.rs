//! Listening and accepting. Mirrors `uv_listen`, `uv__server_io`, `uv_accept` and the EMFILE trick.

use super::{BOUND, IPC, READABLE, SOCKET, Stream, StreamNode, WRITABLE};
use crate::failure::{Call, Failure};
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::poller::Readiness;
use crate::sys;
use crate::upcall::AcceptUpcall;
use crate::{Errno, Error, LAYER, Result};
use std::cell::Cell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Connections shed in one turn when the process has no descriptors left; more are shed in the next one.
const SHED_PER_TURN: u32 = 1024;

/// So many connections in one turn have waited for it, and their first bytes have probably come meanwhile: to read at
/// once then saves a registration for most of them. Fewer are taken the moment they stand, when to read finds nothing.
const CROWD: u32 = 4;

/// Connections that failed before they were accepted, per turn; more in the next one.
const ABORTED_PER_TURN: u32 = 64;

/// What a listening stream has beside what all streams have.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) upcall: HandlerCell<Box<dyn AcceptUpcall>>,
    /// A connection that waits to be taken by `accept`.
    accepted: Cell<Option<OwnedFd>>,
    /// It stands still until that is taken.
    is_held: Cell<bool>,
    /// Connections come faster than its turns.
    is_crowded: Cell<bool>,
    /// The number of the trouble that it has told of.
    told: Cell<u32>,
    /// Whether it listens: before `listen` it only knows its batch, and it stops at close.
    is_listening: Cell<bool>,
    /// Connections per turn; 0 stands for one.
    batch: Cell<u32>,
}

impl Listener {
    /// The first half of a close. A connection that nobody took is closed.
    pub(super) fn stop(&self) {
        self.is_listening.set(false);
        drop(self.accepted.take());
    }

    fn is_holding(&self) -> bool {
        let accepted = self.accepted.take();
        let is_holding = accepted.is_some();
        self.accepted.set(accepted);
        is_holding
    }

    /// Remembers for the next turn whether this one found as many connections as make a crowd, or as it was to take.
    fn note_crowd(&self, taken: u32, batch: u32) {
        self.is_crowded.set(taken >= CROWD.min(batch));
    }
}

impl StreamNode {
    /// The listener, if this stream listens.
    #[inline]
    pub(super) fn listening(&self) -> Option<&Listener> {
        self.listener.get().map(|listener| &**listener).filter(|listener| listener.is_listening.get())
    }

    fn listener(&self) -> &Listener {
        self.listener.get_or_init(Box::default)
    }

    pub(super) fn listen(self: &Rc<Self>, backlog: u32, upcall: Box<dyn AcceptUpcall>) -> Result<()> {
        let failed = |errno| self.error("listen", errno);
        if self.handle.is_closing() || self.has(READABLE | WRITABLE) {
            return Err(failed(Errno::EINVAL));
        }
        if let Some(errno) = self.delayed_error() {
            return Err(failed(errno));
        }
        let fd = self.fd.get().ok_or_else(|| failed(Errno::EINVAL))?;
        self.make_nonblocking(fd).map_err(failed)?;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        sys::socket::listen(fd, backlog).map_err(failed)?;
        self.watch().map_err(failed)?;
        self.listener().upcall.set(upcall);
        self.listener().is_listening.set(true);
        self.set(BOUND);
        self.update_active();
        Ok(())
    }

    pub(super) fn set_accept_batch(&self, connections: u32) {
        self.listener().batch.set(connections);
    }

    /// The name to which it was bound may leave the port to the kernel.
    fn accept_error(&self, errno: Errno) -> Error {
        let address = self.fd.get().and_then(|fd| sys::socket::local_addr(fd).ok()?.as_inet());
        match address {
            Some(address) => Error::new("accept", errno).on(address),
            None => self.error("accept", errno),
        }
    }

    /// A stream like this one, connected by the connection that waits.
    pub(super) fn accept(self: &Rc<Self>) -> Result<Stream> {
        let fd = self.accept_fd()?;
        let stream = Stream::create(self.event_loop(), self.handle.kind(), SOCKET | IPC.when(self.has(IPC)));
        if self.listener().is_crowded.get() {
            stream.0.open(fd, READABLE | WRITABLE);
        } else {
            stream.0.open_fresh(fd, READABLE | WRITABLE);
        }
        Ok(stream)
    }

    /// The next connection, announced or not.
    pub(super) fn try_accept_fd(&self) -> Result<OwnedFd> {
        if let Some(held) = self.listener.get().and_then(|listener| listener.accepted.take()) {
            return Ok(held);
        }
        let failed = |errno| Error::new("accept", errno);
        let fd = self.fd.get().filter(|_| self.listening().is_some()).ok_or_else(|| failed(Errno::EINVAL))?;
        let mut refused = Errno::ECONNABORTED;
        for _ in 0..ABORTED_PER_TURN {
            match sys::socket::accept(fd) {
                Ok(connection) => return Ok(connection),
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Interrupted | Failure::Connection => refused = errno,
                    _ => return Err(failed(errno)),
                },
            }
        }
        Err(failed(refused))
    }

    pub(super) fn accept_fd(self: &Rc<Self>) -> Result<OwnedFd> {
        let none_waits = Error::new("accept", Errno::EAGAIN);
        let Some(listener) = self.listener.get() else { return Err(none_waits) };
        let accepted = listener.accepted.take().ok_or(none_waits)?;
        if listener.is_held.take() {
            self.push_ready();
        }
        Ok(accepted)
    }
}

impl Stream {
    /// Announces waiting connections, up to the batch; the rest is left to the next poll phase.
    #[inline(never)]
    pub(super) fn accept_turn(&self, listener: &Listener) {
        let node = &self.0;
        if node.cold.peek(|cold| cold.is_input_paused) == Some(true) {
            return;
        }
        let batch = listener.batch.get().max(1);
        let mut room = batch;
        let mut patience = ABORTED_PER_TURN;
        // Of the last of them.
        let mut aborted = Errno::ECONNABORTED;
        while room > 0 && patience > 0 {
            let Some(fd) = node.fd.get() else { return };
            if listener.is_holding() {
                // One that was not taken stops the listener until it is.
                return listener.is_held.set(true);
            }
            match sys::socket::accept(fd) {
                Ok(connection) => {
                    room -= 1;
                    listener.accepted.set(Some(connection));
                    self.announce(listener, Ok(()));
                    if listener.is_holding() {
                        listener.note_crowd(batch - room, batch);
                        return listener.is_held.set(true);
                    }
                    // To accept in vain costs ten times as much as to ask: the kernel makes a file first, and then unmakes
                    // it. What comes after this is announced by another event.
                    if !node.fd.get().is_some_and(sys::socket::may_have_input) {
                        return self.all_accepted(listener, batch - room);
                    }
                }
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Waiting => return self.all_accepted(listener, batch - room),
                    Failure::Interrupted | Failure::Connection => {
                        patience -= 1;
                        aborted = errno;
                    }
                    _ if is_lack_of_descriptors(errno) => return self.shed(listener, fd, errno),
                    _ => return self.accept_later(listener, errno),
                },
            }
        }
        listener.note_crowd(batch - room, batch);
        if node.handle.is_closing() {
            return;
        }
        if patience == 0 && room == batch {
            // So many without one that is fine: it is not the connections.
            return self.accept_later(listener, aborted);
        }
        node.push_ready();
    }

    fn all_accepted(&self, listener: &Listener, taken: u32) {
        self.0.ready.clear(Readiness::READABLE);
        listener.is_crowded.set(taken >= CROWD);
    }

    fn announce(&self, listener: &Listener, status: Result<()>) {
        let _up = LAYER.up("AcceptUpcall::on_connection", || Facts::of(self));
        listener.upcall.call(|upcall| upcall.on_connection(self, status));
    }

    /// Gives up the spare descriptor to accept what waits, and closes it at once: better than a peer that waits for
    /// an answer, and than a listener that is reported ready for ever. The listener itself goes on.
    #[cold]
    fn shed(&self, listener: &Listener, fd: BorrowedFd<'_>, lack: Errno) {
        let node = &self.0;
        let Some(spare) = node.event_loop().take_spare_fd() else {
            if node.event_loop().restore_spare_fd() {
                return node.push_ready();
            }
            // Others took even the spare one.
            return self.accept_later(listener, lack);
        };
        drop(spare);
        let mut failed = None;
        let mut shed = 0;
        for _ in 0..SHED_PER_TURN {
            match sys::socket::accept(fd) {
                Ok(connection) => {
                    drop(connection);
                    shed += 1;
                }
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Interrupted | Failure::Connection => {}
                    _ => {
                        failed = Some(errno);
                        break;
                    }
                },
            }
        }
        node.event_loop().restore_spare_fd();
        if shed > 0 && node.event_loop().note_trouble(Call::Accept, lack).is_new {
            log::warn!(target: "uv_core", "accept: {lack}: connections are closed unserved");
        }
        match failed {
            Some(errno) if errno.would_block() => node.ready.clear(Readiness::READABLE),
            _ if shed == 0 => self.accept_later(listener, failed.unwrap_or(lack)),
            _ => node.push_ready(),
        }
    }

    /// No connection can be accepted now: the listener says so, once, and waits.
    #[cold]
    fn accept_later(&self, listener: &Listener, errno: Errno) {
        let node = &self.0;
        let trouble = node.pause_input(Call::Accept, errno).number;
        if listener.told.replace(trouble) != trouble {
            self.announce(listener, Err(node.accept_error(errno)));
        }
    }
}

fn is_lack_of_descriptors(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE)
}
