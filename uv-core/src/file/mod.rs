//! Files and folders, through the thread pool: a request for each operation. Mirrors `uv_fs_t`, libuv's
//! `src/unix/fs.c`, for what a program that serves files needs.
//!
//! Files block: the kernel has no readiness for them. So each operation is [`Work`] of the thread pool, with one completion on
//! the loop's thread, and can be cancelled before it begins. The pool may run several requests of one file at the same
//! time, as in libuv: a request that depends on another one is made in that one's completion.
//!
//! [`Stream::write_file`](crate::Stream::write_file) sends a [`FileRange`] without a copy.
//!
//! ```
//! use std::fs::OpenOptions;
//! use uv_core::file::File;
//! use uv_core::{Loop, RunMode};
//!
//! let event_loop = Loop::new()?;
//! File::open(&event_loop, "Cargo.toml", OpenOptions::new().read(true), |opened| {
//!     let file = opened.expect("it exists");
//!     let read = file.read(0, 9, |data| assert_eq!(data.as_deref(), Ok(&b"[package]"[..])));
//!     read.expect("the file is open");
//! })?;
//! assert!(!event_loop.run(RunMode::Default)?);
//! # Ok::<(), uv_core::Error>(())
//! ```

mod paths;
mod range;

pub use paths::{DirEntry, mkdir, rename, rmdir, scandir, stat, unlink};
pub use range::FileRange;

use crate::pool::Lane;
use crate::sys;
use crate::threads::Work;
use crate::{Errno, Error, LoopHandle, Result};
use bytes::Bytes;
use paths::checked;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, Metadata, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// The most bytes of one `read`, as in libuv: what the kernel reads in one call (`MAX_RW_COUNT`).
const BYTES_PER_READ: usize = 0x7fff_f000;

/// An open file or folder (`uv_file`). Clones share it.
///
/// It keeps no loop alive; its requests do. Dropping the last clone closes the descriptor on this thread, after the last
/// request and the last [`FileRange`]; [`close`](Self::close) does it in the pool, and reports errors.
#[derive(Clone)]
pub struct File(Rc<Inner>);

struct Inner {
    event_loop: LoopHandle,
    path: Rc<Path>,
    metadata: Metadata,
    /// `None` once the file is closing.
    file: RefCell<Option<Arc<fs::File>>>,
    requests: RefCell<Requests>,
}

/// The requests that are not complete, in order.
#[derive(Default)]
struct Requests {
    waiting: VecDeque<(u64, Work)>,
    last: u64,
    /// The close, which waits for them.
    close: Cell<Option<Work>>,
}

impl File {
    /// Opens a file (`uv_fs_open`). `after` gets it, or the error: `EINVAL` for options that contradict each other, or that
    /// neither read nor write nor append.
    ///
    /// # Errors
    /// `EINVAL` for a path that is empty or contains NUL.
    pub fn open(
        event_loop: &LoopHandle,
        path: impl AsRef<Path>,
        options: &OpenOptions,
        after: impl FnOnce(Result<Self>) + 'static,
    ) -> Result<Work> {
        let path = checked("open", path.as_ref())?;
        let (options, to_open) = (options.clone(), path.to_owned());
        Ok(open_by(event_loop, path, move || sys::file::open(&to_open, &options), after))
    }

    /// Opens a file or folder beneath this folder, for reading. `after` gets it, or the error: `EXDEV` if the path leads out
    /// of the folder, by `..`, by a symbolic link, or by being absolute. Other processes that rename folders meanwhile
    /// cannot make it lead out either. A FIFO does not block.
    ///
    /// The kernel checks that (`RESOLVE_BENEATH` of openat2(2)). Before Linux 5.6 symbolic links are not followed at all:
    /// the error is `ELOOP` or `ENOTDIR`.
    ///
    /// # Errors
    /// `EINVAL` for a path that is empty or contains NUL, `EBADF` once this folder is closed.
    pub fn open_beneath(
        &self,
        path: impl AsRef<Path>,
        after: impl FnOnce(Result<Self>) + 'static,
    ) -> Result<Work> {
        let path = checked("open", path.as_ref())?;
        let (folder, to_open) = (self.descriptor("open")?, path.to_owned());
        let whole = self.path().join(path);
        let open = move || sys::file::open_beneath(folder.as_fd(), &to_open);
        Ok(open_by(&self.0.event_loop, &whole, open, after))
    }

