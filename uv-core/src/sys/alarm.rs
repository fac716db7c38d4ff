//! A timerfd of the monotonic clock: see timerfd_create(2).

use super::call;
use super::clock::Origin;
use super::fd::{check, own};
use crate::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

pub(crate) fn create() -> Result<OwnedFd, Errno> {
    call("timerfd_create(2)", || {
        // SAFETY: takes integers only; the result is −1 or a new descriptor.
        unsafe { own(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC)) }
    })
}

/// Has `fd` become readable at `deadline`, in place of an earlier order.
pub(crate) fn set(fd: BorrowedFd<'_>, origin: Origin, deadline: Duration) -> Result<(), Errno> {
    let at = origin.at(deadline);
    let once = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
    call("timerfd_settime(2)", || {
        // SAFETY: the descriptor is open, and the kernel only reads the order.
        let set = unsafe {
            libc::timerfd_settime(fd.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &raw const once, ptr::null_mut())
        };
        check(set).map(drop)
    })
}
