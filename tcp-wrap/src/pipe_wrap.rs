//! Unix-domain connections and listeners, and IPC pipes, which carry descriptors. Mirrors `PipeWrap`, Node's
//! `src/pipe_wrap.cc`.

use crate::{LAYER, StreamWrap};
use bytes::Bytes;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::socket::{PipeName, Received};
use uv_core::{LoopHandle, Pipe, Result};

/// A wrapped Unix-domain connection or listener, or a pipe. Clones share one stream.
///
/// ```
/// use std::io::Read;
/// use std::os::unix::net::UnixStream;
/// use tcp_wrap::PipeWrap;
/// use uv_core::{Loop, RunMode};
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let event_loop = Loop::new()?;
/// let pipe = PipeWrap::new(&event_loop);
/// pipe.open(ours.into())?;
/// let written = pipe.write(b"hello")?;
/// assert_eq!((written.now, written.later), (5, 0));
/// pipe.close();
/// assert!(!event_loop.run(RunMode::Default)?);
/// let mut text = String::new();
/// theirs.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PipeWrap {
    stream: StreamWrap,
    pipe: Pipe,
}

impl PipeWrap {
    /// Creates a wrap without a descriptor.
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self::from_pipe(Pipe::new(event_loop))
    }

    /// Creates a wrap for an IPC pipe, which carries descriptors, without a descriptor of its own.
    #[must_use]
    #[track_caller]
    pub fn new_ipc(event_loop: &LoopHandle) -> Self {
        Self::from_pipe(Pipe::new_ipc(event_loop))
    }

    pub(crate) fn from_pipe(pipe: Pipe) -> Self {
        Self { stream: StreamWrap::new(&pipe), pipe }
    }

    /// The `uv-core` handle beneath, which a child process can take for its stdio.
    #[must_use]
    pub fn handle(&self) -> &Pipe {
        &self.pipe
    }

    /// Adopts a Unix socket or an end of a pipe (`Open`).
    ///
    /// # Errors
    /// `EBUSY` if the wrap has a descriptor already; any error of the system calls.
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        self.pipe.open(fd)
    }

    /// Binds the socket to a path, or to an abstract name if `name` begins with NUL.
    ///
    /// # Errors
    /// `EINVAL` if the wrap is bound already, `EADDRINUSE`, `EACCES` for a missing directory, `ENAMETOOLONG`.
    pub fn bind(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.pipe.bind(name)
    }

    /// Connects to `name`; `on_connect` reports the result.
    ///
    /// # Errors
    /// `EALREADY` while connecting, `ENAMETOOLONG`.
    pub fn connect(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let _down = LAYER.down("PipeWrap::connect", || self.stream.facts());
        self.pipe.connect(name)
    }

    /// Adds read or write permission for all users to the bound path (`fchmod`).
    ///
    /// # Errors
    /// `EBADF` if the wrap is not bound to a path; any error of the system calls.
    pub fn chmod(&self, readable_by_all: bool, writable_by_all: bool) -> Result<()> {
        self.pipe.chmod(readable_by_all, writable_by_all)
    }

    /// Writes `data` to an IPC pipe; the descriptors travel with its first byte. The write is always queued whole:
    /// `on_write` reports its result.
    ///
    /// # Errors
    /// `EINVAL` if this is not an IPC wrap, if `data` is empty, or for more than 253 descriptors (`SCM_MAX_FD`).
    pub fn write_fds(&self, data: Bytes, fds: Vec<Rc<OwnedFd>>) -> Result<()> {
        let _down = LAYER.down("PipeWrap::write_fds", || {
            self.stream.facts().bytes(data.len()).info(format_args!("fds: {}", fds.len()))
        });
        self.pipe.write_fds(data, fds)
    }

    /// The number of received descriptors that are not yet taken.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.pipe.pending_count()
    }

    /// Takes the oldest received descriptor, which is available by the time the first byte of its message is read.
    #[must_use]
    pub fn take_received(&self) -> Option<Received> {
        self.pipe.take_received()
    }

    /// Like [`take_received`](Self::take_received), without detecting the kind of descriptor, which costs two system
    /// calls.
    #[must_use]
    pub fn take_received_fd(&self) -> Option<OwnedFd> {
        self.pipe.take_received_fd()
    }

    /// The name that the wrap is bound to (`getsockname`).
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn local_name(&self) -> Result<PipeName> {
        self.pipe.local_name()
    }

    /// The peer's name (`getpeername`).
    ///
    /// # Errors
    /// `EBADF` without a descriptor, `ENOTCONN` without a peer.
    pub fn peer_name(&self) -> Result<PipeName> {
        self.pipe.peer_name()
    }
}

impl Deref for PipeWrap {
    type Target = StreamWrap;

    fn deref(&self) -> &StreamWrap {
        &self.stream
    }
}

impl fmt::Debug for PipeWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeWrap").field(&self.stream).finish()
    }
}
