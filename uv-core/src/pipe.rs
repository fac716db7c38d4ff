//! Unix-domain sockets and pipes, and passing handles through them. Mirrors `uv_pipe_t`, libuv's `src/unix/pipe.c`, and
//! the IPC half of `src/unix/stream.c`.

use crate::handle::HandleKind;
use crate::layer::trace::Facts;
use crate::socket_file::{LEFT_OVER, NO_DIRECTORY, SocketFile, is_left_over};
use crate::stream::{BOUND, IPC, READABLE, Received, SOCKET, Stream, StreamFlags, StreamInner, WRITABLE};
use crate::sys;
use crate::sys::addr::SockAddr;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::Permissions;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A Unix-domain socket or listener, or one end of a pipe (`uv_pipe_t`).
///
/// ```
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
/// use uv_core::upcall::StreamUpcall;
/// use uv_core::{Error, Loop, Pipe, RunMode, Stream};
///
/// struct Print;
///
/// impl StreamUpcall for Print {
///     fn on_read(&mut self, _: &Stream, data: &[u8]) {
///         println!("{}", String::from_utf8_lossy(data));
///     }
///
///     fn on_end(&mut self, pipe: &Stream) {
///         pipe.close();
///     }
///
///     fn on_read_error(&mut self, pipe: &Stream, _: Error) {
///         pipe.close();
///     }
/// }
///
/// let event_loop = Loop::new()?;
/// let pipe = Pipe::new(&event_loop);
/// let mut peer = UnixStream::from(pipe.open_pair()?);
/// pipe.set_upcall(Print);
/// pipe.read_start()?;
/// peer.write_all(b"hello").expect("write");
/// drop(peer);
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipe(Stream);

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipeName {
    /// The path of a socket file.
    Path(PathBuf),
    /// A name in Linux's abstract namespace, without its leading NUL.
    Abstract(Vec<u8>),
    /// The socket has no name.
    Unnamed,
}

