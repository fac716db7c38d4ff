//! Writing to an output that may hold up the writer. Says nothing to `log`: what is written may be the log.

use super::fd::{check, check_len};
use crate::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Writes once. Returns how many bytes went out.
pub(crate) fn write(fd: BorrowedFd<'_>, data: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads at most `data.len()` bytes from its start; the descriptor is open while it is borrowed.
    check_len(unsafe { libc::write(fd.as_raw_fd(), data.as_ptr().cast(), data.len()) })
}

/// Has `work` called when the process ends by `exit(3)`, which a return from `main` is. It must not panic.
pub(crate) fn at_exit(work: extern "C" fn()) {
    // SAFETY: the function is there as long as the program. Where there is no memory to note it, it is not called.
    let _ = unsafe { libc::atexit(work) };
}

/// Waits until the descriptor takes bytes, or will never do so again.
pub(crate) fn wait_writable(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut question = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: the kernel reads and writes the one structure that it is given; the descriptor is open while it is
    // borrowed.
    check(unsafe { libc::poll(&raw mut question, 1, -1) }).map(drop)
}