    /// Like [`open_beneath`](Self::open_beneath), at once and on this thread, if the kernel has every part of the path in memory
    /// (`RESOLVE_CACHED`): for files that are opened again and again, it spares the way to another thread and back.
    ///
    /// # Errors
    /// `EAGAIN` if the disk would have to be asked, which is for `open_beneath` to do, and before Linux 5.12; otherwise as for
    /// `open_beneath` and its completion.
    pub fn try_open_beneath(&self, path: impl AsRef<Path>) -> Result<Self> {
        let path = checked("open", path.as_ref())?;
        let (folder, whole) = (self.descriptor("open")?, self.path().join(path));
        let opened = sys::file::try_open_beneath(folder.as_fd(), path);
        let opened = opened.and_then(|file| Ok((sys::file::metadata(&file)?, file)));
        let (metadata, file) = opened.map_err(|errno| Error::new("open", errno).on(whole.display()))?;
        Ok(Self::new(&self.0.event_loop, file, metadata, &whole))
    }

    /// Takes over a file that was opened otherwise. `path` is for errors.
    ///
    /// # Errors
    /// Any error of `fstat(2)`.
    pub fn from_std(event_loop: &LoopHandle, file: fs::File, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = sys::file::metadata(&file);
        let metadata = metadata.map_err(|errno| Error::new("fstat", errno).on(path.display()))?;
        Ok(Self::new(event_loop, file, metadata, path))
    }

    fn new(event_loop: &LoopHandle, file: fs::File, metadata: Metadata, path: &Path) -> Self {
        Self(Rc::new(Inner {
            event_loop: event_loop.clone(),
            path: Rc::from(path),
            metadata,
            file: RefCell::new(Some(Arc::new(file))),
            requests: RefCell::default(),
        }))
    }

