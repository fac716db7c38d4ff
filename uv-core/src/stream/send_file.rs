//! Sending parts of files, without a copy through this process and in order with other writes. Mirrors
//! `uv_fs_sendfile`, which libuv runs in its thread pool and which blocks there until the peer has read.
//!
//! Here sendfile(2) runs on the loop's thread, as in nginx: the socket does not block, and what a busy server sends is
//! mostly in the kernel's memory. What is not has to be read from the disk first, and the loop waits for that: within the
//! bound of a turn, and mostly for less, because the kernel reads ahead of a file that is read in order.

use super::flags::{BROKEN, CONNECTING, SHARED};
use super::outgoing::{Request, error_of_file, send_file};
use super::{Stream, StreamInner};
use crate::failure::{Call, Failure};
use crate::file::FileRange;
use crate::layer::trace::Facts;
use crate::poller::Readiness;
use crate::{Errno, Error, LAYER, Result};
use std::rc::Rc;

/// Bytes of files that one stream sends per turn: about a quarter of a millisecond for a fast peer, during which other
/// streams wait, and enough to make a call's own cost negligible.
pub(super) const FILE_BYTES_PER_TURN: usize = 1 << 20;

impl Stream {
    /// Sends what the kernel takes now of a part of a file, at most 1 MiB. Returns the number of bytes.
    ///
    /// # Errors
    /// As for [`try_write`](Self::try_write); `ENODATA` if the file has become shorter than the part; any error of
    /// `sendfile(2)`, such as `EIO` of the disk. An error of the file names its path.
    pub fn try_write_file(&self, file: &FileRange) -> Result<usize> {
        let _down = LAYER.down("Stream::try_write_file", || Facts::of(self));
        self.0.try_write_file(file)
    }

    /// Sends a part of a file behind everything written before, at the peer's pace: `sendfile(2)` copies nothing through
    /// this process. The loop begins with it in its next poll phase, and sends at most 1 MiB per turn.
    ///
    /// The part counts in [`write_queue_size`](Self::write_queue_size). `on_write` reports the result; `ENODATA` if the file
    /// has become shorter than the part. Nothing follows a part that failed, not even a FIN: what was written behind it waits
    /// for the close, and the stream is not writable any more. The kernel sends the bytes that the file has when they leave for
    /// the peer: a program that changes a file in place, instead of replacing it, changes what is on its way.
    ///
    /// # Errors
    /// As for [`write`](Self::write); `EINVAL` for more bytes than a `usize` holds.
    pub fn write_file(&self, file: FileRange) -> Result<()> {
        let _down = LAYER.down("Stream::write_file", || Facts::of(self));
        self.0.write_file(file)
    }
}

impl StreamInner {
    fn try_write_file(&self, file: &FileRange) -> Result<usize> {
        let Some(fd) = self.free_fd().filter(|_| !file.is_empty()) else { return self.nothing_at_once() };
        match send_file(file, self.has(SHARED), fd, self.means(), FILE_BYTES_PER_TURN) {
            Ok(count) => Ok(self.count_written(count)),
            Err(errno) => match Failure::of(Call::Write, errno) {
                // As for `try_write`: treated like a full buffer.
                Failure::Waiting | Failure::Passing | Failure::Interrupted => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::TryFileLater);
                    Err(Error::new("write", Errno::EAGAIN))
                }
                _ => {
                    #[cfg(upcall_faults)]
                    crate::faults::reached(crate::faults::Branch::TryFileReturns);
                    Err(error_of_file(file, errno))
                }
            },
        }
    }

    fn write_file(self: &Rc<Self>, file: FileRange) -> Result<()> {
        self.check_writable()?;
        let bytes = usize::try_from(file.len()).map_err(|_| file.error(Errno::EINVAL))?;
        self.count_written(bytes);
        self.event_loop().begin_request();
        let request = Request::of_file(file, self.has(SHARED));
        let is_first = self.with_output(|out| {
            out.push(request);
            out.queue.len() == 1
        });
        if is_first && !self.has(CONNECTING) {
            // No write is queued behind an earlier failure, so this one may try.
            self.clear(BROKEN);
            self.ready.set(Readiness::WRITABLE);
            self.push_ready();
        }
        self.update_active();
        Ok(())
    }
}
