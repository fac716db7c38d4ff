//! Writing: at once what the kernel takes, the rest from a queue, everything reported in order. Mirrors `uv_write2`,
//! `uv_try_write`, `uv__write`, `uv__write_callbacks`, `uv_shutdown` and `uv__drain`.

use super::{BROKEN, CONNECTING, MAYBE_WRITABLE, SHUTTING, SOCKET, StreamNode, WRITABLE};
use crate::sys;
use crate::{Errno, Error, Result};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

/// Writes per turn: libuv's number. One fast peer does not keep the loop from the others.
const WRITES_PER_TURN: u32 = 32;

/// Buffers in one `writev`: enough to make the call's own cost vanish, and small enough for the stack.
const BUFFERS_PER_WRITE: usize = 64;

/// Bytes in one request: what the kernel takes in one call (`MAX_RW_COUNT`), as in libuv.
const BYTES_PER_REQUEST: usize = 0x7fff_f000;

/// Interrupted calls per write: a storm of signals ends the turn, not the stream.
const INTERRUPTIONS: u32 = 16;

/// What is still to be written or to be reported; exists only meanwhile.
#[derive(Default)]
pub(super) struct Outgoing {
    queue: VecDeque<Request>,
    /// Bytes in the queue.
    bytes: usize,
    /// Ends not yet reported.
    done: VecDeque<Result<()>>,
    /// The end of a connect, not yet reported.
    pub(super) connect: Option<Result<(), Errno>>,
    shutdown: Option<Shutdown>,
}

enum Shutdown {
    /// The FIN waits for the queue.
    Wanted,
    /// Not yet reported.
    Done(Result<(), Errno>),
}

/// How far one write call came.
enum Progress {
    Went,
    Full,
    Emptied,
}

/// One write: its buffers, and the handles that go with its first byte.
struct Request {
    first: Bytes,
    rest: VecDeque<Bytes>,
    fds: Vec<Rc<OwnedFd>>,
}

impl Request {
    fn len(&self) -> usize {
        self.rest.iter().fold(self.first.len(), |sum, buffer| sum.saturating_add(buffer.len()))
    }

    fn buffers(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest).filter(|buffer| !buffer.is_empty())
    }

    /// Drops the first `count` bytes. Returns how many more were asked for than it has.
    fn advance(&mut self, mut count: usize) -> usize {
        loop {
            let here = count.min(self.first.len());
            self.first.advance(here);
            count -= here;
            if !self.first.is_empty() {
                return count;
            }
            match self.rest.pop_front() {
                Some(next) => self.first = next,
                None => return count,
            }
        }
    }
}

impl Outgoing {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.done.is_empty() && self.connect.is_none() && self.shutdown.is_none()
    }

    /// Writes the head of the queue once; a request with handles goes alone. Returns the bytes offered and taken.
    fn write_once(&mut self, fd: RawFd, is_socket: bool) -> Result<(usize, usize), Errno> {
        let mut slices = [IoSlice::new(&[]); BUFFERS_PER_WRITE];
        let mut used = 0;
        let mut offered = 0;
        for (index, request) in self.queue.iter().enumerate() {
            if index > 0 && !request.fds.is_empty() {
                break;
            }
            for (slot, buffer) in slices[used..].iter_mut().zip(request.buffers()) {
                *slot = IoSlice::new(buffer);
                used += 1;
                offered += buffer.len();
            }
            if used == BUFFERS_PER_WRITE || !request.fds.is_empty() {
                break;
            }
        }
        let head_fds = self.queue.front().map_or(&[][..], |request| &request.fds);
        let slices = &slices[..used];
        if head_fds.is_empty() {
            if offered == 0 {
                return Ok((0, 0));
            }
            return write_retrying(|| sys::socket::writev(fd, is_socket, slices))
                .map(|taken| (offered, taken));
        }
        let fds: Vec<RawFd> = head_fds.iter().map(|fd| fd.as_raw_fd()).collect();
        let taken = write_retrying(|| sys::message::send(fd, slices, &fds))?;
        if let Some(head) = self.queue.front_mut() {
            // They went with the first byte: the rest of a partial write goes without.
            head.fds.clear();
        }
        Ok((offered, taken))
    }

    /// Takes `count` written bytes off the queue and completes the requests that end with them.
    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(head) = self.queue.front_mut() {
            count = head.advance(count);
            if !head.first.is_empty() {
                return;
            }
            self.queue.pop_front();
            self.done.push_back(Ok(()));
        }
    }

    fn fail_head(&mut self, error: Error) {
        if let Some(head) = self.queue.pop_front() {
            self.bytes -= head.len();
            self.done.push_back(Err(error));
        }
    }
}