    /// The path by which the file was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Kind, length, times and identity of the file when it was opened.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.file.borrow().is_none()
    }

    /// Asks for kind, length and times as they are now (`uv_fs_fstat`).
    ///
    /// # Errors
    /// `EBADF` once the file is closed.
    pub fn stat(&self, after: impl FnOnce(Result<Metadata>) + 'static) -> Result<Work> {
        self.request("fstat", sys::file::metadata, after)
    }

    /// Reads up to `len` bytes at the offset (`uv_fs_read`): fewer at the end of the file, none beyond it, and fewer if the
    /// system has fewer at hand.
    ///
    /// # Errors
    /// `EINVAL` for more than 2 GiB, `EBADF` once the file is closed.
    pub fn read(
        &self,
        offset: u64,
        len: usize,
        after: impl FnOnce(Result<Vec<u8>>) + 'static,
    ) -> Result<Work> {
        if len > BYTES_PER_READ {
            return Err(self.error("read", Errno::EINVAL));
        }
        self.request("read", move |file| sys::file::read_at(file, offset, len), after)
    }

    /// Writes all of `data` at the offset (`uv_fs_write`). After an error some of it may be written.
    ///
    /// # Errors
    /// `EBADF` once the file is closed.
    pub fn write(
        &self,
        offset: u64,
        data: impl Into<Bytes>,
        after: impl FnOnce(Result<()>) + 'static,
    ) -> Result<Work> {
        let data = data.into();
        self.request("write", move |file| sys::file::write_all(file, Some(offset), &data), after)
    }

    /// Writes all of `data` at the position of the open file: at its end, if it was opened with
    /// [`append`](OpenOptions::append).
    ///
    /// # Errors
    /// `EBADF` once the file is closed.
    pub fn append(&self, data: impl Into<Bytes>, after: impl FnOnce(Result<()>) + 'static) -> Result<Work> {
        let data = data.into();
        self.request("write", move |file| sys::file::write_all(file, None, &data), after)
    }

    /// Waits until what was written is on the disk (`uv_fs_fsync`).
    ///
    /// # Errors
    /// `EBADF` once the file is closed.
    pub fn sync(&self, after: impl FnOnce(Result<()>) + 'static) -> Result<Work> {
        self.request("fsync", sys::file::sync, after)
    }

    /// Closes the file (`uv_fs_close`). Requests that have not begun are cancelled, in order, and those that run are waited
    /// for; `after` is called last. To keep what is queued, close in the completion of the last request.
    ///
    /// A [`FileRange`] that waits to be sent keeps the descriptor open for itself.
    ///
    /// # Errors
    /// `EBADF` if it was called before.
    pub fn close(&self, after: impl FnOnce(Result<()>) + 'static) -> Result<()> {
        let file = self.0.file.take().ok_or_else(|| self.error("close", Errno::EBADF))?;
        let path = self.shared_path();
        // The last owner closes, which is a range if one is left.
        let close = move || Arc::into_inner(file).map_or(Ok(()), sys::file::close);
        let close =
            self.0.event_loop.prepare_work(close, move |closed| after(completed("close", &path, closed)));
        let requests = self.0.requests.borrow();
        requests.close.set(Some(close));
        for (_, request) in &requests.waiting {
            // Fails for a request that has begun.
            let _ = request.cancel();
        }
        requests.close_if_last();
        Ok(())
    }

    /// The descriptor, shared with this file.
    fn descriptor(&self, op: &'static str) -> Result<Arc<fs::File>> {
        self.0.file.borrow().clone().ok_or_else(|| self.error(op, Errno::EBADF))
    }

    fn shared_path(&self) -> Rc<Path> {
        Rc::clone(&self.0.path)
    }

    fn error(&self, op: &'static str, errno: Errno) -> Error {
        Error::new(op, errno).on(self.path().display())
    }

    fn request<T: Send + 'static>(
        &self,
        op: &'static str,
        work: impl FnOnce(&fs::File) -> Result<T, Errno> + Send + 'static,
        after: impl FnOnce(Result<T>) + 'static,
    ) -> Result<Work> {
        let file = self.descriptor(op)?;
        let inner = Rc::clone(&self.0);
        let number = {
            let mut requests = self.0.requests.borrow_mut();
            requests.last += 1;
            requests.last
        };
        let request = self.0.event_loop.queue_work(
            move || work(&file),
            move |result| {
                inner.requests.borrow_mut().end(number);
                let result = completed(op, &inner.path, result);
                // If the program drops its last handle in `after`, the file is closed there.
                drop(inner);
                after(result);
            },
        );
        self.0.requests.borrow_mut().waiting.push_back((number, request.clone()));
        Ok(request)
    }
}

impl Requests {
    /// Notes that a request is complete.
    fn end(&mut self, number: u64) {
        // Mostly one of the first, as the pool serves them in order.
        if let Some(at) = self.waiting.iter().position(|(known, _)| *known == number) {
            self.waiting.remove(at);
        }
        self.close_if_last();
    }

    fn close_if_last(&self) {
        if self.waiting.is_empty()
            && let Some(close) = self.close.take()
        {
            close.submit(Lane::Every);
        }
    }
}

/// The result of a request: what the call returned, or why it was not made.
fn completed<T>(op: &'static str, path: &Path, result: Result<Result<T, Errno>>) -> Result<T> {
    let result = result.map_err(|error| error.errno()).and_then(|result| result);
    result.map_err(|errno| Error::new(op, errno).on(path.display()))
}

/// Opens in the pool, and asks at once what was opened.
fn open_by(
    event_loop: &LoopHandle,
    path: &Path,
    open: impl FnOnce() -> Result<fs::File, Errno> + Send + 'static,
    after: impl FnOnce(Result<File>) + 'static,
) -> Work {
    let (event_loop, path) = (event_loop.clone(), path.to_owned());
    let open = move || {
        let file = open()?;
        let metadata = sys::file::metadata(&file)?;
        Ok((file, metadata))
    };
    let requester = event_loop.clone();
    requester.queue_work(open, move |opened| {
        let opened = completed("open", &path, opened);
        after(opened.map(|(file, metadata)| File::new(&event_loop, file, metadata, &path)));
    })
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path())
            .field("closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}
