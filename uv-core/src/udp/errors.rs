//! The errors of earlier datagrams, which ICMP messages report: each is told once, and the socket works on. Mirrors
//! `uv__udp_recvmsg_errqueue`.

use super::Udp;
use super::flags::{ERROR_QUEUE, RECEIVING};
use crate::poller::Readiness;
use crate::sys;
use crate::{Errno, Error};
use std::net::SocketAddr;

/// Entries of the error queue per phase of the loop: a router that reports errors without end does not keep the loop from other
/// handles.
const ERRORS_PER_PHASE: usize = 32;

impl Udp {
    /// The poller has reported an error.
    #[cold]
    pub(super) fn error_turn(&self) {
        let inner = &self.0;
        inner.ready.clear(Readiness::FAILED);
        if inner.has(ERROR_QUEUE) {
            self.tell_queued_errors();
        } else if !inner.has(RECEIVING)
            && let Some(fd) = inner.fd.get()
            && let Err(errno) = sys::socket::take_error(fd)
        {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::DatagramErrorTaken);
            self.on_error(errno, None);
        }
        // A socket that receives meets the error in its next call.
    }

    /// Tells the error that a call to send has met, and that belongs to an earlier datagram.
    pub(super) fn tell_met_error(&self) {
        if let Some(errno) = self.0.cold.peek(|cold| cold.met.take()).flatten()
            && !self.is_closing()
        {
            self.tell_error(errno);
        }
    }

    /// Tells the error of an earlier datagram, or those of the error queue, which say more.
    #[cold]
    pub(super) fn tell_error(&self, errno: Errno) {
        let told = if self.0.has(ERROR_QUEUE) { self.tell_queued_errors() } else { 0 };
        if told == 0 && !self.is_closing() {
            self.on_error(errno, None);
        }
    }

    /// Returns how many there were.
    fn tell_queued_errors(&self) -> usize {
        for told in 0..ERRORS_PER_PHASE {
            let Some(fd) = self.0.fd.get() else { return told };
            // Another error of the call itself leaves the queue for the next event.
            let Ok(Some(error)) = sys::datagram::take_queued_error(fd) else { return told };
            self.on_error(error.errno, error.to);
        }
        if !self.is_closing() {
            self.0.ready.set(Readiness::FAILED);
            self.0.push_ready();
        }
        ERRORS_PER_PHASE
    }

    fn on_error(&self, errno: Errno, to: Option<SocketAddr>) {
        let error = Error::new("receive", errno);
        let error = if let Some(about) = to.or_else(|| self.0.peer()) { error.on(about) } else { error };
        self.call("UdpUpcall::on_error", |upcall, udp| upcall.on_error(udp, error, to));
    }
}
