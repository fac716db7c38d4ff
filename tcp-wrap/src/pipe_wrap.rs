//! Unix-domain connections and listeners, and pipes that pass handles. Mirrors `PipeWrap`, Node's `src/pipe_wrap.cc`.

use crate::{LAYER, StreamWrap};
use bytes::Bytes;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::socket::{PipeName, Received};
use uv_core::{LoopHandle, Pipe, Result};

/// A wrapped Unix-domain connection or listener, or a pipe.
#[derive(Clone)]
pub struct PipeWrap {
    stream: StreamWrap,
    pipe: Pipe,
}

impl PipeWrap {
    /// A wrap without a descriptor.
    #[must_use]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self::from_pipe(Pipe::new(event_loop))
    }

    /// A wrap for a pipe through which handles travel.
    #[must_use]
    pub fn new_ipc(event_loop: &LoopHandle) -> Self {
        Self::from_pipe(Pipe::new_ipc(event_loop))
    }

    pub(crate) fn from_pipe(pipe: Pipe) -> Self {
        Self { stream: StreamWrap::new(&pipe), pipe }
    }

    /// The handle of the layer beneath: what a child process takes as one of its stdio.
    #[must_use]
    pub fn handle(&self) -> &Pipe {
        &self.pipe
    }

    /// Adopts a Unix socket or an end of a pipe.
    ///
    /// # Errors
    /// `EBUSY` if the wrap has a descriptor already; what the system says.
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        self.pipe.open(fd)
    }

    /// Gives the socket a name: a path, or an abstract name if it begins with NUL.
    ///
    /// # Errors
    /// `EINVAL` if the wrap is bound already, `EADDRINUSE`, `EACCES` for a missing folder, `ENAMETOOLONG`.
    pub fn bind(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.pipe.bind(name)
    }

    /// Connects; `on_connect` reports the end.
    ///
    /// # Errors
    /// `EALREADY` while connecting, `ENAMETOOLONG`.
    pub fn connect(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let _down = LAYER.down("PipeWrap::connect", || self.stream.facts());
        self.pipe.connect(name)
    }

    /// Lets everybody read or write to the bound path too (`fchmod`).
    ///
    /// # Errors
    /// `EBADF` if the wrap is not bound to a path; what the system says.
    pub fn chmod(&self, readable_by_all: bool, writable_by_all: bool) -> Result<()> {
        self.pipe.chmod(readable_by_all, writable_by_all)
    }

    /// Writes `data` and, with its first byte, descriptors, on an IPC wrap. Never partly: `on_write` always reports
    /// the end.
    ///
    /// # Errors
    /// `EINVAL` unless this is an IPC wrap, there is data, and there are at most 253 descriptors.
    pub fn write_fds(&self, data: Bytes, fds: Vec<Rc<OwnedFd>>) -> Result<()> {
        let _down = LAYER.down("PipeWrap::write_fds", || {
            self.stream.facts().bytes(data.len()).info(format_args!("fds: {}", fds.len()))
        });
        self.pipe.write_fds(data, fds)
    }

    /// How many received descriptors wait to be taken.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.pipe.pending_count()
    }

    /// Takes the oldest received descriptor. It came no later than the first byte of its message.
    #[must_use]
    pub fn take_received(&self) -> Option<Received> {
        self.pipe.take_received()
    }

    /// Like [`take_received`](Self::take_received), without finding out what it is, which costs two system calls.
    #[must_use]
    pub fn take_received_fd(&self) -> Option<OwnedFd> {
        self.pipe.take_received_fd()
    }

    /// The wrap's own name.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn local_name(&self) -> Result<PipeName> {
        self.pipe.local_name()
    }

    /// The peer's name.
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
