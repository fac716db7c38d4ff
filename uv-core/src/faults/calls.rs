//! The system calls: which errors each may return, and how a transfer is cut short.
//!
//! What the kernel would report by an event later is reported here too. After an injected EAGAIN, and after a transfer that was
//! cut short, the descriptor becomes ready again: the kernel itself will report no edge, since nothing has changed for it.

use super::plan::Kind;
use super::ready::Direction;
use super::{clock, with};
use crate::{Errno, sys};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

const fn refused(errno: Errno) -> Kind {
    Kind::Refused(errno)
}

/// The errors that each call may return, with those that the code must survive several times as often as those that end a
/// connection.
const REFUSALS: &[(&str, &[Kind])] = &[
    (
        "accept4(2)",
        &[
            refused(Errno::EINTR),
            refused(Errno::EAGAIN),
            refused(Errno::ECONNABORTED),
            refused(Errno::EMFILE),
            refused(Errno::ENFILE),
            refused(Errno::ENOBUFS),
            refused(Errno::ENOMEM),
            refused(Errno::EPROTO),
        ],
    ),
    ("bind(2)", &[refused(Errno::EADDRINUSE), refused(Errno::EACCES), refused(Errno::ENOMEM)]),
    ("clone(2)", &[refused(Errno::EAGAIN), refused(Errno::ENOMEM)]),
    (
        "connect(2)",
        &[
            refused(Errno::ECONNREFUSED),
            refused(Errno::EADDRNOTAVAIL),
            refused(Errno::EAGAIN),
            refused(Errno::from_raw(libc::ENETUNREACH)),
            refused(Errno::ENOMEM),
        ],
    ),
    ("dup3(2)", &[refused(Errno::EBUSY), refused(Errno::EINTR)]),
    ("epoll_create1(2)", &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOMEM)]),
    ("epoll_ctl(2)", &[refused(Errno::ENOMEM), refused(Errno::from_raw(libc::ENOSPC))]),
    // What a child reports before it runs its program.
    ("chdir(2)", &[refused(Errno::ENOENT), refused(Errno::EACCES)]),
    (
        "execve(2)",
        &[refused(Errno::ETXTBSY), refused(Errno::ENOENT), refused(Errno::EACCES), refused(Errno::ENOMEM)],
    ),
    ("fcntl(2)", &[refused(Errno::EMFILE)]),
    ("getpeername(2)", &[refused(Errno::ENOBUFS)]),
    ("getsockname(2)", &[refused(Errno::ENOBUFS)]),
    // A kernel without it, and a seccomp filter.
    ("kcmp(2)", &[refused(Errno::from_raw(libc::ENOSYS)), refused(Errno::EPERM)]),
    ("listen(2)", &[refused(Errno::EADDRINUSE)]),
    ("open(2)", &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOMEM)]),
    ("pidfd_send_signal(2)", &[refused(Errno::EPERM)]),
    ("pipe2(2)", &[refused(Errno::EMFILE), refused(Errno::ENFILE)]),
    ("poll(2)", &[refused(Errno::EINTR), refused(Errno::ENOMEM)]),
    ("setsockopt(2)", &[refused(Errno::ENOBUFS), refused(Errno::ENOMEM)]),
    ("shutdown(2)", &[refused(Errno::ENOTCONN)]),
    (
        "socket(2)",
        &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOBUFS), refused(Errno::ENOMEM)],
    ),
    // A kernel without IPv6.
    ("socket(2) of IPv6", &[refused(Errno::EAFNOSUPPORT)]),
    ("socketpair(2)", &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOMEM)]),
];

const READ: &[Kind] = &[
    Kind::Short,
    Kind::Short,
    Kind::Short,
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::EAGAIN),
    refused(Errno::ENOMEM),
    refused(Errno::ENOBUFS),
    refused(Errno::ECONNRESET),
    refused(Errno::ETIMEDOUT),
];

