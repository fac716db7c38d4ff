//! Listening and accepting. Mirrors `uv_listen`, `uv__server_io`, `uv_accept` and the EMFILE trick.

use super::flags::{CROWDED, HELD, INPUT_PAUSED, LISTENING, MAYBE_READABLE};
use super::node::Tower;
use super::{BOUND, IPC, READABLE, SOCKET, Stream, StreamNode, WRITABLE};
use crate::failure::{Call, Failure};
use crate::layer::trace::Facts;
use crate::sys;
use crate::upcall::AcceptUpcall;
use crate::{Errno, Error, LAYER, Result};
use std::mem::replace;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Connections shed in one turn when the process has no descriptors left; more are shed in the next one.
const SHED_PER_TURN: u32 = 1024;

/// So many connections in one turn have waited for it, and their first bytes have probably come meanwhile: to read at
/// once then saves a registration for most of them. Fewer are taken the moment they stand, when to read finds nothing.
const CROWD: u32 = 4;

/// Connections that failed before they were accepted, per turn; more in the next one.
const ABORTED_PER_TURN: u32 = 64;

impl StreamNode {
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
        self.tower.set(Tower::Accept(upcall));
        self.set(LISTENING | BOUND);
        self.update_active();
        Ok(())
    }

    pub(super) fn set_accept_batch(&self, connections: u32) {
        self.with_extra(|extra| extra.accept_batch = connections);
    }

    fn all_accepted(&self, batch: u32, room: u32) {
        self.clear(MAYBE_READABLE);
        self.set_crowded(batch - room >= CROWD);
    }

    /// Remembers for the next turn whether this one, which left some, found as many connections as it was to take.
    fn note_crowd(&self, batch: u32, room: u32) {
        self.set_crowded(batch - room >= CROWD.min(batch));
    }

    fn set_crowded(&self, is_crowded: bool) {
        if is_crowded {
            self.set(CROWDED);
        } else {
            self.clear(CROWDED);
        }
    }

    fn is_holding(&self) -> bool {
        self.if_extra(|extra| extra.accepted.as_ref().map(|_| ())).is_some()
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
        let inherited = if self.has(IPC) { IPC } else { 0 };
        let stream = Stream::create(self.lp(), self.handle.kind(), SOCKET | inherited);
        if self.has(CROWDED) {
            stream.0.open(fd, READABLE | WRITABLE);
        } else {
            stream.0.open_fresh(fd, READABLE | WRITABLE);
        }
        Ok(stream)
    }

    /// The next connection, announced or not.
    pub(super) fn try_accept_fd(&self) -> Result<OwnedFd> {
        if let Some(held) = self.if_extra(|extra| extra.accepted.take()) {
            return Ok(held);
        }
        let failed = |errno| Error::new("accept", errno);
        let fd = self.fd.get().filter(|_| self.has(LISTENING)).ok_or_else(|| failed(Errno::EINVAL))?;
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
        let accepted = self.if_extra(|extra| extra.accepted.take());
        let accepted = accepted.ok_or(Error::new("accept", Errno::EAGAIN))?;
        if self.has(HELD) {
            self.clear(HELD);
            self.push_ready();
        }
        Ok(accepted)
    }
}

impl Stream {
    /// Announces waiting connections, up to the batch; the rest is left to the next poll phase.
    #[inline(never)]
    pub(super) fn accept_turn(&self) {
        let node = &self.0;
        if node.has(INPUT_PAUSED) {
            return;
        }
        let batch = node.if_extra(|extra| Some(extra.accept_batch)).unwrap_or(0).max(1);
        let mut room = batch;
        let mut patience = ABORTED_PER_TURN;
        // Of the last of them.
        let mut aborted = Errno::ECONNABORTED;
        while room > 0 && patience > 0 {
            let Some(fd) = node.fd.get() else { return };
            if node.is_holding() {
                // One that was not taken stops the listener until it is.
                return node.set(HELD);
            }
            match sys::socket::accept(fd) {
                Ok(connection) => {
                    room -= 1;
                    node.with_extra(|extra| extra.accepted = Some(connection));
                    self.announce(Ok(()));
                    if node.is_holding() {
                        node.note_crowd(batch, room);
                        return node.set(HELD);
                    }
                    // To accept in vain costs ten times as much as to ask: the kernel makes a file first, and then unmakes
                    // it. What comes after this is announced by another event.
                    if !node.fd.get().is_some_and(sys::socket::may_have_input) {
                        return node.all_accepted(batch, room);
                    }
                }
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Waiting => return node.all_accepted(batch, room),
                    Failure::Interrupted | Failure::Connection => {
                        patience -= 1;
                        aborted = errno;
                    }
                    _ if is_lack_of_descriptors(errno) => return self.shed(fd, errno),
                    _ => return self.accept_later(errno),
                },
            }
        }
        node.note_crowd(batch, room);
        if node.handle.is_closing() {
            return;
        }
        if patience == 0 && room == batch {
            // So many without one that is fine: it is not the connections.
            return self.accept_later(aborted);
        }
        node.push_ready();
    }

    fn announce(&self, status: Result<()>) {
        let _up = LAYER.up("AcceptUpcall::on_connection", || Facts::of(self));
        self.0.tower.call(|tower| {
            if let Tower::Accept(upcall) = tower {
                upcall.on_connection(self, status);
            }
        });
    }

    /// Gives up the spare descriptor to accept what waits, and closes it at once: better than a peer that waits for
    /// an answer, and than a listener that is reported ready for ever. The listener itself goes on.
    #[cold]
    fn shed(&self, fd: BorrowedFd<'_>, lack: Errno) {
        let node = &self.0;
        let Some(spare) = node.lp().take_spare_fd() else {
            if node.lp().restore_spare_fd() {
                return node.push_ready();
            }
            // Others took even the spare one.
            return self.accept_later(lack);
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
        node.lp().restore_spare_fd();
        if shed > 0 && node.lp().note_trouble(Call::Accept, lack).is_new {
            log::warn!(target: "uv_core", "accept: {lack}: connections are closed unserved");
        }
        match failed {
            Some(errno) if errno.would_block() => node.clear(MAYBE_READABLE),
            _ if shed == 0 => self.accept_later(failed.unwrap_or(lack)),
            _ => node.push_ready(),
        }
    }

    /// No connection can be accepted now: the listener says so, once, and waits.
    #[cold]
    fn accept_later(&self, errno: Errno) {
        let node = &self.0;
        let trouble = node.pause_input(Call::Accept, errno).number;
        if node.with_extra(|extra| replace(&mut extra.told, trouble)) != trouble {
            self.announce(Err(node.accept_error(errno)));
        }
    }
}

fn is_lack_of_descriptors(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE)
}
