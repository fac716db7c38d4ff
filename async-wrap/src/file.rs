//! Files and folders to await: a request of the thread pool for each operation. Mirrors `fs/promises`, Node's
//! `lib/internal/fs/promises.js`, for what [`uv_core::file`] has.
//!
//! Each request is made at the first poll, runs in a context of its own (`FSREQPROMISE`), and keeps the loop alive. Dropping a
//! future cancels a request that has not begun. A request that runs goes on in its thread: a write may still happen, and a file
//! that is opened is closed there. The loop does not wait for it.
//!
//! ```
//! use async_wrap::{Environment, file};
//!
//! let env = Environment::with_new_loop()?;
//! let inner = env.clone();
//! let text = env.block_on(async move { file::read(&inner, "Cargo.toml").await })??;
//! assert!(text.starts_with(b"[package]"));
//! # Ok::<(), uv_core::Error>(())
//! ```

use crate::awaited::{After, work_of};
use crate::task::Slot;
use crate::{Environment, Provider};
use bytes::Bytes;
use std::fs::{Metadata, OpenOptions};
use std::path::Path;
use std::rc::Rc;
use uv_core::file as requests;
use uv_core::threads::Work;
use uv_core::{Errno, Error, Result};

pub use uv_core::file::DirEntry;

/// The most bytes of a file that [`read`] returns, as in Node (`kIoMaxLength`): 2 GiB.
const LARGEST: usize = (1 << 31) - 1;

/// The bytes of each request of [`read`], Node's `kReadFileBufferLength`.
const READ: usize = 512 * 1024;

/// An open file or folder. Clones share it. Dropping the last one closes the descriptor, on this thread, behind the last request.
///
/// ```
/// use async_wrap::Environment;
/// use async_wrap::file::File;
/// use std::fs::OpenOptions;
///
/// let env = Environment::with_new_loop()?;
/// let inner = env.clone();
/// let begin = env.block_on(async move {
///     let file = File::open(&inner, "Cargo.toml", OpenOptions::new().read(true)).await?;
///     file.read_at(1, 7).await
/// })??;
/// assert_eq!(begin, b"package");
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct File {
    env: Environment,
    file: requests::File,
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// As for [`File::open`](requests::File::open) of the loop, and its completion.
    pub async fn open(env: &Environment, path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        let open = |after| requests::File::open(env.loop_handle(), path, options, after);
        request(env, open).await.map(|file| Self { env: env.clone(), file })
    }

    /// Opens a file or folder beneath this folder, for reading; no path leads out of it.
    ///
    /// # Errors
    /// As for [`File::open_beneath`](requests::File::open_beneath) of the loop, and its completion.
    pub async fn open_beneath(&self, path: impl AsRef<Path>) -> Result<Self> {
        let file = self.request(|file, after| file.open_beneath(path, after)).await?;
        Ok(Self { env: self.env.clone(), file })
    }

    /// The file beneath: for its path, its [`range`](requests::File::range), and the calls with callbacks.
    #[must_use]
    pub fn handle(&self) -> &requests::File {
        &self.file
    }

    /// Kind, length and times as they are now.
    ///
    /// # Errors
    /// `EBADF` once the file is closed; any error of `fstat(2)`.
    pub async fn stat(&self) -> Result<Metadata> {
        self.request(requests::File::stat).await
    }

    /// Reads up to `len` bytes at the offset: fewer at the end of the file, none beyond it.
    ///
    /// # Errors
    /// `EINVAL` for more than 2 GiB, `EBADF` once the file is closed; any error of `pread(2)`.
    pub async fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.request(|file, after| file.read(offset, len, after)).await
    }

    /// Writes all of `data` at the offset. After an error, or a drop of the future, some of it may be written.
    ///
    /// # Errors
    /// `EBADF` once the file is closed; any error of `pwrite(2)`.
    pub async fn write_at(&self, offset: u64, data: impl Into<Bytes>) -> Result<()> {
        self.request(|file, after| file.write(offset, data, after)).await
    }

    /// Writes all of `data` at the position of the open file: at its end, if it was opened with
    /// [`append`](OpenOptions::append). After an error, or a drop of the future, some of it may be written.
    ///
    /// # Errors
    /// `EBADF` once the file is closed; any error of `write(2)`.
    pub async fn append(&self, data: impl Into<Bytes>) -> Result<()> {
        self.request(|file, after| file.append(data, after)).await
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// `EBADF` once the file is closed; any error of `fsync(2)`.
    pub async fn sync(&self) -> Result<()> {
        self.request(requests::File::sync).await
    }

    /// Reads from the begin to the end.
    ///
    /// # Errors
    /// `EOVERFLOW` beyond 2 GiB; as for [`read_at`](Self::read_at).
    pub async fn read_to_end(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let part = self.read_at(all.len() as u64, READ).await?;
            if part.is_empty() {
                return Ok(all);
            }
            if all.len() + part.len() > LARGEST {
                return Err(Error::new("read", Errno::EOVERFLOW).on(self.file.path().display()));
            }
            all.extend_from_slice(&part);
        }
    }

    /// Closes the file in the pool, and reports errors, which dropping it does not. Requests of clones that have not begun are
    /// cancelled.
    ///
    /// Dropping the future, once it was polled, closes the file all the same.
    ///
    /// # Errors
    /// `EBADF` if a clone was closed before; any error of `close(2)`.
    pub async fn close(self) -> Result<()> {
        let slot = Rc::new(Slot::default());
        let told = Rc::clone(&slot);
        self.file.close(self.env.request(Provider::FsReqPromise, move |closed| told.put(closed)))?;
        slot.value().await
    }

    async fn request<T: 'static>(
        &self,
        make: impl FnOnce(&requests::File, After<T>) -> Result<Work>,
    ) -> Result<T> {
        request(&self.env, |after| make(&self.file, after)).await
    }
}

