//! The output of a stream: the queue of write requests, and their unreported results. Knows system calls, but neither
//! the loop nor a tower. Mirrors `write_queue` and `write_completed_queue` of `uv_stream_t` and `uv__try_write`.

use crate::failure::{Call, Failure};
use crate::file::FileRange;
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
    /// The turn's share of bytes of files is sent.
    Rests,
}

/// A write request: its buffers, unless it is a special one.
pub(super) struct Request {
    first: Bytes,
    rest: VecDeque<Bytes>,
    special: Option<Box<Special>>,
}

/// What few requests are.
enum Special {
    /// Descriptors travel with the first byte, and `refusals` is how often the kernel has refused them.
    Fds { fds: Vec<Rc<OwnedFd>>, refusals: u8 },
    /// A part of a file is sent in place of buffers. If other processes share the stream's open file, its mode is set before
    /// each call.
    File { range: FileRange, is_shared: bool },
}

impl Request {
    pub(super) fn new(first: Bytes, rest: VecDeque<Bytes>, fds: Vec<Rc<OwnedFd>>) -> Self {
        let special = (!fds.is_empty()).then(|| Box::new(Special::Fds { fds, refusals: 0 }));
        Self { first, rest, special }
    }

    pub(super) fn of_file(range: FileRange, is_shared: bool) -> Self {
        let special = Some(Box::new(Special::File { range, is_shared }));
        Self { first: Bytes::new(), rest: VecDeque::new(), special }
    }

    pub(super) fn len(&self) -> usize {
        if let Some(range) = self.file() {
            return range.len() as usize;
        }
        self.rest.iter().fold(self.first.len(), |sum, buffer| sum.saturating_add(buffer.len()))
    }

    pub(super) fn has_fds(&self) -> bool {
        matches!(self.special.as_deref(), Some(Special::Fds { .. }))
    }

    fn is_special(&self) -> bool {
        self.special.is_some()
    }

    fn file(&self) -> Option<&FileRange> {
        match self.special.as_deref()? {
            Special::File { range, .. } => Some(range),
            Special::Fds { .. } => None,
        }
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

    /// Writes once and completes the requests that this finishes. `file_bytes` is how many bytes of files the turn may still
    /// send.
    pub(super) fn write(
        &mut self,
        fd: BorrowedFd<'_>,
        means: Means,
        file_bytes: &mut usize,
    ) -> Result<Progress, Errno> {
        if self.queue.front().is_some_and(Request::is_special) {
            return self.write_special(fd, means, file_bytes);
        }
        let written = self.write_head(fd, means);
        self.note_written(written)
    }

    /// Notes how many bytes a call was offered and took, and completes the requests that end with them.
    fn note_written(&mut self, written: Result<(usize, usize), Errno>) -> Result<Progress, Errno> {
        let (offered, taken) = match written {
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

    /// Writes the head of the queue, which has buffers. Returns the numbers of bytes offered and taken.
    fn write_head(&self, fd: BorrowedFd<'_>, means: Means) -> Result<(usize, usize), Errno> {
        let is_alone = self.queue.len() == 1;
        let Some(head) = self.queue.front() else { return Ok((0, 0)) };
        if is_alone && head.rest.is_empty() {
            let data = &head.first;
            if data.is_empty() {
                return Ok((0, 0));
            }
            let taken = retrying(|| sys::socket::write(fd, means, data))?;
            return Ok((data.len(), taken));
        }
        // A request with descriptors begins a message of its own.
        let plain = self.queue.iter().take_while(|request| !request.is_special());
        let (slices, used, offered) = gather(plain.flat_map(Request::buffers));
        if used == 0 {
            return Ok((0, 0));
        }
        let taken = retrying(|| sys::socket::writev(fd, means, &slices[..used]))?;
        Ok((offered, taken))
    }

    /// Writes the head of the queue, which is a special request.
    #[inline(never)]
    fn write_special(
        &mut self,
        fd: BorrowedFd<'_>,
        means: Means,
        file_bytes: &mut usize,
    ) -> Result<Progress, Errno> {
        match self.queue.front_mut().and_then(|head| head.special.as_deref_mut()) {
            Some(Special::File { range, is_shared }) => {
                if *file_bytes == 0 && !range.is_empty() {
                    return Ok(Progress::Rests);
                }
                let taken = match send_file(range, *is_shared, fd, means, *file_bytes) {
                    Err(errno) if errno.would_block() => {
                        #[cfg(upcall_faults)]
                        crate::faults::reached(crate::faults::Branch::FileBlocks);
                        return Ok(Progress::Full);
                    }
                    result => result?,
                };
                range.advance(taken as u64);
                let is_sent = range.is_empty();
                *file_bytes -= taken;
                self.bytes -= taken;
                if is_sent {
                    self.queue.pop_front();
                    self.done.push_back(Ok(()));
                }
                // Unlike a short write, a short sendfile(2) may have been cut by anything: only EAGAIN tells that the kernel's
                // buffer is full.
                Ok(if self.queue.is_empty() { Progress::Emptied } else { Progress::Went })
            }
            Some(Special::Fds { .. }) => {
                let written =
                    self.queue.front_mut().map_or(Ok((0, 0)), |head| send_with_fds(head, fd, means));
                self.note_written(written)
            }
            None => Ok(Progress::Went),
        }
    }

    /// Removes `count` written bytes from the queue and completes the requests that end with them.
    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(head) = self.queue.front_mut() {
            count = head.advance(count);
            if !head.first.is_empty() || head.is_special() {
                return;
            }
            self.queue.pop_front();
            self.done.push_back(Ok(()));
        }
    }

    /// Records that the kernel refused the descriptors of the first request. Returns whether it may be retried, or
    /// `None` for a request without descriptors.
    pub(super) fn may_try_again(&mut self) -> Option<bool> {
        match self.queue.front_mut()?.special.as_deref_mut()? {
            Special::Fds { refusals, .. } => {
                *refusals += 1;
                Some(*refusals < REFUSALS)
            }
            Special::File { .. } => None,
        }
    }

    /// Whether the first request is a part of a file.
    pub(super) fn sends_file(&self) -> bool {
        self.queue.front().is_some_and(|head| head.file().is_some())
    }

    /// The error of writing the first request.
    pub(super) fn error_of_head(&self, errno: Errno) -> Error {
        let file = self.queue.front().and_then(Request::file);
        file.map_or_else(|| Error::new("write", errno), |file| error_of_file(file, errno))
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
    let fds: Vec<RawFd> = match request.special.as_deref() {
        Some(Special::Fds { fds, .. }) => fds.iter().map(|fd| fd.as_raw_fd()).collect(),
        _ => Vec::new(),
    };
    let taken = retrying(|| sys::message::send(fd, means, &slices[..used], &fds))?;
    request.special = None;
    Ok((offered, taken))
}

/// Sends some of a file, at most `most` bytes. If other processes share the stream's open file they may have changed its
/// mode, which decides whether this call blocks.
pub(super) fn send_file(
    range: &FileRange,
    is_shared: bool,
    fd: BorrowedFd<'_>,
    means: Means,
    most: usize,
) -> Result<usize, Errno> {
    if range.is_empty() {
        return Ok(0);
    }
    if is_shared {
        sys::fd::set_nonblocking(fd, !matches!(means, Means::WaitingSocket))?;
    }
    retrying(|| range.send(fd, means, most))
}

/// The error of sending a file: the peer's end is not the file's.
pub(super) fn error_of_file(file: &FileRange, errno: Errno) -> Error {
    match Failure::of(Call::Write, errno) {
        Failure::Peer => Error::new("write", errno),
        _ => file.error(errno),
    }
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
