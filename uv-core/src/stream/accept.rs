//! Listening and accepting. Mirrors `uv_listen`, `uv__server_io`, `uv_accept` and the EMFILE trick.

use super::node::{HELD, LISTENING, MAYBE_READABLE, Tower};
use super::{BOUND, READABLE, StreamNode, WRITABLE};
use crate::sys;
use crate::upcall::AcceptUpcall;
use crate::{Errno, Error, Result};
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

/// Connections shed in one turn when the process has no descriptors left; more are shed in the next one.
const SHED_PER_TURN: u32 = 1024;

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
    pub(super) fn accept_turn(self: &Rc<Self>) {
        let mut room = self.if_extra(|extra| Some(extra.accept_batch)).unwrap_or(0).max(1);
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
                }
                Err(errno) if errno.would_block() => return self.clear(MAYBE_READABLE),
                Err(Errno::EMFILE | Errno::ENFILE) => return self.shed(fd),
                Err(errno) if errno == Errno::EINTR || errno.is_peers_failure() => patience -= 1,
                Err(errno) => {
                    self.announce(Err(Error::new("accept", errno)));
                    if errno.is_misuse() {
                        // No connection waits behind this: to try again would only fail again.
                        return self.clear(MAYBE_READABLE);
                    }
                    break;
                }
            }
        }
        if !self.handle.is_closing() {
            self.push_ready();
        }
    }

    fn announce(&self, status: Result<()>) {
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
            // Others took even that one. As in libuv the listener says so and tries again, in every turn.
            self.push_ready();
            return self.announce(Err(Error::new("accept", Errno::EMFILE)));
        };
        drop(spare);
        let mut left = true;
        for _ in 0..SHED_PER_TURN {
            match sys::socket::accept(fd) {
                Ok(connection) => drop(connection),
                Err(errno) if errno == Errno::EINTR || errno.is_peers_failure() => {}
                Err(errno) => {
                    left = !errno.would_block();
                    break;
                }
            }
        }
        self.lp().restore_spare_fd();
        if left {
            self.push_ready();
        } else {
            self.clear(MAYBE_READABLE);
        }
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
