//! Connecting. Mirrors `uv__tcp_connect`, `uv_pipe_connect` and `uv__stream_connect`.

use super::{CONNECTING, MAYBE_WRITABLE, READABLE, StreamNode, WRITABLE};
use crate::sys;
use crate::sys::addr::SockAddr;
use crate::{Errno, Error, Result};
use std::fmt::Display;
use std::rc::Rc;

impl StreamNode {
    /// Connects the stream's socket; `on_connect` reports the end. What the peer or the network refuses is reported
    /// there as well, even if it is known at once.
    pub(crate) fn connect(self: &Rc<Self>, addr: &SockAddr, target: impl Display) -> Result<()> {
        let failed = |errno| Error::new("connect", errno).on(&target);
        if self.handle.is_closing() || self.has(READABLE | WRITABLE) {
            return Err(failed(Errno::EINVAL));
        }
        let fd = self.fd.get().ok_or(failed(Errno::EBADF))?;
        let result = match self.delayed_error() {
            Some(errno) => Err(errno),
            None => connect_retrying(fd, addr),
        };
        match result {
            Ok(()) => self.finish_later(Ok(())),
            Err(Errno::EINPROGRESS) => self.watch_writable().map_err(failed)?,
            Err(errno) if self.is_for_the_report(errno) => self.finish_later(Err(errno)),
            Err(errno) => return Err(failed(errno)),
        }
        self.with_extra(|extra| extra.target = Some(target.to_string().into_boxed_str()));
        self.lp().begin_request();
        self.set(CONNECTING);
        self.update_active();
        Ok(())
    }

    /// Fails a connect that could not even begin, from `on_connect`.
    pub(crate) fn connect_failed(self: &Rc<Self>, errno: Errno, target: impl Display) {
        self.with_extra(|extra| extra.target = Some(target.to_string().into_boxed_str()));
        self.lp().begin_request();
        self.set(CONNECTING);
        self.update_active();
        self.finish_later(Err(errno));
    }

    /// Refusals come from the callback always; mistakes such as an unreachable network at once, as in libuv.
    fn is_for_the_report(&self, errno: Errno) -> bool {
        self.delayed_error().is_some()
            || errno == Errno::ECONNREFUSED
            || self.handle.kind() == crate::HandleKind::Pipe
    }

    fn finish_later(self: &Rc<Self>, result: Result<(), Errno>) {
        self.with_output(|out| out.connect = Some(result));
        self.feed();
    }

    /// The socket became writable: the connect ended.
    pub(super) fn connect_turn(self: &Rc<Self>) {
        let Some(fd) = self.fd.get() else { return };
        if !self.has(MAYBE_WRITABLE) || self.with_output(|out| out.connect.is_some()) {
            return;
        }
        match sys::socket::take_error(fd) {
            Err(Errno::EINPROGRESS) => self.clear(MAYBE_WRITABLE),
            result => self.finish_connect(result),
        }
    }

    pub(super) fn finish_connect(self: &Rc<Self>, result: Result<(), Errno>) {
        self.clear(CONNECTING);
        self.lp().end_request();
        match result {
            Ok(()) => {
                self.set(READABLE | WRITABLE);
                self.update_active();
                self.call(|upcall| upcall.on_connect(Ok(())));
                if !self.handle.is_closing() {
                    self.write_turn();
                }
            }
            Err(errno) => {
                self.update_active();
                let error = self.connect_error(errno);
                self.call(|upcall| upcall.on_connect(Err(error)));
                self.cancel_writes();
            }
        }
    }

    pub(super) fn connect_error(&self, errno: Errno) -> Error {
        let error = Error::new("connect", errno);
        match self.if_extra(|extra| extra.target.clone()) {
            Some(target) => error.on(target),
            None => error,
        }
    }
}

fn connect_retrying(fd: i32, addr: &SockAddr) -> Result<(), Errno> {
    match sys::socket::connect(fd, addr) {
        // Interrupted, a connect goes on by itself.
        Err(Errno::EINTR) => Err(Errno::EINPROGRESS),
        result => result,
    }
}
