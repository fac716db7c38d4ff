//! The descriptor of a stream: how it is set, watched by the poller, and closed. Mirrors `uv__stream_open`,
//! `uv__io_start` and `uv__stream_close`, libuv's `src/unix/stream.c`.

use super::flags::{Registration, SHARED, SOCKET, StreamFlags};
use super::inner::{Cold, StreamInner};
use crate::poller::Readiness;
use crate::sys;
use crate::{Errno, Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

impl StreamInner {
    /// Sets the descriptor, with the directions in which it is open.
    pub(crate) fn open(&self, fd: OwnedFd, flags: StreamFlags) {
        self.open_fresh(fd, flags);
        self.ready.set(Readiness::READABLE);
    }

    /// Sets a descriptor that the program opened.
    pub(crate) fn adopt(&self, fd: OwnedFd, flags: StreamFlags) {
        if sys::fd::is_standard(fd.as_raw_fd()) {
            self.cold.with(|cold| cold.is_standard = true);
        }
        self.open(fd, flags | SHARED);
    }

    /// Records that the open file was made non-blocking for this stream.
    pub(crate) fn note_lent(&self) {
        self.cold.with(|cold| cold.is_lent = true);
    }

    /// Records that the stream is a terminal, whose mode the close restores.
    pub(crate) fn note_terminal(&self) {
        self.cold.with(|cold| cold.is_terminal = true);
    }

    /// Returns an error if the handle has a descriptor already, or is closing.
    pub(crate) fn check_fresh(&self, op: &'static str) -> Result<()> {
        match self.fd.get() {
            _ if self.handle.is_closing() => Err(Error::new(op, Errno::EINVAL)),
            Some(_) => Err(Error::new(op, Errno::EBUSY)),
            None => Ok(()),
        }
    }

    /// The stream's socket, which is created if there is none.
    pub(crate) fn socket(&self, family: libc::c_int) -> Result<BorrowedFd<'_>, Errno> {
        if self.fd.get().is_none() {
            self.open(sys::socket::stream_socket(family)?, SOCKET);
        }
        self.fd.get().ok_or(Errno::EBADF)
    }

    /// Makes the open file non-blocking, for `accept` and `connect`, which have no flag for a single call. Other
    /// processes that share the file may have changed its mode.
    pub(super) fn make_nonblocking(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        if self.has(SHARED) { sys::fd::set_nonblocking(fd, true) } else { Ok(()) }
    }

    /// Like [`open`](Self::open), for a descriptor that probably has nothing to read yet: it is registered before it is
    /// read.
    pub(super) fn open_fresh(&self, fd: OwnedFd, flags: StreamFlags) {
        // A handle of a dropped loop is closed already.
        if !self.handle.is_closed() {
            self.fd.set(fd);
            self.set(flags);
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        self.registration.get() != Registration::None
    }

    /// Registers the descriptor for input, once.
    pub(super) fn watch(&self) -> Result<(), Errno> {
        if self.is_watched() {
            return Ok(());
        }
        let Some(fd) = self.fd.get() else { return Ok(()) };
        self.event_loop().inner().poller.register(fd, self.handle.key(), false)?;
        self.registration.set(Registration::Read);
        Ok(())
    }

    /// Registers the descriptor for output as well, once.
    pub(super) fn watch_writable(&self) -> Result<(), Errno> {
        let Some(fd) = self.fd.get() else { return Ok(()) };
        let poller = &self.event_loop().inner().poller;
        match self.registration.get() {
            Registration::None => poller.register(fd, self.handle.key(), true)?,
            Registration::Read => poller.register_writable(fd, self.handle.key())?,
            Registration::ReadWrite => {}
        }
        self.registration.set(Registration::ReadWrite);
        Ok(())
    }

    /// The first half of a close. No event follows.
    pub(super) fn stop_watching(&self) {
        if let Some(fd) = self.fd.get()
            && self.is_watched()
            && self.has(SHARED)
        {
            // Otherwise closing the descriptor ends the registration, which saves a system call.
            self.event_loop().inner().poller.deregister(fd);
        }
    }

    /// The second half of a close.
    pub(super) fn release(&self, cold: Option<&Cold>) {
        let Some(fd) = self.fd.get() else { return };
        if cold.is_some_and(|cold| cold.is_terminal) {
            sys::terminal::give_back(fd);
        }
        if cold.is_some_and(|cold| cold.is_lent) {
            sys::reopen::give_back(fd);
        }
        if cold.is_some_and(|cold| cold.is_standard) {
            self.fd.retire();
        } else {
            self.fd.close();
        }
        self.event_loop().resume_those_without_descriptor();
    }
}