async fn request<T: 'static>(env: &Environment, make: impl FnOnce(After<T>) -> Result<Work>) -> Result<T> {
    work_of(env, Provider::FsReqPromise, make).await
}

/// Reads a whole file, which has offsets: no FIFO.
///
/// # Errors
/// As for [`File::open`] and [`File::read_to_end`].
pub async fn read(env: &Environment, path: impl AsRef<Path>) -> Result<Vec<u8>> {
    File::open(env, path, OpenOptions::new().read(true)).await?.read_to_end().await
}

/// Creates a file, or empties it, and writes all of `data`.
///
/// # Errors
/// As for [`File::open`] and [`File::write_at`].
pub async fn write(env: &Environment, path: impl AsRef<Path>, data: impl Into<Bytes>) -> Result<()> {
    let options = OpenOptions::new().write(true).create(true).truncate(true).clone();
    File::open(env, path, &options).await?.write_at(0, data).await
}

/// Asks for kind, length and times of a file; symbolic links are followed.
///
/// # Errors
/// As for [`stat`](requests::stat) of the loop, and its completion.
pub async fn stat(env: &Environment, path: impl AsRef<Path>) -> Result<Metadata> {
    request(env, |after| requests::stat(env.loop_handle(), path, after)).await
}

/// Lists a folder, sorted by name.
///
/// # Errors
/// As for [`scandir`](requests::scandir) of the loop, and its completion.
pub async fn scandir(env: &Environment, path: impl AsRef<Path>) -> Result<Vec<DirEntry>> {
    request(env, |after| requests::scandir(env.loop_handle(), path, after)).await
}

/// Renames a file or folder, and replaces a file of the new name.
///
/// # Errors
/// As for [`rename`](requests::rename) of the loop, and its completion.
pub async fn rename(env: &Environment, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    request(env, |after| requests::rename(env.loop_handle(), from, to, after)).await
}

/// Removes a file.
///
/// # Errors
/// As for [`unlink`](requests::unlink) of the loop, and its completion.
pub async fn unlink(env: &Environment, path: impl AsRef<Path>) -> Result<()> {
    request(env, |after| requests::unlink(env.loop_handle(), path, after)).await
}

/// Makes a folder with these permissions, less the process's umask.
///
/// # Errors
/// As for [`mkdir`](requests::mkdir) of the loop, and its completion.
pub async fn mkdir(env: &Environment, path: impl AsRef<Path>, mode: u32) -> Result<()> {
    request(env, |after| requests::mkdir(env.loop_handle(), path, mode, after)).await
}

/// Removes an empty folder.
///
/// # Errors
/// As for [`rmdir`](requests::rmdir) of the loop, and its completion.
pub async fn rmdir(env: &Environment, path: impl AsRef<Path>) -> Result<()> {
    request(env, |after| requests::rmdir(env.loop_handle(), path, after)).await
}