fn write_retrying(mut write: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    for _ in 0..INTERRUPTIONS {
        match write() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
    Err(Errno::ENOBUFS)
}

impl StreamNode {
    /// Works on the queue, which exists afterwards only if there is something in it. `work` calls nobody.
    pub(super) fn with_output<R>(&self, work: impl FnOnce(&mut Outgoing) -> R) -> R {
        let mut out = self.out.take().unwrap_or_default();
        let result = work(&mut out);
        self.out.set((!out.is_idle()).then_some(out));
        result
    }

    fn has_output(&self) -> bool {
        let out = self.out.take();
        let some = out.is_some();
        self.out.set(out);
        some
    }

    pub(super) fn is_writing(&self) -> bool {
        self.has_output() && self.with_output(|out| !out.queue.is_empty())
    }

    pub(super) fn is_shutdown_pending(&self) -> bool {
        self.has_output() && self.with_output(|out| out.shutdown.is_some())
    }

    pub(super) fn write_queue_size(&self) -> usize {
        if self.has_output() { self.with_output(|out| out.bytes) } else { 0 }
    }

    fn check_writable(&self) -> Result<RawFd> {
        let failed = |errno| Error::new("write", errno);
        let fd = self.fd.get().ok_or(failed(Errno::EBADF))?;
        if self.has(WRITABLE) || self.has(CONNECTING) { Ok(fd) } else { Err(failed(Errno::EPIPE)) }
    }

    pub(super) fn try_writev(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        let fd = self.check_writable()?;
        if self.has(CONNECTING | BROKEN) || self.is_writing() {
            return Err(Error::new("write", Errno::EAGAIN));
        }
        if data.iter().all(|buffer| buffer.is_empty()) {
            return Ok(0);
        }
        let data = &data[..data.len().min(libc::UIO_MAXIOV as usize)];
        write_retrying(|| sys::socket::writev(fd, self.has(SOCKET), data))
            .map_err(|errno| Error::new("write", if errno == Errno::ENOBUFS { Errno::EAGAIN } else { errno }))
    }

    pub(crate) fn write(
        self: &Rc<Self>,
        first: Bytes,
        rest: VecDeque<Bytes>,
        fds: Vec<Rc<OwnedFd>>,
    ) -> Result<()> {
        self.check_writable()?;
        let request = Request { first, rest, fds };
        let bytes = request.len();
        if bytes > BYTES_PER_REQUEST || (bytes == 0 && !request.fds.is_empty()) {
            return Err(Error::new("write", Errno::EINVAL));
        }
        self.lp().begin_request();
        let first_in_queue = self.with_output(|out| {
            out.bytes += bytes;
            out.queue.push_back(request);
            out.queue.len() == 1
        });
        if first_in_queue && !self.has(CONNECTING) {
            self.flush();
        }
        self.update_active();
        Ok(())
    }

    /// Room for output was announced: writes on and reports what ended.
    pub(super) fn write_turn(self: &Rc<Self>) {
        self.clear(MAYBE_WRITABLE);
        if self.has_output() {
            self.flush();
            self.update_active();
            if !self.has(CONNECTING) {
                self.report();
            }
        }
    }

    /// Writes what is queued until the kernel is full or the turn is over.
    fn flush(self: &Rc<Self>) {
        let (Some(fd), false) = (self.fd.get(), self.has(BROKEN)) else { return };
        let mut turns = 0..WRITES_PER_TURN;
        loop {
            if turns.next().is_none() {
                self.leave_to_next_turn();
                break;
            }
            match self.write_head(fd) {
                Ok(Progress::Went) => continue,
                Ok(Progress::Emptied) => self.finish_shutdown(fd),
                Ok(Progress::Full) => self.await_room(),
                // The kernel is short of memory for a moment; no event follows.
                Err(Errno::ENOBUFS) => self.leave_to_next_turn(),
                Err(errno) => self.fail_head(Error::new("write", errno)),
            }
            break;
        }
        if self.has_output() && self.with_output(|out| !out.done.is_empty()) {
            self.feed();
        }
    }

    fn write_head(&self, fd: RawFd) -> Result<Progress, Errno> {
        let is_socket = self.has(SOCKET);
        self.with_output(|out| {
            let (offered, taken) = match out.write_once(fd, is_socket) {
                Err(errno) if errno.would_block() => return Ok(Progress::Full),
                result => result?,
            };
            out.advance(taken);
            if out.queue.is_empty() {
                return Ok(Progress::Emptied);
            }
            // A short write means that the kernel is full; the poller tells when it no longer is.
            Ok(if taken < offered { Progress::Full } else { Progress::Went })
        })
    }

    fn await_room(self: &Rc<Self>) {
        if let Err(errno) = self.watch_writable() {
            self.fail_head(Error::new("epoll_ctl", errno));
        }
    }

    fn leave_to_next_turn(self: &Rc<Self>) {
        self.set(MAYBE_WRITABLE);
        self.push_ready();
    }

    /// As in libuv a failed write ends writing: the others wait for the close, which cancels them.
    fn fail_head(self: &Rc<Self>, error: Error) {
        self.set(BROKEN);
        self.with_output(|out| out.fail_head(error));
        self.feed();
    }

    pub(super) fn shutdown(self: &Rc<Self>) -> Result<()> {
        let (Some(fd), true) = (self.fd.get(), self.has(WRITABLE) && !self.has(SHUTTING)) else {
            return Err(Error::new("shutdown", Errno::ENOTCONN));
        };
        self.clear(WRITABLE);
        self.set(SHUTTING);
        self.lp().begin_request();
        let nothing_queued = self.with_output(|out| {
            out.shutdown = Some(Shutdown::Wanted);
            out.queue.is_empty()
        });
        if nothing_queued {
            self.finish_shutdown(fd);
        }
        Ok(())
    }

    /// Sends the FIN if one is wanted; its report comes later.
    fn finish_shutdown(self: &Rc<Self>, fd: RawFd) {
        let wanted = self.with_output(|out| {
            let wanted = matches!(out.shutdown, Some(Shutdown::Wanted));
            if wanted {
                out.shutdown = Some(Shutdown::Done(sys::socket::shutdown_write(fd)));
            }
            wanted
        });
        if wanted {
            self.feed();
        }
    }

    /// Reports ends in order: connect, writes, shutdown. A write that ends during a report waits for the next round.
    pub(super) fn report(self: &Rc<Self>) {
        if let Some(result) = self.with_output(|out| out.connect.take()) {
            self.finish_connect(result);
        }
        if !self.has_output() {
            return;
        }
        let writes = self.with_output(|out| out.done.len());
        for _ in 0..writes {
            let Some(result) = self.with_output(|out| out.done.pop_front()) else { break };
            self.lp().end_request();
            self.call(|upcall| upcall.on_write(result));
        }
        let shutdown = self.with_output(|out| match out.shutdown.take() {
            Some(Shutdown::Done(result)) if out.done.is_empty() => Some(result),
            other => {
                out.shutdown = other;
                None
            }
        });
        if let Some(result) = shutdown {
            self.lp().end_request();
            let result = result.map_err(|errno| Error::new("shutdown", errno));
            self.call(|upcall| upcall.on_shutdown(result));
        }
        if self.has_output() && self.with_output(|out| !out.done.is_empty()) {
            self.feed();
        }
    }

    /// Completes the writes that will never be done.
    pub(super) fn cancel_writes(&self) {
        while let Some(result) = self.next_cancelled() {
            self.lp().end_request();
            self.call(|upcall| upcall.on_write(result));
        }
        self.update_active();
    }

    fn next_cancelled(&self) -> Option<Result<()>> {
        if !self.has_output() {
            return None;
        }
        self.with_output(|out| {
            out.done.pop_front().or_else(|| {
                let head = out.queue.pop_front()?;
                out.bytes -= head.len();
                Some(Err(Error::new("write", Errno::ECANCELED)))
            })
        })
    }

    /// The close phase's share: connect, writes, shutdown, in this order; what ended already says how.
    pub(super) fn cancel(&self) {
        if !self.has_output() && !self.has(CONNECTING) {
            return;
        }
        if self.has(CONNECTING) {
            let result = self.with_output(|out| out.connect.take()).unwrap_or(Err(Errno::ECANCELED));
            self.clear(CONNECTING);
            self.lp().end_request();
            let result = result.map_err(|errno| self.connect_error(errno));
            self.call(|upcall| upcall.on_connect(result));
        }
        self.cancel_writes();
        if let Some(shutdown) = self.with_output(|out| out.shutdown.take()) {
            self.lp().end_request();
            let result = match shutdown {
                Shutdown::Wanted => Err(Errno::ECANCELED),
                Shutdown::Done(result) => result,
            };
            let result = result.map_err(|errno| Error::new("shutdown", errno));
            self.call(|upcall| upcall.on_shutdown(result));
        }
    }

    /// Lets go of everything unwritten and unreported, without a call: the loop is gone, or a callback panicked.
    pub(super) fn forget_output(&self) {
        if let Some(out) = self.out.take() {
            let requests = out.queue.len()
                + out.done.len()
                + usize::from(out.shutdown.is_some())
                + usize::from(self.has(CONNECTING));
            for _ in 0..requests {
                self.lp().end_request();
            }
        }
    }
}
