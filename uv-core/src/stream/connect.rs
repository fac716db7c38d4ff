//! Connecting. Mirrors `uv__tcp_connect`, `uv_pipe_connect` and `uv__stream_connect`.

use super::flags::{CONNECTING, END_TOLD, Registration};
use super::{BOUND, Outgoing, READABLE, SOCKET, Stream, StreamInner, WRITABLE};
use crate::handle::HandleKind;
use crate::poller::Readiness;
use crate::sys;
use crate::sys::addr::SockAddr;
use crate::traced;
use crate::{Errno, Error, Result};
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// The first unprivileged port.
const PRIVILEGED: u16 = 1024;

impl StreamInner {
    /// Connects the stream's socket; `on_connect` reports the result. It also reports errors of the peer or the network
    /// that are known immediately.
    pub(crate) fn connect(self: &Rc<Self>, addr: &SockAddr, target: impl Display) -> Result<()> {
        let failed = |errno| Error::new("connect", errno).on(&target);
        if self.handle.is_closing() || self.has(READABLE | WRITABLE) {
            return Err(failed(Errno::EINVAL));
        }
        let fd = self.fd.get().ok_or_else(|| failed(Errno::EBADF))?;
        self.note_risky_port(addr);
        self.make_nonblocking(fd).map_err(failed)?;
        let delayed = self.delayed_error();
        let result = match delayed {
            Some(errno) => Err(errno),
            None => sys::socket::connect(fd, addr),
        };
        match result {
            // An interrupted connect continues in the kernel.
            Err(Errno::EINPROGRESS | Errno::EINTR) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ConnectGoesOn);
                // Readiness from an earlier attempt does not apply to this one.
                let either = Readiness::READABLE | Readiness::WRITABLE;
                self.ready.clear(either | Readiness::PEER_ENDED | Readiness::FAILED);
                self.clear(END_TOLD);
                let watched = self.watch_writable();
                #[cfg(upcall_faults)]
                crate::faults::reached_if(crate::faults::Branch::ConnectUnwatched, &watched);
                watched.map_err(failed)?;
            }
            // As in libuv, `on_connect` reports refusals; mistakes such as an unreachable network are returned
            // immediately.
            Err(errno)
                if errno != Errno::ECONNREFUSED
                    && delayed.is_none()
                    && self.handle.kind() != HandleKind::Pipe =>
            {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ConnectReturns);
                return Err(failed(errno));
            }
            known => {
                #[cfg(upcall_faults)]
                crate::faults::reached_if(
                    match delayed {
                        Some(_) => crate::faults::Branch::ConnectTellsBind,
                        None => crate::faults::Branch::ConnectTells,
                    },
                    &known,
                );
                self.with_output(|out| out.connect = Some(known));
                self.feed();
            }
        }
        self.set_target(target);
        self.event_loop().begin_request();
        self.set(CONNECTING);
        self.update_active();
        Ok(())
    }

    /// Begins a connect whose socket comes later, by [`take_connection`](Self::take_connection).
    pub(crate) fn expect_connection(self: &Rc<Self>, target: impl Display) -> Result<()> {
        if self.is_connecting() {
            return Err(Error::new("connect", Errno::EALREADY).on(target));
        }
        self.check_fresh("connect")?;
        self.set_target(target);
        self.event_loop().begin_request();
        self.set(CONNECTING);
        self.update_active();
        Ok(())
    }

    /// Takes the socket of another stream, which ends the connect; `on_connect` reports it.
    pub(crate) fn take_connection(self: &Rc<Self>, from: &Self) -> Result<()> {
        let failed = |errno| Error::new("connect", errno);
        if !self.is_connecting() || self.handle.is_closing() || self.fd.get().is_some() {
            return Err(failed(Errno::EINVAL));
        }
        if from.handle.is_closing() || !from.has(READABLE | WRITABLE) {
            return Err(failed(Errno::ENOTCONN));
        }
        let fd = from.release_socket().ok_or_else(|| failed(Errno::EBADF))?;
        // Registered again when reading starts: that reports existing readiness.
        self.open_fresh(fd, SOCKET);
        self.with_output(|out| out.connect = Some(Ok(())));
        self.feed();
        Ok(())
    }

    /// Takes the socket out of a stream that is connected, which is of no further use.
    fn release_socket(&self) -> Option<OwnedFd> {
        self.clear(READABLE | WRITABLE);
        self.release_held();
        let fd = self.fd.take()?;
        if self.is_watched() {
            self.event_loop().inner().poller.deregister(fd.as_fd());
            self.registration.set(Registration::None);
        }
        Some(fd)
    }

    /// Drops what the errors of a connect needed: an idle connection holds no rare state.
    fn forget_connect(&self) {
        if let Some(mut cold) = self.cold.take() {
            cold.target = None;
            if !cold.is_unused() {
                self.cold.put(cold);
            }
        }
    }

    fn note_risky_port(&self, addr: &SockAddr) {
        // The kernel never chooses a privileged port itself: see ip_local_port_range in the kernel's sysctl
        // documentation.
        let risky = addr.as_inet().filter(|addr| addr.port() >= PRIVILEGED || self.has(BOUND));
        if let Some(addr) = risky {
            self.cold.with(|cold| cold.risky_port = addr.port());
        }
    }

    /// Checks that the connection does not lead back to the same socket. Without a listener, TCP connects a socket to
    /// itself if the kernel chooses the destination port as its own: the socket then reads its own output, and a server
    /// that wants the port finds it in use. This is reported as `ECONNREFUSED`, because no process listens.
    fn check_other_end(&self) -> Result<(), Errno> {
        let port = self.cold.peek(|cold| std::mem::take(&mut cold.risky_port)).unwrap_or(0);
        let Some(fd) = self.fd.get().filter(|_| port != 0) else { return Ok(()) };
        // A connection that is closed already has no peer: the read reports that.
        let ip = |addr: Result<SockAddr, Errno>| {
            let addr = addr.ok().and_then(|addr| addr.as_inet());
            addr.filter(|addr| addr.port() == port).map(|addr| addr.ip())
        };
        match ip(sys::socket::local_addr(fd)) {
            Some(here) if ip(sys::socket::peer_addr(fd)) == Some(here) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ConnectToItself);
                Err(Errno::ECONNREFUSED)
            }
            _ => Ok(()),
        }
    }
}