const WRITE: &[Kind] = &[
    Kind::Short,
    Kind::Short,
    Kind::Short,
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::EAGAIN),
    refused(Errno::ENOMEM),
    refused(Errno::ENOBUFS),
    refused(Errno::EPIPE),
    refused(Errno::ECONNRESET),
];

/// For messages with descriptors.
const PASS: &[Kind] = &[
    Kind::Short,
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::ENOMEM),
    refused(Errno::ENOBUFS),
    refused(Errno::from_raw(libc::ETOOMANYREFS)),
    refused(Errno::EPIPE),
];

/// Decides whether a call fails.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn refuse(call: &'static str, fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let met = with(|state| {
        let kinds = REFUSALS.iter().find(|(name, _)| *name == call).map_or(&[][..], |(_, kinds)| kinds);
        let met = state.decisions.meet(call, kinds);
        if let (Some((Kind::Refused(Errno::EAGAIN), number)), Some(fd)) = (met, fd) {
            state.ready.again(fd, Direction::Read, clock::time(), number);
        }
        met
    });
    match met.flatten() {
        Some((Kind::Refused(errno), _)) => Err(errno),
        _ => Ok(()),
    }
}

/// Whether the next wait is interrupted.
pub(crate) fn interrupt_wait() -> bool {
    with(|state| {
        let is_met = state.decisions.meet("epoll_wait(2)", &[refused(Errno::EINTR)]).is_some();
        if is_met {
            // The events are still to come.
            state.laws.act();
        }
        is_met
    })
    .unwrap_or(false)
}

/// Decides about a read: returns the part of the buffer that it fills.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn read_into<'a>(
    call: &'static str,
    fd: BorrowedFd<'_>,
    buffer: &'a mut [u8],
) -> Result<&'a mut [u8], Errno> {
    let len = transfer(call, READ, fd, Direction::Read, buffer.len())?;
    Ok(&mut buffer[..len])
}

/// Decides about a write: returns how many of `len` bytes it takes.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn write_len(call: &'static str, fd: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    transfer(call, WRITE, fd, Direction::Write, len)
}

/// Decides about a write of several buffers: returns the bytes of the first buffer that it takes, or `None` for all buffers.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn write_from<'a>(
    call: &'static str,
    fd: BorrowedFd<'_>,
    data: &'a [IoSlice<'_>],
    passes_fds: bool,
) -> Result<Option<&'a [u8]>, Errno> {
    let len: usize = data.iter().map(|slice| slice.len()).sum();
    let taken = transfer(call, if passes_fds { PASS } else { WRITE }, fd, Direction::Write, len)?;
    let first = data.iter().find(|slice| !slice.is_empty()).filter(|_| taken < len);
    Ok(first.map(|slice| &slice[..taken.min(slice.len())]))
}

/// Decides how many descriptors of the next message fit into the process; `None` for all.
pub(crate) fn limit_fds() -> Option<usize> {
    let met = with(|state| state.decisions.meet("recvmsg(2) descriptors", &[Kind::Short])).flatten();
    met.map(|(_, number)| (number % 3) as usize)
}

fn transfer(
    call: &'static str,
    kinds: &[Kind],
    fd: BorrowedFd<'_>,
    direction: Direction,
    len: usize,
) -> Result<usize, Errno> {
    with(|state| {
        let Some((kind, number)) = state.decisions.meet(call, kinds) else { return Ok(len) };
        match kind {
            Kind::Short if len > 1 => {
                state.ready.again(fd, direction, clock::time(), number);
                // Often a few bytes, which cuts every word of a protocol.
                let bound = if number & 1 == 0 { len.min(16) } else { len };
                Ok(1 + ((number >> 8) % (bound as u64 - 1)) as usize)
            }
            Kind::Refused(errno) => {
                match errno {
                    Errno::EAGAIN => state.ready.again(fd, direction, clock::time(), number),
                    // A connection that failed stays so.
                    Errno::EPIPE | Errno::ECONNRESET | Errno::ETIMEDOUT => sys::socket::break_off(fd),
                    _ => {}
                }
                Err(errno)
            }
            _ => Ok(len),
        }
    })
    .unwrap_or(Ok(len))
}
