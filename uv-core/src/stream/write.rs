//! Writing: the kernel takes what fits now, the rest is queued, and results are reported in order. Mirrors `uv_write2`,
//! `uv_try_write`, `uv__write`, `uv__write_callbacks`, `uv_shutdown` and `uv__drain`.

use super::flags::{BROKEN, CONNECTING, SHUTTING, WAITING};
use super::outgoing::{Outgoing, Progress, Request, Shutdown, retrying};
use super::send_file::FILE_BYTES_PER_TURN;
use super::{IPC, SOCKET, Stream, StreamInner, WRITABLE};
use crate::failure::{Call, Failure};
use crate::poller::Readiness;
use crate::sys;
use crate::sys::socket::Means;
use crate::traced;
use crate::{Errno, Error, Result};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

/// Writes per turn, libuv's number: a fast peer does not keep the loop from other streams.
const WRITES_PER_TURN: u32 = 32;

/// The most bytes in one request, as in libuv: what the kernel takes in one call (`MAX_RW_COUNT`).
const BYTES_PER_REQUEST: usize = 0x7fff_f000;

impl StreamInner {
    /// Calls `work` with the output; a stream without output gets an empty queue for it. `work` must not call back.
    pub(super) fn with_output<R>(&self, work: impl FnOnce(&mut Outgoing) -> R) -> R {
        let mut out = self.out.take().unwrap_or_else(|| self.event_loop().take_output());
        let result = work(&mut out);
        self.keep_output(out);
        result
    }

    /// Like `with_output`, but does nothing for a stream without output.
    pub(super) fn if_output<R>(&self, work: impl FnOnce(&mut Outgoing) -> R) -> Option<R> {
        let mut out = self.out.take()?;
        let result = work(&mut out);
        self.keep_output(out);
        Some(result)
    }

    fn keep_output(&self, mut out: Box<Outgoing>) {
        if out.is_idle() {
            out.shrink();
            self.event_loop().return_output(out);
        } else {
            self.out.put(out);
        }
    }

    pub(super) fn is_writing(&self) -> bool {
        self.out.peek(|out| !out.queue.is_empty()) == Some(true)
    }

    /// Whether the FIN is sent and not yet reported.
    pub(crate) fn has_sent_fin(&self) -> bool {
        self.out.peek(|out| matches!(out.shutdown, Some(Shutdown::Done(_)))) == Some(true)
    }

    pub(super) fn write_queue_size(&self) -> usize {
        self.out.peek(|out| out.bytes).unwrap_or(0)
    }

    #[inline]
    pub(super) fn means(&self) -> Means {
        match (self.has(SOCKET), self.has(WAITING)) {
            (true, false) => Means::Socket,
            (true, true) => Means::WaitingSocket,
            (false, _) => Means::File,
        }
    }

    pub(super) fn set_waiting(&self, waiting: bool) {
        if waiting {
            self.set(WAITING);
        } else {
            self.clear(WAITING);
        }
    }

    pub(super) fn check_writable(&self) -> Result<()> {
        // A stream that closes while it connects keeps the flag.
        if self.has(WRITABLE) || (self.has(CONNECTING) && !self.handle.is_closing()) {
            return Ok(());
        }
        let errno = if self.fd.get().is_none() { Errno::EBADF } else { Errno::EPIPE };
        Err(Error::new("write", errno))
    }

    #[inline]
    pub(super) fn try_write(self: &Rc<Self>, data: &[u8]) -> Result<usize> {
        let Some(fd) = self.free_fd().filter(|_| !data.is_empty()) else { return self.nothing_at_once() };
        if self.is_first_of_turn() {
            return self.try_write_by(fd, self.means(), data);
        }
        self.try_write_in_a_row(fd, data)
    }

    #[inline(never)]
    fn try_write_in_a_row(self: &Rc<Self>, fd: BorrowedFd<'_>, data: &[u8]) -> Result<usize> {
        self.try_write_by(fd, self.means_in_a_row(data.len()), data)
    }

    #[inline]
    pub(super) fn try_write_by(&self, fd: BorrowedFd<'_>, means: Means, data: &[u8]) -> Result<usize> {
        match sys::socket::write(fd, means, data) {
            Ok(count) => Ok(self.count_written(count)),
            Err(errno) => self.try_again(errno, move || sys::socket::write(fd, means, data)),
        }
    }

