//! Reading. Mirrors `uv_read_start`, `uv__read` and, for received descriptors, `uv__stream_queue_fd`.

use super::flags::{END_TOLD, READING};
use super::{IPC, READABLE, SOCKET, Stream, StreamInner, WRITABLE};
use crate::failure::{Call, Failure};
use crate::handle::HandleKind;
use crate::poller::Readiness;
use crate::sys;
use crate::{Errno, Error, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Reads per turn, libuv's number: a peer that sends without end does not keep the loop from other streams.
const READS_PER_TURN: u32 = 32;

/// Interrupted calls per read: a storm of signals pauses the stream and does not end it.
const INTERRUPTIONS: u32 = 16;

/// A descriptor received on an IPC pipe (`uv_pipe_pending_type`).
#[derive(Debug)]
pub struct Received {
    /// The descriptor, which the receiver owns.
    pub fd: OwnedFd,
    /// `Tcp` or `Pipe`, by the socket's address; `None` for anything else.
    pub kind: Option<HandleKind>,
}

/// The result of one read.
pub(super) enum Step {
    /// The number of bytes, and whether the kernel has no more.
    Data(usize, bool),
    WouldBlock,
    End,
    Failed(Errno),
}

impl StreamInner {
    pub(super) fn read_start(self: &Rc<Self>) -> Result<()> {
        let failed = |errno| Err(Error::new("read_start", errno));
        if self.handle.is_closing() {
            return failed(Errno::EINVAL);
        }
        if self.has(READING) || self.ready.has(Readiness::PULLED) {
            return failed(Errno::EALREADY);
        }
        if !self.has(READABLE) {
            return failed(Errno::ENOTCONN);
        }
        self.clear(END_TOLD);
        self.set(READING);
        self.update_active();
        if self.ready.has(Readiness::READABLE) {
            self.push_ready();
        } else if let Err(errno) = self.watch() {
            if Failure::of(Call::Watch, errno) == Failure::Passing {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReadStartWaits);
                self.pause_input(Call::Watch, errno);
                return Ok(());
            }
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ReadStartFails);
            self.clear(READING);
            self.update_active();
            return failed(errno);
        }
        Ok(())
    }

    pub(super) fn read_stop(self: &Rc<Self>) {
        if self.has(READING) || self.ready.has(Readiness::PULLED) {
            self.clear(READING);
            self.set_pulled(false);
        }
        self.tell_later();
        self.watch_unread();
    }

    /// Has the end or the failure that has come told to a program that does not read.
    pub(super) fn tell_later(self: &Rc<Self>) {
        if self.ready.has(Readiness::PEER_ENDED | Readiness::FAILED) {
            // No further event reports it.
            self.feed();
        }
    }

    /// Watches a stream that is not reading, because a FIN or a failure may be its next event.
    #[cold]
    pub(super) fn watch_unread(self: &Rc<Self>) {
        let is_unread = self.has(SOCKET) && self.has(READABLE) && !self.has(READING);
        if is_unread && !self.handle.is_closing() && !self.is_watched() {
            // If the poller refuses, the stream stays unwatched: reading reports the error.
            let watched = self.watch();
            #[cfg(upcall_faults)]
            crate::faults::reached_if(crate::faults::Branch::UnreadUnwatched, &watched);
            if watched.is_ok() {
                // Registering reports the input that is there, if there is any.
                self.ready.clear(Readiness::READABLE);
            }
        }
    }

    #[inline]
    pub(super) fn read_once(&self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Step {
        for _ in 0..INTERRUPTIONS {
            return match self.read_bytes(fd, buffer) {
                Ok((0, _)) => Step::End,
                Ok((count, cut)) => {
                    let is_last = count < buffer.len() && !cut && !self.ready.has(Readiness::READ_ON);
                    Step::Data(count, is_last)
                }
                Err(Errno::EINTR) => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::ReadInterrupted);
                    continue;
                }
                Err(errno) if errno.would_block() => Step::WouldBlock,
                Err(errno) => Step::Failed(errno),
            };
        }
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::ReadInterruptedOften);
        Step::Failed(Errno::EINTR)
    }

    /// Reads once. Returns the number of bytes, and whether there may be more although the buffer is not full: a
    /// terminal returns one line at a time, and descriptors in a message end a read early.
    #[inline]
    fn read_bytes(&self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, bool), Errno> {
        if self.has(SOCKET) && self.handle.kind() == HandleKind::Tcp {
            return sys::socket::read(fd, true, buffer).map(|count| (count, false));
        }
        self.read_other(fd, buffer)
    }

    #[inline(never)]
    fn read_other(&self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, bool), Errno> {
        if !self.has(SOCKET) {
            sys::socket::read(fd, false, buffer).map(|count| (count, true))
        } else if self.has(IPC) {
            sys::message::receive_fds(fd, buffer, |fd| {
                self.cold.with(|cold| cold.received.push_back(fd));
            })
        } else {
            sys::message::receive(fd, buffer)
        }
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.cold.peek(|cold| cold.received.len()).unwrap_or(0)
    }

    pub(crate) fn take_received_fd(&self) -> Option<OwnedFd> {
        self.cold.peek(|cold| cold.received.pop_front()).flatten()
    }

    pub(crate) fn take_received(&self) -> Option<Received> {
        let fd = self.take_received_fd()?;
        let kind = kind_of(fd.as_fd());
        Some(Received { fd, kind })
    }
}

