//! The output of a stream: the queue of write requests, and their unreported results. Knows system calls, but neither
//! the loop nor a tower. Mirrors `write_queue` and `write_completed_queue` of `uv_stream_t` and `uv__try_write`.

use crate::sys;
use crate::sys::socket::Means;
use crate::{Errno, Error, Result};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

/// Buffers in one `writev`: enough to make the call's own cost negligible, and few enough for the stack.
const BUFFERS_PER_WRITE: usize = 64;

/// Interrupted calls per write: a storm of signals pauses the stream and does not end it.
const INTERRUPTIONS: u32 = 16;

/// Refusals after which a request with descriptors fails: with the pauses between them about a third of a second.
const REFUSALS: u8 = 6;

/// An empty queue keeps its memory up to this many requests.
const REQUESTS_KEPT: usize = 64;

/// The output that is queued or not yet reported. A stream has it only while there is some.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(super) queue: VecDeque<Request>,
    /// Bytes in the queue.
    pub(super) bytes: usize,
    /// Unreported results of writes.
    pub(super) done: VecDeque<Result<()>>,
    /// The unreported result of a connect.
    pub(super) connect: Option<Result<(), Errno>>,
    pub(super) shutdown: Option<Shutdown>,
}

pub(super) enum Shutdown {
    /// The FIN waits for the queue.
    Wanted,
    /// The FIN is sent or has failed, which is not yet reported.
    Done(Result<(), Errno>),
}

/// How much one write call took.
pub(super) enum Progress {
    Went,
    Full,
    Emptied,
}

/// A write request: its buffers, and the descriptors that travel with its first byte.
pub(super) struct Request {
    first: Bytes,
    rest: VecDeque<Bytes>,
    fds: Vec<Rc<OwnedFd>>,
    /// How often the kernel has refused its descriptors.
    refusals: u8,
}

impl Request {
    pub(super) const fn new(first: Bytes, rest: VecDeque<Bytes>, fds: Vec<Rc<OwnedFd>>) -> Self {
        Self { first, rest, fds, refusals: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.rest.iter().fold(self.first.len(), |sum, buffer| sum.saturating_add(buffer.len()))
    }

    pub(super) fn has_fds(&self) -> bool {
        !self.fds.is_empty()
    }

    fn buffers(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest).filter(|buffer| !buffer.is_empty())
    }

    /// Drops the first `count` bytes. Returns the part of `count` beyond the request's bytes.
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
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.done.is_empty() && self.connect.is_none() && self.shutdown.is_none()
    }

    /// Whether there is a result to report.
    pub(super) fn has_news(&self) -> bool {
        !self.done.is_empty() || self.connect.is_some() || matches!(self.shutdown, Some(Shutdown::Done(_)))
    }

    /// Releases the memory of an unusually long queue.
    pub(super) fn shrink(&mut self) {
        self.queue.shrink_to(REQUESTS_KEPT);
        self.done.shrink_to(REQUESTS_KEPT);
    }

    pub(super) fn push(&mut self, request: Request) {
        self.bytes += request.len();
        self.queue.push_back(request);
    }

    /// Writes once and completes the requests that this finishes.
    pub(super) fn write(&mut self, fd: BorrowedFd<'_>, means: Means) -> Result<Progress, Errno> {
        let (offered, taken) = match self.write_head(fd, means) {
            Err(errno) if errno.would_block() => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::WriteBlocks);
                return Ok(Progress::Full);
            }
            result => result?,
        };
        self.advance(taken);
        if self.queue.is_empty() {
            return Ok(Progress::Emptied);
        }
        #[cfg(upcall_faults)]
        if taken < offered {
            crate::faults::reached(crate::faults::Branch::WriteShort);
        }
        // A short write means that the kernel's buffer is full; the poller reports when there is room.
        Ok(if taken < offered { Progress::Full } else { Progress::Went })
    }

    /// Writes the head of the queue. Returns the numbers of bytes offered and taken.
    fn write_head(&mut self, fd: BorrowedFd<'_>, means: Means) -> Result<(usize, usize), Errno> {
        let is_alone = self.queue.len() == 1;
        let Some(head) = self.queue.front_mut() else { return Ok((0, 0)) };
        if head.has_fds() {
            return send_with_fds(head, fd, means);
        }
        if is_alone && head.rest.is_empty() {
            let data = &head.first;
            if data.is_empty() {
                return Ok((0, 0));
            }
            let taken = retrying(|| sys::socket::write(fd, means, data))?;
            return Ok((data.len(), taken));
        }
        // A request with descriptors begins a message of its own.
        let plain = self.queue.iter().take_while(|request| !request.has_fds());
        let (slices, used, offered) = gather(plain.flat_map(Request::buffers));
        if used == 0 {
            return Ok((0, 0));
        }
        let taken = retrying(|| sys::socket::writev(fd, means, &slices[..used]))?;
        Ok((offered, taken))
    }

    /// Removes `count` written bytes from the queue and completes the requests that end with them.
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

    /// Records that the kernel refused the descriptors of the first request. Returns whether it may be retried, or
    /// `None` for a request without descriptors.
    pub(super) fn may_try_again(&mut self) -> Option<bool> {
        let head = self.queue.front_mut().filter(|head| head.has_fds())?;
        head.refusals += 1;
        Some(head.refusals < REFUSALS)
    }

    pub(super) fn fail_head(&mut self, error: Error) {
        if let Some(head) = self.queue.pop_front() {
            self.bytes -= head.len();
            self.done.push_back(Err(error));
        }
    }

    /// Completes all queued requests as cancelled.
    pub(super) fn cancel_queue(&mut self) {
        while !self.queue.is_empty() {
            self.fail_head(Error::new("write", Errno::ECANCELED));
        }
    }
}

/// Returns the first buffers for one call, their number, and their bytes.
fn gather<'a>(buffers: impl Iterator<Item = &'a Bytes>) -> ([IoSlice<'a>; BUFFERS_PER_WRITE], usize, usize) {
    let mut slices = [IoSlice::new(&[]); BUFFERS_PER_WRITE];
    let (mut used, mut bytes) = (0, 0);
    for (slot, buffer) in slices.iter_mut().zip(buffers) {
        *slot = IoSlice::new(buffer);
        used += 1;
        bytes += buffer.len();
    }
    (slices, used, bytes)
}

/// Sends the first request alone, with its descriptors. They travel with its first byte; the rest is sent without.
fn send_with_fds(request: &mut Request, fd: BorrowedFd<'_>, means: Means) -> Result<(usize, usize), Errno> {
    let (slices, used, offered) = gather(request.buffers());
    let fds: Vec<RawFd> = request.fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let taken = retrying(|| sys::message::send(fd, means, &slices[..used], &fds))?;
    request.fds.clear();
    Ok((offered, taken))
}

pub(super) fn retrying(mut write: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    for _ in 0..INTERRUPTIONS {
        match write() {
            Err(Errno::EINTR) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::WriteInterrupted);
            }
            result => return result,
        }
    }
    #[cfg(upcall_faults)]
    crate::faults::reached(crate::faults::Branch::WriteInterruptedOften);
    Err(Errno::EINTR)
}
