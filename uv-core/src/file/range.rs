//! A part of a file, as a stream sends it. Mirrors the input of `uv_fs_sendfile`, which here waits in the stream's queue.

use super::File;
use crate::sys;
use crate::sys::socket::Means;
use crate::{Errno, Error, Result};
use std::fmt;
use std::fs;
use std::io::IoSlice;
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes that are read into memory at a time, of a file that the kernel cannot send by itself.
const COPIED: usize = 64 * 1024;

/// A part of an open file, which a stream can send: see [`Stream::write_file`](crate::Stream::write_file).
///
/// It keeps the descriptor open, whatever happens to the [`File`].
#[derive(Clone)]
pub struct FileRange {
    file: Arc<fs::File>,
    path: Rc<Path>,
    start: u64,
    end: u64,
}

impl File {
    /// A part of the file, from one offset to another; `..` is everything that the file had when it was opened.
    ///
    /// Nothing is read. If the file is shorter when its turn comes, sending it fails with `ENODATA`.
    ///
    /// # Errors
    /// `EISDIR` for a folder; `EINVAL` for anything else that is not a regular file, and for a range whose end lies before
    /// its start; `EBADF` once the file is closed.
    pub fn range(&self, range: impl RangeBounds<u64>) -> Result<FileRange> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.metadata().len().max(start),
        };
        let kind = self.metadata().file_type();
        let failed = |errno| Error::new("sendfile", errno).on(self.path().display());
        if kind.is_dir() {
            return Err(failed(Errno::EISDIR));
        }
        if !kind.is_file() {
            return Err(failed(Errno::EINVAL).noting("this is not a regular file"));
        }
        if end < start {
            return Err(failed(Errno::EINVAL).noting("the range ends before its start"));
        }
        Ok(FileRange { file: self.descriptor("sendfile")?, path: self.shared_path(), start, end })
    }
}

impl FileRange {
    /// The offset of the first byte.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The path by which the file was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the first `count` bytes, or all.
    pub fn advance(&mut self, count: u64) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Sends up to `most` bytes to a stream, whose mode decides whether that blocks.
    pub(crate) fn send(&self, to: BorrowedFd<'_>, means: Means, most: usize) -> Result<usize, Errno> {
        let len = usize::try_from(self.len()).unwrap_or(usize::MAX).min(most);
        match sys::file::send(to, self.file.as_fd(), self.start, len) {
            Ok(0) if len > 0 => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::FileShorter);
                Err(Errno::ENODATA)
            }
            // sendfile(2): "Applications may wish to fall back to read(2) and write(2)": file systems without pages, and
            // output that only appends.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::FileCopied);
                self.copy(to, means, len)
            }
            sent => sent,
        }
    }

    fn copy(&self, to: BorrowedFd<'_>, means: Means, len: usize) -> Result<usize, Errno> {
        let data = sys::file::read_at(&self.file, self.start, len.min(COPIED))?;
        if data.is_empty() && len > 0 {
            return Err(Errno::ENODATA);
        }
        sys::socket::writev(to, means, &[IoSlice::new(&data)])
    }

    /// The error of sending it.
    pub(crate) fn error(&self, errno: Errno) -> Error {
        let error = Error::new("sendfile", errno).on(self.path.display());
        if errno == Errno::ENODATA { error.noting("the file has become shorter") } else { error }
    }
}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRange")
            .field("path", &self.path)
            .field("start", &self.start)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
