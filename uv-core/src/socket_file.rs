//! The file of a Unix socket: whether it is still this process's to remove, and whether a file in the way is left over.
//! libuv removes whatever file has the bound name; see `uv__pipe_close`, libuv's `src/unix/pipe.c`.

use crate::sys;
use crate::sys::addr::SockAddr;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The note of a `bind` error if no process has a socket bound to the file in the way.
pub(crate) const LEFT_OVER: &str = "left over: nothing listens on this socket file";

/// The note of a `bind` error for libuv's `EACCES`, which looks like a lack of permission.
pub(crate) const NO_DIRECTORY: &str = "the directory does not exist";

/// The socket file that this process has created by `bind`.
///
/// Its device and inode tell it from a later file at the same path: while the socket is open no other file gets them.
pub(crate) struct SocketFile {
    /// Absolute, because the working directory may change.
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Calls `bind`, which creates a socket file at `name`. Returns no file if its path is unknown, for example because
    /// the working directory has changed meanwhile: then the file is never removed.
    pub(crate) fn bind<E>(name: &OsStr, bind: impl FnOnce() -> Result<(), E>) -> Result<Option<Self>, E> {
        let path = std::path::absolute(name).ok();
        bind()?;
        let known = path.filter(|path| std::path::absolute(name).is_ok_and(|now| now == *path));
        Ok(known.and_then(|path| {
            let found = socket(&path)?;
            Some(Self { path, device: found.dev(), inode: found.ino() })
        }))
    }

    /// The path, if the file there is still the file of this socket.
    pub(crate) fn path(&self) -> Option<&Path> {
        let is_ours = |found: Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        socket(&self.path).is_some_and(is_ours).then_some(&self.path)
    }

    /// Removes the file, unless it has been replaced. Call this before the socket is closed.
    pub(crate) fn remove(&self) {
        if let Some(path) = self.path() {
            // Another process may have removed it in this moment.
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether `name` is a socket file to which no process has bound a socket: its owner has ended without removing it. A
/// stream listener does not notice this check.
pub(crate) fn is_left_over(name: &OsStr, addr: &SockAddr) -> bool {
    socket(Path::new(name)).is_some() && sys::socket::is_unbound(addr)
}

fn socket(path: &Path) -> Option<Metadata> {
    let found: io::Result<Metadata> = fs::symlink_metadata(path);
    found.ok().filter(|found| found.file_type().is_socket())
}
