//! The file of a Unix socket: which one is ours to remove, and whether one that is in the way is left over. libuv removes
//! whatever has the name that it was given; see `uv__pipe_close`, libuv's `src/unix/pipe.c`.

use crate::sys;
use crate::sys::addr::SockAddr;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What an error of `bind` notes where no process has the socket of the file that is in the way.
pub(crate) const LEFT_OVER: &str = "left over: nothing listens on this socket file";

/// What an error of `bind` notes beside libuv's `EACCES`, which sounds like a lack of rights.
pub(crate) const NO_FOLDER: &str = "there is no such folder";

/// The file that a socket of this process was bound to.
///
/// Its device and inode tell it from whatever has its path later: while the socket is open no other file gets them.
pub(crate) struct SocketFile {
    /// Absolute: the folder in which this process works may change.
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Calls `bind`, which makes a socket file at `name`. The file is not known if its path is not, because this process
    /// changed its folder meanwhile, say: then it is left where it is.
    pub(crate) fn bind<E>(name: &OsStr, bind: impl FnOnce() -> Result<(), E>) -> Result<Option<Self>, E> {
        let path = std::path::absolute(name).ok();
        bind()?;
        let known = path.filter(|path| std::path::absolute(name).is_ok_and(|now| now == *path));
        Ok(known.and_then(|path| {
            let found = socket(&path)?;
            Some(Self { path, device: found.dev(), inode: found.ino() })
        }))
    }

    /// The path, if what is there is still the file of this socket.
    pub(crate) fn path(&self) -> Option<&Path> {
        let is_ours = |found: Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        socket(&self.path).is_some_and(is_ours).then_some(&self.path)
    }

    /// Removes the file, unless it is another one by now. Call this before the socket is closed.
    pub(crate) fn remove(&self) {
        if let Some(path) = self.path() {
            // Gone in this moment is fine.
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether `name` is a socket file that no process has bound: the one that did has ended without removing it. Disturbs
/// nobody: a listener for streams does not see this.
pub(crate) fn is_left_over(name: &OsStr, addr: &SockAddr) -> bool {
    socket(Path::new(name)).is_some() && sys::socket::is_unbound(addr)
}

fn socket(path: &Path) -> Option<Metadata> {
    let found: io::Result<Metadata> = fs::symlink_metadata(path);
    found.ok().filter(|found| found.file_type().is_socket())
}