/// The kind of handle for a stream socket, by its address; `None` for another descriptor (`uv_guess_handle`).
pub(super) fn kind_of(fd: BorrowedFd<'_>) -> Option<HandleKind> {
    let addr = sys::socket::local_addr(fd);
    #[cfg(upcall_faults)]
    crate::faults::reached_if(crate::faults::Branch::DescriptorUnknown, &addr);
    let kind = match addr.ok()?.family() {
        libc::AF_INET | libc::AF_INET6 => HandleKind::Tcp,
        libc::AF_UNIX => HandleKind::Pipe,
        _ => return None,
    };
    sys::socket::is_stream_socket(fd).then_some(kind)
}

impl Stream {
    /// Reports the readiness of a stream that is not reading: a failure, or a FIN behind unread input. libuv reports
    /// neither before reading starts again, so a program that pauses reading does not learn that the peer has closed.
    #[cold]
    pub(super) fn tell_unread_end(&self) {
        let inner = &self.0;
        let is_read = inner.has(READING) || inner.ready.has(Readiness::PULLED);
        if is_read || !inner.has(READABLE) || !inner.has(SOCKET) || inner.handle.is_closing() {
            return;
        }
        if inner.ready.take(Readiness::FAILED) {
            let error = inner.fd.get().map_or(Ok(()), sys::socket::take_error);
            if let Err(errno) = error {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::UnreadFails);
                return self.read_failed(Error::new("read", errno));
            }
        }
        if inner.ready.has(Readiness::PEER_ENDED) && !inner.has(END_TOLD) {
            inner.set(END_TOLD);
            self.call("StreamUpcall::on_unread_end", |upcall, stream| upcall.on_unread_end(stream));
        }
    }

    /// Reads until the kernel has no more, the upcall stops reading, or the turn reaches its bound.
    #[inline]
    pub(super) fn read_turn(&self) {
        let inner = &self.0;
        for _ in 0..READS_PER_TURN {
            let Some(fd) = inner.fd.get() else { return };
            let mut buffer = inner.event_loop().lend_buffer();
            match inner.read_once(fd, &mut buffer) {
                Step::Data(count, drained) => {
                    if drained {
                        inner.ready.clear(Readiness::READABLE);
                    }
                    inner.bytes_read.set(inner.bytes_read.get() + count as u64);
                    self.call("StreamUpcall::on_read", |upcall, stream| {
                        upcall.on_read(stream, &buffer[..count])
                    });
                    inner.event_loop().return_buffer(buffer);
                    if inner.handle.is_closing() || !inner.has(READING) {
                        return;
                    }
                    if drained {
                        return self.await_input();
                    }
                }
                step => {
                    inner.event_loop().return_buffer(buffer);
                    return self.end_turn(step);
                }
            }
        }
        // The turn has reached its bound and there may be more input.
        inner.push_ready();
    }

    #[inline(never)]
    fn end_turn(&self, step: Step) {
        let inner = &self.0;
        match step {
            Step::End => {
                // The upcall may start reading again; a second read then reports the end again.
                inner.clear(READING);
                inner.set(END_TOLD);
                inner.update_active();
                self.call("StreamUpcall::on_end", |upcall, stream| upcall.on_end(stream));
                if !inner.is_watched() && !inner.handle.is_closing() {
                    // If it is still open, the pending phase watches it for a failure.
                    inner.feed();
                }
            }
            Step::Failed(errno) => match Failure::of(Call::Read, errno) {
                Failure::Passing | Failure::Interrupted => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::ReadPauses);
                    inner.pause_input(Call::Read, errno);
                }
                _ => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::ReadFails);
                    self.read_failed(Error::new("read", errno));
                }
            },
            Step::WouldBlock | Step::Data(..) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReadBlocks);
                inner.ready.clear(Readiness::READABLE | Readiness::READ_ON);
                self.await_input();
            }
        }
    }

    /// Records that all input is read: the poller reports the next.
    pub(super) fn await_input(&self) {
        let inner = &self.0;
        match inner.watch() {
            Ok(()) => {}
            Err(errno) if Failure::of(Call::Watch, errno) == Failure::Passing => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::InputWaits);
                inner.pause_input(Call::Watch, errno);
            }
            Err(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::InputFails);
                self.read_failed(Error::new("epoll_ctl", errno));
            }
        }
    }

    #[cold]
    fn read_failed(&self, error: Error) {
        let inner = &self.0;
        inner.clear(READING | READABLE | WRITABLE);
        inner.set_pulled(false);
        self.call("StreamUpcall::on_read_error", |upcall, stream| upcall.on_read_error(stream, error));
    }
}
