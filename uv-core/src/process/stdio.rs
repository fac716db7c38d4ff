//! The descriptors of a child process. Mirrors `uv_stdio_container_t` and `uv__process_init_stdio`, libuv's
//! `src/unix/process.c`.

use crate::handle::Handle;
use crate::stream::SHARED;
use crate::sys;
use crate::sys::fd::open_null;
use crate::sys::spawn::ChildFd;
use crate::{Errno, Pipe, Stream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The slots that every child has: standard input, output and error.
const STANDARD_SLOTS: usize = 3;

/// One descriptor of a child (`uv_stdio_container_t`).
///
/// What the child inherits as standard input, output or error is blocking there, as programs expect it, and no stream of
/// this process waits because of that. A non-blocking pipe or terminal is opened anew for the child. A connected socket
/// is shared, and so becomes blocking here as well, where streams do not go by that mode. A listener stays as it is.
#[derive(Clone, Debug)]
pub enum Stdio {
    /// The null device for standard input, output and error; nothing for descriptors above.
    Ignore,
    /// A socket whose other end is opened into this handle, which has no descriptor yet; it may be for IPC
    /// ([`Pipe::new_ipc`]). Two slots with the same handle share one socket.
    Pipe(Pipe),
    /// A descriptor of this process.
    InheritFd(RawFd),
    /// The descriptor of a stream. `EBUSY` as standard input, output or error if it is a non-blocking file of another
    /// kind, or one that cannot be opened anew: the child would make the stream's reads and writes wait.
    InheritStream(Stream),
}

/// The child's descriptors, as this process numbers them, and what keeps them open until the child has its own.
pub(super) struct ChildStdio {
    fds: Vec<Option<ChildFd>>,
    null: Option<OwnedFd>,
    /// The pipes that were opened, by handle, with the child's ends.
    pipes: Vec<(Pipe, OwnedFd)>,
    /// What was opened anew, so that the mode of what it is of is the child's own.
    reopened: Vec<OwnedFd>,
}

impl ChildStdio {
    pub(super) fn prepare(slots: &[Stdio]) -> Result<Self, Errno> {
        let mut stdio = Self { fds: Vec::new(), null: None, pipes: Vec::new(), reopened: Vec::new() };
        let unnamed = STANDARD_SLOTS.saturating_sub(slots.len());
        for slot in slots.iter().chain(std::iter::repeat_n(&Stdio::Ignore, unnamed)) {
            let is_standard = stdio.fds.len() < STANDARD_SLOTS;
            let fd = match slot {
                Stdio::Ignore if is_standard => Some(stdio.null()?),
                Stdio::Ignore => None,
                Stdio::Pipe(pipe) => Some(stdio.pipe(pipe)?),
                Stdio::InheritFd(fd) => Some(stdio.inherit(*fd, is_standard, sys::reopen::is_lent(*fd))?),
                Stdio::InheritStream(stream) => Some(stdio.inherit(inherit(stream)?, is_standard, true)?),
            };
            stdio.fds.push(fd);
        }
        Ok(stdio)
    }

    /// For each of the child's descriptors the one of this process; none for those that it does not get.
    pub(super) fn fds(&self) -> &[Option<ChildFd>] {
        &self.fds
    }

    /// The child's share of a descriptor. As standard input, output or error it is to wait, as programs expect it there;
    /// `is_ours` tells that a stream of this process relies on the opposite.
    fn inherit(&mut self, fd: RawFd, is_standard: bool, is_ours: bool) -> Result<ChildFd, Errno> {
        let shared = ChildFd { fd, make_blocking: false };
        if !sys::reopen::is_nonblocking(fd)? || !sys::reopen::has_mode(fd) {
            return Ok(shared);
        }
        if sys::socket::is_socket(fd) {
            // Streams tell their sockets not to wait in each call; a listener cannot, and so stays as it is.
            let make_blocking = is_standard && !sys::socket::is_listening(fd);
            return Ok(ChildFd { make_blocking, ..shared });
        }
        match sys::reopen::reopen(fd, !is_standard) {
            Ok(own) => {
                let fd = own.as_raw_fd();
                self.reopened.push(own);
                Ok(ChildFd { fd, ..shared })
            }
            Err(_) if is_standard && is_ours => Err(Errno::EBUSY),
            Err(_) => Ok(ChildFd { make_blocking: is_standard, ..shared }),
        }
    }

    fn null(&mut self) -> Result<ChildFd, Errno> {
        let null = match self.null.take() {
            Some(null) => null,
            None => open_null()?,
        };
        Ok(own_end(self.null.insert(null)))
    }

    fn pipe(&mut self, pipe: &Pipe) -> Result<ChildFd, Errno> {
        let handle: &Handle = pipe;
        if let Some((_, end)) = self.pipes.iter().find(|(other, _)| std::ptr::eq::<Handle>(&***other, handle))
        {
            return Ok(own_end(end));
        }
        let end = pipe.open_pair().map_err(|error| error.errno())?;
        let fd = own_end(&end);
        self.pipes.push((pipe.clone(), end));
        Ok(fd)
    }
}

/// A descriptor that was made for the child: blocking already.
fn own_end(fd: &OwnedFd) -> ChildFd {
    ChildFd { fd: fd.as_raw_fd(), make_blocking: false }
}

fn inherit(stream: &Stream) -> Result<RawFd, Errno> {
    let fd = stream.fileno().map_err(|_| Errno::EINVAL)?;
    // The child keeps the open file when the stream closes; its events must end nevertheless.
    stream.0.set(SHARED);
    Ok(fd)
}
