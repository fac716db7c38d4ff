//! The descriptors of a child process. Mirrors `uv_stdio_container_t` and `uv__process_init_stdio`, libuv's
//! `src/unix/process.c`.

use crate::handle::Handle;
use crate::stream::SHARED;
use crate::sys;
use crate::sys::fd::open_null;
use crate::sys::spawn::ChildFd;
use crate::{Errno, Pipe, Stream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The number of standard descriptors, which every child has: input, output and error.
const STANDARD_SLOTS: usize = 3;

/// A descriptor of a child (`uv_stdio_container_t`).
///
/// Standard input, output and error are blocking in the child, as programs expect, and no stream of this process blocks
/// because of that. A non-blocking pipe or terminal is opened a second time for the child. A connected socket is
/// shared, so it becomes blocking in this process too, where streams do not depend on that mode. A listener keeps its
/// mode.
#[derive(Clone, Debug)]
pub enum Stdio {
    /// The null device for standard input, output and error; no descriptor for higher numbers.
    Ignore,
    /// A socket whose other end is opened into this handle, which must not have a descriptor; it may be an IPC pipe
    /// ([`Pipe::new_ipc`]). Two slots with the same handle share one socket.
    Pipe(Pipe),
    /// A descriptor of this process.
    InheritFd(RawFd),
    /// The descriptor of a stream. As standard input, output or error `EBUSY` for a non-blocking file of another kind,
    /// or if the file cannot be opened a second time: the child would make the stream's reads and writes block.
    InheritStream(Stream),
}

/// The child's descriptors, by their numbers in this process, and the values that keep them open until the child has
/// its own.
pub(super) struct ChildStdio {
    fds: Vec<Option<ChildFd>>,
    null: Option<OwnedFd>,
    /// The pipes that were opened, by handle, with the child's ends.
    pipes: Vec<(Pipe, OwnedFd)>,
    /// Files opened a second time, so that the child has a mode of its own.
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

    /// For each descriptor of the child this process's descriptor; `None` for a descriptor that the child does not get.
    pub(super) fn fds(&self) -> &[Option<ChildFd>] {
        &self.fds
    }

    /// Prepares a descriptor that the child inherits. A standard descriptor has to be blocking in the child; `is_ours`
    /// means that a stream of this process needs it non-blocking.
    fn inherit(&mut self, fd: RawFd, is_standard: bool, is_ours: bool) -> Result<ChildFd, Errno> {
        let shared = ChildFd { fd, make_blocking: false };
        if !sys::reopen::is_nonblocking(fd)? || !sys::reopen::has_mode(fd) {
            return Ok(shared);
        }
        if sys::socket::is_socket(fd) {
            // Streams ask their sockets not to block in each call. A listener cannot do that, so it keeps its mode.
            let make_blocking = is_standard && !sys::socket::is_listening(fd);
            return Ok(ChildFd { make_blocking, ..shared });
        }
        match sys::reopen::reopen(fd, !is_standard) {
            Ok(own) => {
                let fd = own.as_raw_fd();
                self.reopened.push(own);
                Ok(ChildFd { fd, ..shared })
            }
            Err(_) if is_standard && is_ours => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ModeBusy);
                Err(Errno::EBUSY)
            }
            Err(_) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ModeBlocks);
                Ok(ChildFd { make_blocking: is_standard, ..shared })
            }
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

/// A descriptor created for the child, which is blocking already.
fn own_end(fd: &OwnedFd) -> ChildFd {
    ChildFd { fd: fd.as_raw_fd(), make_blocking: false }
}

fn inherit(stream: &Stream) -> Result<RawFd, Errno> {
    let fd = stream.fileno().map_err(|_| Errno::EINVAL)?;
    // The child keeps the open file after the stream has closed; the stream's events have to end then.
    stream.0.set(SHARED);
    Ok(fd)
}