    pub(super) fn try_writev(self: &Rc<Self>, data: &[IoSlice<'_>]) -> Result<usize> {
        let bytes = data.iter().fold(0_usize, |sum, buffer| sum.saturating_add(buffer.len()));
        let data = &data[..data.len().min(libc::UIO_MAXIOV as usize)];
        let Some(fd) = self.free_fd().filter(|_| bytes > 0) else { return self.nothing_at_once() };
        let means = self.means_of(bytes);
        match sys::socket::writev(fd, means, data) {
            Ok(count) => Ok(self.count_written(count)),
            Err(errno) => self.try_again(errno, move || sys::socket::writev(fd, means, data)),
        }
    }

    /// The descriptors travel with the first byte, so they are sent if any byte is.
    pub(crate) fn try_write_fds(&self, data: &[u8], fds: &[RawFd]) -> Result<usize> {
        let Some(fd) = self.free_fd() else { return self.nothing_at_once() };
        let data = [IoSlice::new(data)];
        // The error is returned unchanged: nothing is queued for a retry.
        let sent = retrying(|| sys::message::send(fd, self.means(), &data, fds));
        #[cfg(upcall_faults)]
        crate::faults::reached_if(crate::faults::Branch::TryPassReturns, &sent);
        sent.map(|count| self.count_written(count)).map_err(|errno| Error::new("write", errno))
    }

    /// The descriptor, if a write is possible now.
    #[inline]
    pub(super) fn free_fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.get().filter(|_| self.has(WRITABLE) && !self.has(CONNECTING) && !self.is_writing())
    }

    /// The result of a write that has no data or is not possible now.
    #[inline(never)]
    pub(super) fn nothing_at_once(&self) -> Result<usize> {
        self.check_writable()?;
        if self.has(CONNECTING) || self.is_writing() {
            return Err(Error::new("write", Errno::EAGAIN));
        }
        Ok(0)
    }

