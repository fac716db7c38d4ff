//! Receiving. Mirrors `uv_udp_recv_start`, `uv__udp_recvmsg` and `uv__udp_recvmmsg`.

use super::flags::{ERROR_QUEUE, GRO, KEPT, RECEIVING, TELLS};
use super::inner::UdpInner;
use super::{CLOSING, Udp};
use crate::failure::{Call, Failure};
use crate::poller::Readiness;
use crate::sys::slots::{DATAGRAMS_PER_RECEIVE, LARGEST_DATAGRAM, Slots};
use crate::{Errno, Error, Result};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Datagrams per turn, libuv's number: a peer that sends without end does not keep the loop from other handles.
const DATAGRAMS_PER_TURN: usize = DATAGRAMS_PER_RECEIVE;

/// Buffers of GRO per receive, each of up to 64 datagrams: a turn stays short, and the second one tells whether the first
/// was the last.
const GRO_BUFFERS: usize = 2;

/// Interrupted calls per receive: a storm of signals pauses the socket and loses nothing.
const INTERRUPTIONS: u32 = 16;

impl UdpInner {
    pub(super) fn receive_start(self: &Rc<Self>) -> Result<()> {
        let failed = |errno| Error::new("receive_start", errno);
        if self.handle.is_closing() {
            return Err(failed(Errno::EINVAL).noting(CLOSING));
        }
        if self.has(RECEIVING) {
            return Err(failed(Errno::EALREADY));
        }
        self.bind_if_new(false, false).map_err(failed)?;
        self.set(RECEIVING);
        self.update_active();
        if self.ready.has(Readiness::READABLE) {
            self.push_ready();
        } else if let Err(errno) = self.watch() {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ReceiveUnwatched);
            // epoll_ctl(2) has no other errors for a socket than those that pass.
            self.pause_input(Call::Watch, errno);
        }
        Ok(())
    }

    pub(super) fn receive_stop(&self) {
        if self.has(RECEIVING) {
            self.clear(RECEIVING);
            self.update_active();
        }
    }

    /// The number of datagrams to ask for, of those that are left in this turn. More than wait: fewer than asked for say
    /// that no further call is needed.
    fn wanted(&self, left: usize) -> usize {
        let most = if self.has(GRO) { GRO_BUFFERS } else { left };
        most.min(self.batch.get().into())
    }

    pub(super) fn receive_once(
        &self,
        fd: BorrowedFd<'_>,
        slots: &mut Slots,
        count: usize,
    ) -> Result<usize, Errno> {
        // GRO fills a buffer beyond the room for one datagram: what did not fit would be whole datagrams.
        let size = if self.has(GRO) { LARGEST_DATAGRAM } else { self.datagram_size.get() as usize };
        for _ in 0..INTERRUPTIONS {
            match slots.receive(fd, count, size, self.has(TELLS)) {
                Err(Errno::EINTR) => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::ReceiveInterrupted);
                }
                result => return result,
            }
        }
        Err(Errno::EINTR)
    }

    /// Whether the upcalls that have run since have left the socket receiving.
    pub(super) fn receives_on(&self) -> bool {
        self.has(RECEIVING) && !self.handle.is_closing()
    }
}

impl Udp {
    /// Receives until the kernel has no more, the upcall stops receiving, or the turn reaches its bound.
    pub(super) fn receive_turn(&self) {
        let inner = &self.0;
        let mut left = DATAGRAMS_PER_TURN;
        if inner.has(KEPT) {
            left = left.saturating_sub(self.hand_over_kept());
            if !inner.receives_on() {
                return;
            }
        }
        while left > 0 {
            let Some(fd) = inner.fd.get() else { return };
            let count = inner.wanted(left);
            let datagrams = &inner.event_loop().inner().datagrams;
            let mut slots = datagrams.lend_slots();
            let received = inner.receive_once(fd, &mut slots, count);
            let handed_over = match received {
                Ok(received) => {
                    // Fewer than asked for are the last, unless an error follows them.
                    let is_drained = received < count && !inner.ready.has(Readiness::READ_ON);
                    if is_drained {
                        inner.ready.clear(Readiness::READABLE);
                    }
                    let handed_over = self.hand_over(&slots, received);
                    datagrams.return_slots(slots);
                    if !inner.receives_on() {
                        return;
                    }
                    if is_drained {
                        return self.await_input();
                    }
                    handed_over
                }
                Err(errno) => {
                    datagrams.return_slots(slots);
                    if !self.goes_on_after(errno) {
                        return;
                    }
                    1
                }
            };
            left = left.saturating_sub(handed_over);
        }
        // The turn has reached its bound and there may be more input.
        inner.push_ready();
    }

    /// Handles a failed receive. Returns whether the turn goes on.
    #[cold]
    fn goes_on_after(&self, errno: Errno) -> bool {
        let inner = &self.0;
        match Failure::of(Call::Receive, errno) {
            Failure::Waiting => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReceiveBlocks);
                inner.ready.clear(Readiness::READABLE | Readiness::READ_ON);
                self.await_input();
                false
            }
            Failure::Passing | Failure::Interrupted => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReceivePauses);
                inner.pause_input(Call::Receive, errno);
                false
            }
            Failure::Peer => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReceiveTells);
                if inner.has(ERROR_QUEUE) {
                    // The queue, which says more, has its bound in the pending phase.
                    inner.note_met(Some(errno));
                    inner.feed();
                } else {
                    self.tell_error(errno);
                }
                inner.receives_on()
            }
            Failure::Connection => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReceiveTellsOther);
                // It may come again with each call.
                inner.pause_input(Call::Receive, errno);
                self.tell_error(errno);
                false
            }
            Failure::Ours => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReceiveEnds);
                inner.receive_stop();
                self.tell_error(errno);
                false
            }
        }
    }

    /// Records that everything is received: the poller reports the next.
    fn await_input(&self) {
        if let Err(errno) = self.0.watch() {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ReceiveUnwatched);
            self.0.pause_input(Call::Watch, errno);
        }
    }
}