impl Pipe {
    /// Creates a handle without a descriptor, which `bind`, `connect` or `open` provides (`uv_pipe_init`).
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self(Stream::create(event_loop, HandleKind::Pipe, StreamFlags::NONE))
    }

    /// Like [`new`](Self::new), for an IPC pipe, which carries descriptors.
    #[must_use]
    #[track_caller]
    pub fn new_ipc(event_loop: &LoopHandle) -> Self {
        Self(Stream::create(event_loop, HandleKind::Pipe, IPC))
    }

    /// Creates two connected sockets. The handle adopts the first; the second, which children do not inherit by
    /// themselves, is for a peer such as a child process.
    ///
    /// # Errors
    /// `EBUSY` if the handle has a descriptor already; any error of the system calls.
    pub fn open_pair(&self) -> Result<OwnedFd> {
        self.inner().check_fresh("socketpair")?;
        let (ours, theirs) =
            sys::socket::stream_pair(false).map_err(|errno| Error::new("socketpair", errno))?;
        self.inner().open(ours, SOCKET | READABLE | WRITABLE);
        Ok(theirs)
    }

    /// The same stream as a pipe, or `None` if it is not one.
    #[must_use]
    pub fn from_stream(stream: &Stream) -> Option<Self> {
        (stream.kind() == HandleKind::Pipe).then(|| Self(stream.clone()))
    }

    /// Adopts a descriptor (`uv_pipe_open`): a Unix socket, or an end of a pipe.
    ///
    /// The mode that other processes share stays as it is. A connected socket keeps its mode; a pipe or a terminal is
    /// opened a second time, under the same number. Where that is impossible, for example for a terminal of another
    /// user, the open file becomes non-blocking until its last stream is closed. A descriptor number of 0, 1 or 2 is
    /// redirected to the null device at close.
    ///
    /// Writing to a pipe without a reader raises SIGPIPE, which Rust programs ignore by default; writing to a socket
    /// never does.
    ///
    /// # Errors
    /// `EBUSY` if the handle has a descriptor already; `EINVAL` if an IPC pipe gets a descriptor that is not a socket; any
    /// error of the system calls. An error closes the descriptor.
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        let failed = |errno| Error::new("open", errno);
        self.inner().check_fresh("open")?;
        let raw = fd.as_raw_fd();
        sys::fd::set_cloexec(fd.as_fd()).map_err(failed)?;
        let flags = if sys::socket::is_socket(raw) {
            let is_for_others = sys::socket::is_listening(raw) || is_only_bound(fd.as_fd());
            SOCKET | if is_for_others { BOUND } else { READABLE | WRITABLE }
        } else if self.inner().has(IPC) {
            return Err(failed(Errno::EINVAL));
        } else {
            let (readable, writable) = sys::fd::access_mode(fd.as_fd()).map_err(failed)?;
            if sys::reopen::stop_waiting(&fd).map_err(failed)? {
                self.inner().note_lent();
            }
            READABLE.when(readable) | WRITABLE.when(writable)
        };
        self.inner().adopt(fd, flags);
        Ok(())
    }

    /// Creates a handle for an accepted connection, which must be non-blocking and have no other owner.
    #[must_use]
    #[track_caller]
    pub fn from_accepted(event_loop: &LoopHandle, fd: OwnedFd) -> Self {
        Self(Stream::connected(event_loop, HandleKind::Pipe, fd))
    }

    /// Takes the connection announced by `on_connection` (`uv_accept`).
    ///
    /// # Errors
    /// `EAGAIN` if no connection is waiting.
    #[track_caller]
    pub fn accept(&self) -> Result<Self> {
        Ok(Self(self.0.accept()?))
    }

    /// Binds the socket to a path, or to an abstract name if `name` begins with NUL (`uv_pipe_bind`).
    ///
    /// The close removes the socket file, unless another process has replaced it.
    ///
    /// # Errors
    /// `EINVAL` if closing or bound, `ENAMETOOLONG`, `EADDRINUSE`; as in libuv, `EACCES` for a missing directory. The
    /// error's [`note`](Error::note) tells whether the directory is missing, and whether a socket file in the way is
    /// left over from a process that has ended.
    pub fn bind(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        let failed = |errno| Error::new("bind", errno).on(name.display());
        if self.is_closing() || self.inner().has(BOUND) {
            return Err(failed(Errno::EINVAL));
        }
        let addr = SockAddr::unix(name).map_err(failed)?;
        let fd = self.inner().socket(libc::AF_UNIX).map_err(failed)?;
        let bind = || sys::socket::bind(fd, &addr);
        let is_path = name.as_bytes().first().is_some_and(|first| *first != 0);
        let bound = if is_path { SocketFile::bind(name, bind) } else { bind().map(|()| None) };
        let file = bound.map_err(|errno| match errno {
            Errno::ENOENT => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::BindWithoutFolder);
                failed(Errno::EACCES).noting(NO_DIRECTORY)
            }
            Errno::EADDRINUSE if is_path && is_left_over(name, &addr) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::BindLeftOver);
                failed(errno).noting(LEFT_OVER)
            }
            errno => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::BindNameFails);
                failed(errno)
            }
        })?;
        self.inner().set_target(name.display());
        self.inner().set(BOUND);
        if let Some(file) = file {
            self.inner().set_file(file);
        }
        Ok(())
    }

    /// Connects to a name (`uv_pipe_connect`); `on_connect` reports the result, even of a connect that fails
    /// immediately.
    ///
    /// # Errors
    /// `EALREADY` while connecting, `EINVAL` if closing or connected, `ENAMETOOLONG`.
    pub fn connect(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let _down = LAYER.down("Pipe::connect", || Facts::of(self));
        let name = name.as_ref();
        let failed = |errno| Error::new("connect", errno).on(name.display());
        if self.inner().is_connecting() {
            return Err(failed(Errno::EALREADY));
        }
        if self.is_closing() {
            return Err(failed(Errno::EINVAL));
        }
        let addr = SockAddr::unix(name).map_err(failed)?;
        self.inner().socket(libc::AF_UNIX).map_err(failed)?;
        self.inner().connect(&addr, name.display())
    }

    /// Writes `data` with descriptors, which travel with its first byte (`uv_write2`, which takes one). The sender's
    /// copies stay open until they are sent, or longer if the caller keeps a clone.
    ///
    /// Each descriptor is sent exactly once, also after a partial write.
    ///
    /// # Errors
    /// `EINVAL` if this is not an IPC pipe, if `data` is empty, or for more than 253 descriptors; otherwise as
    /// [`Stream::write`].
    pub fn write_fds(&self, data: impl Into<Bytes>, fds: Vec<Rc<OwnedFd>>) -> Result<()> {
        if !self.inner().has(IPC) || fds.len() > sys::message::FDS_PER_MESSAGE {
            return Err(Error::new("write", Errno::EINVAL));
        }
        self.inner().write(data.into(), VecDeque::new(), fds)
    }

    /// Writes what the kernel takes now, with descriptors (`uv_try_write2`, which takes one): all of them are sent if
    /// any byte is, and none otherwise. Returns the number of bytes.
    ///
    /// # Errors
    /// As for [`Stream::try_write`]; `EINVAL` if this is not an IPC pipe, if `data` is empty, or for more than 253
    /// descriptors.
    pub fn try_write_fds(&self, data: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
        if !self.inner().has(IPC) || data.is_empty() {
            return Err(Error::new("write", Errno::EINVAL));
        }
        let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        self.inner().try_write_fds(data, &fds)
    }

    /// The number of received descriptors that are not yet taken (`uv_pipe_pending_count`). A descriptor is available
    /// by the time the first byte of its message is read.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.inner().pending_count()
    }

    /// Takes the oldest received descriptor. The close of the pipe closes those that are not taken. As in libuv,
    /// descriptors are lost if this process has no room for them when their message is read.
    #[must_use]
    pub fn take_received(&self) -> Option<Received> {
        self.inner().take_received()
    }

    /// Like [`take_received`](Self::take_received), without detecting the kind of descriptor, which costs two system
    /// calls.
    #[must_use]
    pub fn take_received_fd(&self) -> Option<OwnedFd> {
        self.inner().take_received_fd()
    }

    /// Adds read or write permission for all users to the bound path (`uv_pipe_chmod`).
    ///
    /// # Errors
    /// `EBADF` if the pipe is not bound to a path, `EINVAL` for no permission at all, `ENOENT` if its socket file no
    /// longer exists; any error of the system calls.
    pub fn chmod(&self, readable_by_all: bool, writable_by_all: bool) -> Result<()> {
        let PipeName::Path(name) = self.local_name()? else {
            return Err(Error::new("chmod", Errno::EBADF));
        };
        let failed = |errno| Error::new("chmod", errno).on(name.display());
        if !readable_by_all && !writable_by_all {
            return Err(failed(Errno::EINVAL));
        }
        let path = match self.inner().file_path() {
            Some(path) => path.ok_or_else(|| failed(Errno::ENOENT))?,
            // Bound by another process: a relative name may be another file here, so require at least a socket file.
            None => socket_path(&name).map_err(failed)?,
        };
        let failed = |error: std::io::Error| failed(error.into());
        let mode = std::fs::metadata(&path).map_err(failed)?.permissions().mode();
        let more = if readable_by_all { 0o444 } else { 0 } | if writable_by_all { 0o222 } else { 0 };
        std::fs::set_permissions(&path, Permissions::from_mode(mode | more)).map_err(failed)
    }

    /// The name that the pipe is bound to (`uv_pipe_getsockname`).
    ///
    /// # Errors
    /// `EBADF` without a descriptor, `ENOTSOCK` if it is not a socket.
    pub fn local_name(&self) -> Result<PipeName> {
        let addr = sys::socket::local_addr(self.inner().opened()?);
        name(addr.map_err(|errno| Error::new("getsockname", errno))?)
    }

    /// The peer's name (`uv_pipe_getpeername`).
    ///
    /// # Errors
    /// `EBADF` without a descriptor, `ENOTSOCK` if it is not a socket, `ENOTCONN` without a peer.
    pub fn peer_name(&self) -> Result<PipeName> {
        let addr = sys::socket::peer_addr(self.inner().opened()?);
        name(addr.map_err(|errno| Error::new("getpeername", errno))?)
    }

    fn inner(&self) -> &Rc<StreamInner> {
        &self.0.0
    }
}

/// The path, if a socket file is there.
fn socket_path(path: &Path) -> Result<PathBuf, Errno> {
    let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
    if is_socket { Ok(path.to_owned()) } else { Err(Errno::ENOTSOCK) }
}

/// Whether the socket has a name and no peer, so that its owner has bound it to listen.
fn is_only_bound(fd: BorrowedFd<'_>) -> bool {
    let is_named =
        sys::socket::local_addr(fd).is_ok_and(|addr| addr.as_unix().is_some_and(|name| !name.is_empty()));
    is_named && sys::socket::peer_addr(fd).is_err()
}

pub(crate) fn name(addr: SockAddr) -> Result<PipeName> {
    let bytes = addr.as_unix().ok_or(Error::new("getsockname", Errno::EINVAL))?;
    Ok(match bytes.split_first() {
        None => PipeName::Unnamed,
        Some((0, name)) => PipeName::Abstract(name.to_vec()),
        Some(_) => PipeName::Path(PathBuf::from(OsString::from_vec(bytes))),
    })
}

impl PipeName {
    /// The path, if the name is a path.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Abstract(_) | Self::Unnamed => None,
        }
    }
}

impl Deref for Pipe {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pipe").field(&self.0).finish()
    }
}
