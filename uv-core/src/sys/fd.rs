//! File descriptors: owning one in a cell, flags, and the spare one.

use crate::trace::Facts;
use crate::{Errno, LAYER};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A descriptor that can be taken or closed through a shared reference; closed on drop.
pub(crate) struct FdCell(Cell<RawFd>);

const NONE: RawFd = -1;

impl FdCell {
    pub(crate) const fn empty() -> Self {
        Self(Cell::new(NONE))
    }

    pub(crate) fn get(&self) -> Option<RawFd> {
        let fd = self.0.get();
        (fd != NONE).then_some(fd)
    }

    pub(crate) fn set(&self, fd: OwnedFd) {
        self.close();
        self.0.set(fd.into_raw_fd());
    }

    /// Closes the descriptor, but never a standard one: the next file opened would become the process's output.
    pub(crate) fn close(&self) {
        if self.0.get() > libc::STDERR_FILENO {
            let _down = LAYER.down("close(2)", Facts::default);
            drop(self.take());
        }
        self.0.set(NONE);
    }

    pub(crate) fn take(&self) -> Option<OwnedFd> {
        let fd = self.0.replace(NONE);
        // SAFETY: a descriptor in the cell came from an `OwnedFd` and was handed to nobody; it leaves the cell here.
        (fd != NONE).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

impl Drop for FdCell {
    fn drop(&mut self) {
        self.close();
    }
}

/// Turns libc's −1 into the error number.
pub(super) fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

/// Turns libc's −1 into the error number, for calls that return a length.
#[inline(always)]
pub(super) fn check_len(result: libc::ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_errno())
}

#[cold]
pub(super) fn last_errno() -> Errno {
    Errno::from(io::Error::last_os_error())
}

/// Takes ownership of a descriptor that a system call just made.
pub(super) fn own(result: libc::c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: callers pass the result of a call that returns a new descriptor, which nobody else owns.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor of no use but to be given up when there are none left.
pub(crate) fn open_spare() -> Result<OwnedFd, Errno> {
    // SAFETY: the path is a C string literal.
    own(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })
}

/// Sets or clears `O_NONBLOCK`; of the open file, which other descriptors may share.
pub(crate) fn set_nonblocking(fd: RawFd, nonblocking: bool) -> Result<(), Errno> {
    let mut on = libc::c_int::from(nonblocking);
    // SAFETY: FIONBIO reads one int, which outlives the call.
    check(unsafe { libc::ioctl(fd, libc::FIONBIO, &raw mut on) }).map(drop)
}

/// Sets `FD_CLOEXEC`, so that no child inherits the descriptor.
pub(crate) fn set_cloexec(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: FIOCLEX takes no argument.
    check(unsafe { libc::ioctl(fd, libc::FIOCLEX) }).map(drop)
}

/// Another descriptor of the same open file, which no child inherits.
pub(crate) fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: takes integers only.
    own(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })
}

/// The access mode: whether the descriptor is open for reading and for writing.
pub(crate) fn access_mode(fd: RawFd) -> Result<(bool, bool), Errno> {
    // SAFETY: F_GETFL takes no argument.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    let mode = flags & libc::O_ACCMODE;
    Ok((mode != libc::O_WRONLY, mode != libc::O_RDONLY))
}

/// The descriptor of `fd`, for the calls of this folder.
pub(crate) fn raw(fd: &OwnedFd) -> RawFd {
    fd.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    // libuv's `uv__stream_close` spares them too.
    #[test]
    fn a_standard_descriptor_is_let_go_of_but_stays_open() {
        let cell = FdCell::empty();
        // SAFETY: nobody else of this test closes it, and the cell does not either.
        cell.set(unsafe { OwnedFd::from_raw_fd(libc::STDERR_FILENO) });
        cell.close();
        assert_eq!(cell.get(), None);
        assert!(access_mode(libc::STDERR_FILENO).is_ok());
    }
}