impl Stream {
    /// The socket became writable: the connect has completed or failed.
    #[inline(never)]
    pub(super) fn connect_turn(&self) {
        let inner = &self.0;
        let Some(fd) = inner.fd.get() else { return };
        let is_known = inner.out.peek(|out| out.connect.is_some()) == Some(true);
        if !inner.ready.has(Readiness::WRITABLE) || is_known {
            return;
        }
        inner.ready.clear(Readiness::WRITABLE);
        match sys::socket::take_error(fd) {
            Err(Errno::EINPROGRESS) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ConnectGoesOnStill);
            }
            result => {
                #[cfg(upcall_faults)]
                crate::faults::reached_if(crate::faults::Branch::ConnectFails, &result);
                self.finish_connect(result);
            }
        }
    }

    /// Reports the result of a connect, and lets the pending phase report the writes that have ended meanwhile.
    pub(super) fn finish_connect(&self, result: Result<(), Errno>) {
        let inner = &self.0;
        let result = result.and_then(|()| inner.check_other_end());
        inner.clear(CONNECTING);
        inner.cold.peek(|cold| cold.delayed_error = None);
        inner.event_loop().end_request();
        if result.is_ok() {
            inner.set(READABLE | WRITABLE);
            inner.forget_connect();
        } else {
            inner.if_output(Outgoing::cancel_queue);
        }
        inner.update_active();
        let result = result.map_err(|errno| inner.error("connect", errno));
        self.call(traced::ON_CONNECT, |upcall, stream| upcall.on_connect(stream, result));
        if !inner.handle.is_closing() && !inner.has(CONNECTING) && inner.is_writing() {
            inner.flush();
            inner.update_active();
        }
        inner.feed_news();
    }

    /// The close phase's part: an unreported connect is cancelled, even if it has succeeded.
    pub(super) fn cancel_connect(&self) {
        let inner = &self.0;
        if inner.has(CONNECTING) {
            inner.clear(CONNECTING);
            inner.if_output(|out| out.connect = None);
            inner.event_loop().end_request();
            let error = inner.error("connect", Errno::ECANCELED);
            self.call(traced::ON_CONNECT, |upcall, stream| upcall.on_connect(stream, Err(error)));
        }
    }
}
