//! Level-triggered registrations with epoll, which mio does not make, and the readiness of a descriptor in full.

use super::call;
use super::fd::check;
use crate::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// What is watched for, or found: the bits of poll(2), which are those of epoll(7).
pub(crate) type Bits = libc::c_short;

/// What a registration does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Add,
    Modify,
    Remove,
}

/// Changes the registration of `fd`. Its events come without `EPOLLET`: as long as the descriptor is ready.
pub(crate) fn control(
    epoll: RawFd,
    change: Change,
    fd: BorrowedFd<'_>,
    events: Bits,
    token: u64,
) -> Result<(), Errno> {
    let operation = match change {
        Change::Add => libc::EPOLL_CTL_ADD,
        Change::Modify => libc::EPOLL_CTL_MOD,
        Change::Remove => libc::EPOLL_CTL_DEL,
    };
    let events = libc::c_int::from(events) as u32;
    call("epoll_ctl(2)", || {
        #[cfg(upcall_faults)]
        if change != Change::Remove {
            crate::faults::refuse("epoll_ctl(2)")?;
        }
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the kernel reads the one structure that it gets.
        check(unsafe { libc::epoll_ctl(epoll, operation, fd.as_raw_fd(), &raw mut event) }).map(drop)
    })
}

/// What the descriptor is ready for now, of `events`, `POLLERR` and `POLLHUP`.
pub(crate) fn readiness(fd: BorrowedFd<'_>, events: Bits) -> Result<Bits, Errno> {
    let mut question = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    call("poll(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse("poll(2)")?;
        // SAFETY: the kernel reads and writes the one structure that it gets. It does not wait.
        check(unsafe { libc::poll(&raw mut question, 1, 0) })
    })?;
    Ok(question.revents)
}
