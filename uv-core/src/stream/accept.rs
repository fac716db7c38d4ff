//! Listening and accepting. Mirrors `uv_listen`, `uv__server_io`, `uv_accept` and the EMFILE trick.

use super::node::{COMPLAINED, CROWDED, HELD, LISTENING, MAYBE_READABLE, STARVED, Tower};
use super::{BOUND, IPC, READABLE, SOCKET, Stream, StreamNode, WRITABLE};
use crate::handle::Node;
use crate::sys;
use crate::trace::Facts;
use crate::upcall::AcceptUpcall;
use crate::{Call, Errno, Error, Failure, LAYER, Result};
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

/// Connections shed in one turn when the process has no descriptors left; more are shed in the next one.
const SHED_PER_TURN: u32 = 1024;

/// So many connections in one turn have waited for it, and their first bytes have probably come meanwhile: to read at
/// once then saves a registration for most of them. Fewer are taken the moment they stand, when to read finds nothing.
const CROWD: u32 = 4;

/// Peers that gave up before they were accepted, per turn; more in the next one.
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

    /// Announces waiting connections, up to the batch; the rest is left to the next poll phase.
    #[inline(never)]
    pub(super) fn accept_turn(self: &Rc<Self>) {
        let batch = self.if_extra(|extra| Some(extra.accept_batch)).unwrap_or(0).max(1);
        let mut room = batch;
        let mut patience = ABORTED_PER_TURN;
        while room > 0 && patience > 0 {
            let Some(fd) = self.fd.get() else { return };
            if self.is_holding() {
                // One that was not taken stops the listener until it is.
                return self.set(HELD);
            }
            match sys::socket::accept(fd) {
                Ok(connection) => {
                    room -= 1;
                    self.with_extra(|extra| extra.accepted = Some(connection));
                    self.announce(Ok(()));
                    if self.is_holding() {
                        self.note_crowd(batch, room);
                        return self.set(HELD);
                    }
                    // To accept in vain costs ten times as much as to ask: the kernel makes a file first, and then unmakes
                    // it. What comes after this is announced by another event.
                    if !self.fd.get().is_some_and(sys::socket::may_have_input) {
                        return self.all_accepted(batch, room);
                    }
                }
                Err(errno) if errno.would_block() => return self.all_accepted(batch, room),
                Err(Errno::EMFILE | Errno::ENFILE) => return self.shed(fd),
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Interrupted | Failure::Connection => patience -= 1,
                    failure => {
                        self.announce(Err(Error::new("accept", errno)));
                        if failure == Failure::Ours {
                            // No connection waits behind this: to try again would only fail again.
                            return self.clear(MAYBE_READABLE);
                        }
                        break;
                    }
                },
            }
        }
        self.note_crowd(batch, room);
        if !self.handle.is_closing() {
            self.push_ready();
        }
    }

    fn all_accepted(&self, batch: u32, room: u32) {
        self.clear(MAYBE_READABLE);
        // If there are descriptors again, one is for the next time that there are none.
        if self.has(COMPLAINED) && self.lp().restore_spare_fd() {
            self.clear(COMPLAINED);
        }
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

    fn announce(&self, status: Result<()>) {
        let _up = LAYER.up("AcceptUpcall::on_connection", || Facts::of(&self.handle));
        self.tower.call(|tower| {
            if let Tower::Accept(upcall) = tower {
                upcall.on_connection(status);
            }
        });
    }

    fn is_holding(&self) -> bool {
        self.if_extra(|extra| extra.accepted.as_ref().map(|_| ())).is_some()
    }

    /// Gives up the spare descriptor to accept what waits, and closes it at once: better than a peer that waits for
    /// an answer, and than a listener that is reported ready for ever. The listener itself goes on.
    fn shed(self: &Rc<Self>, fd: RawFd) {
        let Some(spare) = self.lp().take_spare_fd() else {
            if self.lp().restore_spare_fd() {
                return self.push_ready();
            }
            return self.starve();
        };
        drop(spare);
        let mut left = true;
        for _ in 0..SHED_PER_TURN {
            match sys::socket::accept(fd) {
                Ok(connection) => drop(connection),
                Err(errno) => match Failure::of(Call::Accept, errno) {
                    Failure::Interrupted | Failure::Connection => {}
                    failure => {
                        left = failure != Failure::Waiting;
                        break;
                    }
                },
            }
        }
        self.lp().restore_spare_fd();
        if left {
            self.push_ready();
        } else {
            self.clear(MAYBE_READABLE);
        }
    }

    /// Others took even the spare descriptor: the listener says so, once, and waits until there may be some.
    fn starve(self: &Rc<Self>) {
        if !self.has(STARVED) {
            self.set(STARVED);
            self.lp().starve(Rc::clone(self) as Rc<dyn Node>);
        }
        if !self.has(COMPLAINED) {
            self.set(COMPLAINED);
            self.announce(Err(Error::new("accept", Errno::EMFILE)));
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
