//! The descriptor of a stream: how it comes, how the poller watches it, and how it goes. Mirrors `uv__stream_open`,
//! `uv__io_start` and `uv__stream_close`, libuv's `src/unix/stream.c`.

use super::flags::{LENT, MAYBE_READABLE, REGISTERED, REGISTERED_WRITABLE, SHARED, STANDARD};
use super::node::StreamNode;
use crate::Errno;
use crate::sys;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

impl StreamNode {
    /// Gives the stream its descriptor, with the directions that it has.
    pub(crate) fn open(&self, fd: OwnedFd, flags: u32) {
        self.open_fresh(fd, flags | MAYBE_READABLE);
    }

    /// Gives the stream a descriptor that the program opened.
    pub(crate) fn adopt(&self, fd: OwnedFd, flags: u32) {
        let is_standard = sys::fd::is_standard(fd.as_raw_fd());
        self.open(fd, flags | SHARED | if is_standard { STANDARD } else { 0 });
    }

    /// For what can be told not to wait by the mode of the open file only: `accept` and `connect`. Others may have
    /// changed the mode of one that they share.
    pub(super) fn make_nonblocking(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        if self.has(SHARED) { sys::fd::set_nonblocking(fd, true) } else { Ok(()) }
    }

    /// The same for a descriptor that has probably nothing to read yet: the poller is asked before it is.
    pub(super) fn open_fresh(&self, fd: OwnedFd, flags: u32) {
        // Closed already if its loop is gone.
        if !self.handle.is_closed() {
            self.fd.set(fd);
            self.set(flags);
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        self.has(REGISTERED)
    }

    /// Makes the poller watch for input, once.
    pub(super) fn watch(&self) -> Result<(), Errno> {
        if self.has(REGISTERED) {
            return Ok(());
        }
        let Some(fd) = self.fd.get() else { return Ok(()) };
        self.lp().inner().poller.register(fd, self.handle.key(), self.handle.generation(), false)?;
        self.set(REGISTERED);
        Ok(())
    }

    /// Makes the poller watch for room for output too, once.
    pub(super) fn watch_writable(&self) -> Result<(), Errno> {
        let Some(fd) = self.fd.get() else { return Ok(()) };
        let poller = &self.lp().inner().poller;
        let (key, generation) = (self.handle.key(), self.handle.generation());
        if !self.has(REGISTERED) {
            poller.register(fd, key, generation, true)?;
        } else if !self.has(REGISTERED_WRITABLE) {
            poller.register_writable(fd, key, generation)?;
        }
        self.set(REGISTERED | REGISTERED_WRITABLE);
        Ok(())
    }

    /// The first half of a close: no event comes any more.
    pub(super) fn stop_watching(&self) {
        if let Some(fd) = self.fd.get()
            && self.has(REGISTERED)
            && self.has(SHARED)
        {
            // Elsewhere the descriptor's own close ends the registration: one system call less.
            self.lp().inner().poller.deregister(fd);
        }
    }

    /// The second half.
    pub(super) fn release(&self) {
        let Some(fd) = self.fd.get() else { return };
        if self.has(LENT) {
            sys::reopen::give_back(fd);
        }
        if self.has(STANDARD) {
            self.fd.retire();
        } else {
            self.fd.close();
        }
        self.lp().resume_those_without_descriptor();
    }
}