    /// Handles a failed write; an interrupted call is repeated.
    #[inline(never)]
    fn try_again(&self, errno: Errno, write: impl Fn() -> Result<usize, Errno>) -> Result<usize> {
        #[cfg(upcall_faults)]
        if errno == Errno::EINTR {
            crate::faults::reached(crate::faults::Branch::TryWriteInterrupted);
        }
        match if errno == Errno::EINTR { retrying(write) } else { Err(errno) } {
            Ok(count) => Ok(self.count_written(count)),
            Err(errno) => match Failure::of(self.call_to_write(), errno) {
                // A temporary lack of memory, or interruptions beyond the bound: treated like a full buffer.
                Failure::Passing | Failure::Interrupted => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::TryWriteLater);
                    Err(Error::new("write", Errno::EAGAIN))
                }
                _ => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::TryWriteReturns);
                    Err(Error::new("write", errno))
                }
            },
        }
    }

    #[inline]
    pub(super) fn count_written(&self, bytes: usize) -> usize {
        self.bytes_written.set(self.bytes_written.get() + bytes as u64);
        bytes
    }

    pub(crate) fn write(
        self: &Rc<Self>,
        first: Bytes,
        rest: VecDeque<Bytes>,
        fds: Vec<Rc<OwnedFd>>,
    ) -> Result<()> {
        self.check_writable()?;
        if let Some(fd) = self.free_fd()
            && !first.is_empty()
            && rest.is_empty()
            && fds.is_empty()
            && first.len() <= BYTES_PER_REQUEST
        {
            self.write_at_once(fd, first);
            return Ok(());
        }
        let request = Request::new(first, rest, fds);
        let bytes = request.len();
        if bytes > BYTES_PER_REQUEST || (bytes == 0 && request.has_fds()) {
            return Err(Error::new("write", Errno::EINVAL));
        }
        self.count_written(bytes);
        self.event_loop().begin_request();
        let first_in_queue = self.with_output(|out| {
            out.push(request);
            out.queue.len() == 1
        });
        if first_in_queue && !self.has(CONNECTING) {
            // No write is queued behind an earlier failure, so this one may try.
            self.clear(BROKEN);
            self.flush();
            self.feed_news();
        }
        self.update_active();
        Ok(())
    }

    /// Writes one buffer, which nothing is queued before: usually the kernel takes it, and the queue never has it.
    fn write_at_once(self: &Rc<Self>, fd: BorrowedFd<'_>, data: Bytes) {
        let bytes = self.count_written(data.len());
        self.event_loop().begin_request();
        // No write is queued behind an earlier failure, so this one may try.
        self.clear(BROKEN);
        let means = self.means_of(bytes);
        let taken = retrying(|| sys::socket::write(fd, means, &data));
        if taken == Ok(bytes) {
            self.with_output(|out| out.done.push_back(Ok(())));
            self.feed();
        } else {
            self.queue_rest(fd, data, taken);
        }
    }

    #[inline(never)]
    fn queue_rest(self: &Rc<Self>, fd: BorrowedFd<'_>, mut data: Bytes, taken: Result<usize, Errno>) {
        data.advance(taken.unwrap_or(0));
        self.with_output(|out| out.push(Request::new(data, VecDeque::new(), Vec::new())));
        match taken {
            Err(errno) if !errno.would_block() => self.flush_failed(fd, self.call_to_write(), errno),
            _ => {
                #[cfg(upcall_faults)]
                crate::faults::reached(match taken {
                    Ok(_) => crate::faults::Branch::WriteShort,
                    Err(_) => crate::faults::Branch::WriteBlocks,
                });
                // A short write means that the kernel's buffer is full.
                self.await_room(fd);
            }
        }
        self.feed_news();
        self.update_active();
    }

    /// Lets the poller report when the kernel has room.
    fn await_room(self: &Rc<Self>, fd: BorrowedFd<'_>) {
        if let Err(errno) = self.watch_writable() {
            self.flush_failed(fd, Call::Watch, errno);
        }
    }

    /// Writes the queue until the kernel's buffer is full or the turn reaches its bound.
    pub(super) fn flush(self: &Rc<Self>) {
        let Some(fd) = self.fd.get() else { return };
        let means = self.means_of(self.write_queue_size());
        let mut file_bytes = FILE_BYTES_PER_TURN;
        for _ in 0..WRITES_PER_TURN {
            match self.with_output(|out| out.write(fd, means, &mut file_bytes)) {
                Ok(Progress::Went) => {}
                Ok(Progress::Rests) => break,
                Ok(Progress::Emptied) => return self.finish_shutdown(fd),
                Ok(Progress::Full) => return self.await_room(fd),
                Err(errno) => return self.flush_failed(fd, self.call_to_write(), errno),
            }
        }
        self.ready.set(Readiness::WRITABLE);
        self.push_ready();
    }

    pub(super) fn call_to_write(&self) -> Call {
        if self.has(IPC) { Call::Pass } else { Call::Write }
    }

    #[cold]
    fn flush_failed(self: &Rc<Self>, fd: BorrowedFd<'_>, call: Call, errno: Errno) {
        let is_file = call == Call::Pass && self.with_output(|out| out.sends_file());
        let call = if is_file { Call::Write } else { call };
        match Failure::of(call, errno) {
            // The queue stays and is retried.
            Failure::Passing | Failure::Interrupted => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::OutputPauses);
                self.pause_output(call, errno);
            }
            // A seccomp filter may return any error; a descriptor that cannot be sent is refused always.
            Failure::Ours if call == Call::Pass => match self.with_output(Outgoing::may_try_again) {
                Some(true) => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::PassAgain);
                    self.pause_output(call, errno);
                }
                Some(false) => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::PassSkips);
                    self.pass_over_head(fd, Error::new("write", errno));
                }
                None => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::PassFails);
                    self.fail_head(fd, Error::new("write", errno));
                }
            },
            _ if call == Call::Watch => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::OutputUnwatched);
                self.fail_head(fd, Error::new("epoll_ctl", errno));
            }
            _ => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::WriteFails);
                let error = self.with_output(|out| out.error_of_head(errno));
                self.fail_head(fd, error);
            }
        }
    }

    /// Fails a request with descriptors of which nothing was sent. The requests behind it continue.
    fn pass_over_head(self: &Rc<Self>, fd: BorrowedFd<'_>, error: Error) {
        self.fail_head(fd, error);
        self.clear(BROKEN);
        if self.is_writing() {
            self.ready.set(Readiness::WRITABLE);
            self.push_ready();
        }
    }

    /// As in libuv, a failed write ends writing: the writes behind it wait for the close, which cancels them. Behind a part of a
    /// file neither a later write nor a FIN may follow, which the peer would take for the file's rest or end.
    fn fail_head(&self, fd: BorrowedFd<'_>, error: Error) {
        self.set(BROKEN);
        let errno = error.errno();
        let is_file = self.with_output(|out| {
            let is_file = out.sends_file();
            out.fail_head(error);
            if is_file && out.queue.is_empty() && matches!(out.shutdown, Some(Shutdown::Wanted)) {
                out.shutdown = Some(Shutdown::Done(Err(errno)));
            }
            is_file
        });
        if is_file {
            self.clear(WRITABLE);
        }
        if !self.is_writing() {
            self.finish_shutdown(fd);
        }
    }

    pub(super) fn shutdown(self: &Rc<Self>) -> Result<()> {
        let (Some(fd), true) = (self.fd.get(), self.has(WRITABLE) && !self.has(SHUTTING)) else {
            return Err(Error::new("shutdown", Errno::ENOTCONN));
        };
        self.clear(WRITABLE);
        self.set(SHUTTING);
        self.event_loop().begin_request();
        self.with_output(|out| out.shutdown = Some(Shutdown::Wanted));
        if !self.is_writing() {
            self.finish_shutdown(fd);
            self.feed_news();
        }
        Ok(())
    }

    /// Sends the FIN if `shutdown` has requested one; its result is reported later.
    fn finish_shutdown(&self, fd: BorrowedFd<'_>) {
        self.if_output(|out| {
            if let Some(Shutdown::Wanted) = out.shutdown {
                let sent = sys::socket::shutdown_write(fd);
                #[cfg(upcall_faults)]
                crate::faults::reached_if(crate::faults::Branch::ShutdownFails, &sent);
                out.shutdown = Some(Shutdown::Done(sent));
            }
        });
    }

    /// Lets the pending phase report results.
    pub(super) fn feed_news(self: &Rc<Self>) {
        if self.out.peek(|out| out.has_news()) == Some(true) {
            self.feed();
        }
    }
}

