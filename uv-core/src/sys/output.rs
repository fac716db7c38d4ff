//! Writing to an output that may block the writer. Does not use `log`, because the output may be the log's.

use super::fd::{check, check_len};
use crate::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Writes once. Returns the number of bytes written.
pub(crate) fn write(fd: BorrowedFd<'_>, data: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads at most `data.len()` bytes from its start; the descriptor is open while it is borrowed.
    check_len(unsafe { libc::write(fd.as_raw_fd(), data.as_ptr().cast(), data.len()) })
}

/// Registers `work` for the end of the process by `exit(3)`, which returning from `main` calls. `work` must not panic.
pub(crate) fn at_exit(work: extern "C" fn()) {
    // SAFETY: the function exists as long as the program. Without memory to register it, it is not called.
    let _ = unsafe { libc::atexit(work) };
}

/// Waits until the descriptor takes bytes, or has failed.
pub(crate) fn wait_writable(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut question = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: the kernel reads and writes the one structure that it gets; the descriptor is open while it is borrowed.
    check(unsafe { libc::poll(&raw mut question, 1, -1) }).map(drop)
}