impl Stream {
    /// There is room for output: continues writing and reports results.
    #[inline(never)]
    pub(super) fn write_turn(&self) {
        let inner = &self.0;
        inner.ready.clear(Readiness::WRITABLE);
        if inner.is_writing() && !inner.has(BROKEN) {
            inner.flush();
            inner.update_active();
            self.report();
        }
    }

    /// Reports results in order: connect, writes, shutdown. A write that ends during a report waits for the next round,
    /// and a closing stream for the close phase.
    pub(super) fn report(&self) {
        let inner = &self.0;
        if inner.has(CONNECTING)
            && let Some(result) = inner.if_output(|out| out.connect.take()).flatten()
        {
            self.finish_connect(result);
        }
        let writes = inner.out.peek(|out| out.done.len()).unwrap_or(0);
        for _ in 0..writes {
            if inner.handle.is_closing() {
                return;
            }
            self.report_write();
        }
        if !inner.handle.is_closing() {
            self.report_shutdown();
            inner.feed_news();
        }
    }

    /// Reports the result of the oldest completed write. Returns whether there was one.
    fn report_write(&self) -> bool {
        let inner = &self.0;
        let Some(result) = inner.if_output(|out| out.done.pop_front()).flatten() else { return false };
        inner.event_loop().end_request();
        self.call(traced::ON_WRITE, |upcall, stream| upcall.on_write(stream, result));
        true
    }

    fn report_shutdown(&self) {
        let inner = &self.0;
        let ended = inner.if_output(|out| match out.shutdown.take() {
            Some(Shutdown::Done(result)) if out.done.is_empty() => Some(result),
            other => {
                out.shutdown = other;
                None
            }
        });
        if let Some(result) = ended.flatten() {
            inner.event_loop().end_request();
            let result = result.map_err(|errno| Error::new("shutdown", errno));
            self.call(traced::ON_SHUTDOWN, |upcall, stream| upcall.on_shutdown(stream, result));
        }
    }

    /// The close phase's part: reports writes in order, then the shutdown. Results that exist already are reported as
    /// they are.
    pub(super) fn cancel_output(&self) {
        let inner = &self.0;
        let cancelled = inner.if_output(|out| {
            out.cancel_queue();
            if let Some(Shutdown::Wanted) = out.shutdown {
                out.shutdown = Some(Shutdown::Done(Err(Errno::ECANCELED)));
            }
        });
        if cancelled.is_none() {
            return;
        }
        while self.report_write() {}
        self.report_shutdown();
    }
}
