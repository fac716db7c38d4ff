//! The system calls: which errors each may return, and how a transfer is cut short.
//!
//! What the kernel would report by an event later is reported here too. After an injected EAGAIN, and after a transfer that was
//! cut short, the descriptor becomes ready again: the kernel itself will report no edge, since nothing has changed for it.

use super::plan::Kind;
use super::{clock, with};
use crate::{Errno, sys};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const fn refused(errno: Errno) -> Kind {
    Kind::Refused(errno)
}

const NETWORK_UNREACHABLE: Errno = Errno::from_raw(libc::ENETUNREACH);

/// The errors that each call may return.
const REFUSALS: &[(&str, &[Kind])] = &[
    ("bind(2)", &[refused(Errno::EADDRINUSE), refused(Errno::EACCES), refused(Errno::ENOMEM)]),
    ("clone(2)", &[refused(Errno::EAGAIN), refused(Errno::ENOMEM)]),
    (
        "connect(2) of datagrams",
        &[refused(Errno::EAGAIN), refused(NETWORK_UNREACHABLE), refused(Errno::EADDRNOTAVAIL)],
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
    ("fstat", &[refused(Errno::ENOMEM)]),
    ("fsync", &[refused(Errno::EIO), refused(Errno::ENOSPC)]),
    ("scandir", &[refused(Errno::EMFILE), refused(Errno::ENOMEM), refused(Errno::EACCES)]),
    (
        "getaddrinfo(3)",
        &[
            refused(Errno::EAI_AGAIN),
            refused(Errno::EAI_FAIL),
            refused(Errno::EAI_MEMORY),
            refused(Errno::EAI_NONAME),
            refused(Errno::EMFILE),
        ],
    ),
    ("getnameinfo(3)", &[refused(Errno::EAI_AGAIN), refused(Errno::EAI_FAIL), refused(Errno::EAI_MEMORY)]),
    ("getpeername(2)", &[refused(Errno::ENOBUFS)]),
    ("getsockname(2)", &[refused(Errno::ENOBUFS)]),
    // A kernel without it, and a seccomp filter.
    ("kcmp(2)", &[refused(Errno::from_raw(libc::ENOSYS)), refused(Errno::EPERM)]),
    ("listen(2)", &[refused(Errno::EADDRINUSE)]),
    ("mkdir", &[refused(Errno::ENOSPC), refused(Errno::EACCES)]),
    ("open(2)", &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOMEM)]),
    (
        "openat(2)",
        &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOMEM), refused(Errno::EACCES)],
    ),
    // A kernel without it, a seccomp filter, and folders that are renamed meanwhile.
    (
        "openat2(2)",
        &[
            refused(Errno::EMFILE),
            refused(Errno::ENFILE),
            refused(Errno::ENOMEM),
            refused(Errno::ENOSYS),
            refused(Errno::EPERM),
            refused(Errno::EAGAIN),
        ],
    ),
    ("pidfd_send_signal(2)", &[refused(Errno::EPERM)]),
    ("pipe2(2)", &[refused(Errno::EMFILE), refused(Errno::ENFILE)]),
    ("poll(2)", &[refused(Errno::EINTR), refused(Errno::ENOMEM)]),
    ("pread", &[refused(Errno::EINTR), refused(Errno::EIO)]),
    ("pwrite", &[refused(Errno::EINTR), refused(Errno::EIO), refused(Errno::ENOSPC)]),
    ("rename", &[refused(Errno::ENOSPC), refused(Errno::EACCES)]),
    ("rmdir", &[refused(Errno::EACCES)]),
    ("setsockopt(2)", &[refused(Errno::ENOBUFS), refused(Errno::ENOMEM)]),
    (
        "socket(2)",
        &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOBUFS), refused(Errno::ENOMEM)],
    ),
    // A kernel without IPv6.
    ("socket(2) of IPv6", &[refused(Errno::EAFNOSUPPORT)]),
    ("socketpair(2)", &[refused(Errno::EMFILE), refused(Errno::ENFILE), refused(Errno::ENOMEM)]),
    ("stat", &[refused(Errno::ENOMEM)]),
    ("unlink", &[refused(Errno::EACCES)]),
];

const ACCEPT: &[Kind] = &[
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::ECONNABORTED),
    refused(Errno::EMFILE),
    refused(Errno::ENFILE),
    refused(Errno::ENOBUFS),
    refused(Errno::ENOMEM),
    refused(Errno::EPROTO),
];

const CONNECT: &[Kind] = &[
    refused(Errno::ECONNREFUSED),
    refused(Errno::EADDRNOTAVAIL),
    refused(Errno::EAGAIN),
    refused(NETWORK_UNREACHABLE),
    refused(Errno::ENOMEM),
];

/// The kinds of a read, with those that the code must survive several times as often as those that end a connection.
const READ: &[Kind] = &[
    Kind::Short,
    Kind::Short,
    Kind::Short,
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::EAGAIN),
    refused(Errno::ENOMEM),
    refused(Errno::ECONNRESET),
    refused(Errno::ETIMEDOUT),
];

/// As for [`READ`].
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

/// As for [`READ`]. EINVAL: the file system has no pages to send from. EIO: the disk.
const SEND_FILE: &[Kind] = &[
    Kind::Short,
    Kind::Short,
    Kind::Short,
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::EAGAIN),
    refused(Errno::ENOMEM),
    refused(Errno::ENOBUFS),
    refused(Errno::EINVAL),
    refused(Errno::EIO),
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

/// For datagrams, with those that wait or repeat several times as often as those that lose one.
const SEND: &[Kind] = &[
    Kind::Short,
    Kind::Short,
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::EAGAIN),
    refused(Errno::ENOMEM),
    refused(Errno::ENOBUFS),
    refused(Errno::ECONNREFUSED),
    // A firewall.
    refused(Errno::EPERM),
    // A driver that makes no datagrams of segments.
    refused(Errno::EIO),
];

/// As for [`SEND`].
const RECEIVE: &[Kind] = &[
    Kind::Short,
    Kind::Short,
    refused(Errno::EINTR),
    refused(Errno::EAGAIN),
    refused(Errno::EAGAIN),
    refused(Errno::ENOMEM),
    refused(Errno::ECONNREFUSED),
    // A security module.
    refused(Errno::EPERM),
];

/// Decides whether a call fails.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn refuse(call: &'static str) -> Result<(), Errno> {
    let kinds = REFUSALS.iter().find(|(name, _)| *name == call).map_or(&[][..], |(_, kinds)| kinds);
    refuse_if(call, kinds, |_| true)
}

fn refuse_if(call: &'static str, kinds: &[Kind], is_possible: impl Fn(Errno) -> bool) -> Result<(), Errno> {
    match with(|state| state.decisions.meet_if(call, kinds, only_errors(is_possible))).flatten() {
        Some((Kind::Refused(errno), _)) => Err(errno),
        _ => Ok(()),
    }
}

/// The kinds whose error is possible.
fn only_errors(is_possible: impl Fn(Errno) -> bool) -> impl Fn(Kind) -> bool {
    move |kind| match kind {
        Kind::Refused(errno) => is_possible(errno),
        _ => true,
    }
}

/// Decides whether accept(2) fails. Errors of the connection itself take it out of the queue, and only TCP has them.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn refuse_accept(
    fd: BorrowedFd<'_>,
    accept: impl Fn() -> Result<OwnedFd, Errno>,
) -> Result<(), Errno> {
    let is_of_connection = |errno| matches!(errno, Errno::ECONNABORTED | Errno::EPROTO);
    let is_possible = |errno| match errno {
        _ if is_of_connection(errno) => sys::socket::is_tcp(fd) && has_input(fd),
        // Of a Unix socket that refuses clients this is the end of the queue, which nothing is added to.
        Errno::EAGAIN => sys::socket::readiness(fd.as_raw_fd()) & (libc::POLLHUP | libc::POLLRDHUP) == 0,
        _ => true,
    };
    let met = meet_watched("accept4(2)", ACCEPT, fd, only_errors(is_possible));
    let Some((Kind::Refused(errno), _)) = met else { return Ok(()) };
    if is_of_connection(errno) {
        // Its client gets a reset.
        accept().and_then(|connection| sys::socket::linger_zero(connection.as_fd()))?;
    }
    Err(errno)
}

/// Decides whether connect(2) fails.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn refuse_connect(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let is_of_network = |errno| matches!(errno, Errno::EADDRNOTAVAIL | NETWORK_UNREACHABLE);
    // The question whether a name is bound, which a datagram socket asks, has one true answer.
    let is_question = !sys::socket::is_stream_socket(fd);
    refuse_if("connect(2)", CONNECT, |errno| {
        !(is_question && errno == Errno::ECONNREFUSED) && (!is_of_network(errno) || sys::socket::is_tcp(fd))
    })
}

/// Decides whether shutdown(2) finds a connection that a reset has ended, which only TCP knows.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn refuse_shutdown(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let is_possible = |_| sys::socket::is_tcp(fd);
    refuse_if("shutdown(2)", &[refused(Errno::ENOTCONN)], is_possible)
        .inspect_err(|_| sys::socket::break_off(fd))
}

/// Takes the error of a connection that a reset has ended.
///
/// # Errors
/// The reset.
pub(crate) fn take_reset(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    with(|state| state.ready.take_reset(fd)).flatten().map_or(Ok(()), |errno| {
        break_off(fd);
        Err(errno)
    })
}

/// Ends a connection whose error is told by the call that meets it, and not again by `SO_ERROR`.
fn break_off(fd: BorrowedFd<'_>) {
    sys::socket::break_off(fd);
    let _ = sys::socket::get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR);
}

fn has_input(fd: BorrowedFd<'_>) -> bool {
    sys::socket::readiness(fd.as_raw_fd()) & libc::POLLIN != 0
}

/// Whether the next wait is interrupted.
pub(crate) fn interrupt_wait() -> bool {
    let met = with(|state| state.decisions.meet("epoll_wait(2)", &[refused(Errno::EINTR)]));
    met.flatten().is_some()
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
    // Bytes that came before the reset are read first.
    if !has_input(fd) {
        take_reset(fd)?;
    }
    let len = transfer(call, READ, fd, buffer.len())?;
    Ok(&mut buffer[..len])
}

/// Decides about a write: returns how many of `len` bytes it takes.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn write_len(call: &'static str, fd: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    take_reset(fd)?;
    transfer(call, WRITE, fd, len)
}

/// Decides about sendfile(2): returns how many of `len` bytes it takes.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn send_file_len(fd: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    take_reset(fd)?;
    transfer("sendfile(2)", SEND_FILE, fd, len)
}

/// Decides how many of `len` bytes a call on a file transfers.
pub(crate) fn shorten(call: &'static str, len: usize) -> usize {
    let is_possible = |_| len > 1;
    let met = with(|state| state.decisions.meet_if(call, &[Kind::Short], is_possible)).flatten();
    met.map_or(len, |(_, number)| 1 + (number % (len as u64 - 1)) as usize)
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
    take_reset(fd)?;
    let taken = transfer(call, if passes_fds { PASS } else { WRITE }, fd, len)?;
    let first = data.iter().find(|slice| !slice.is_empty()).filter(|_| taken < len);
    Ok(first.map(|slice| &slice[..taken.min(slice.len())]))
}

/// Decides how many descriptors of the next message fit into the process; `None` for all.
pub(crate) fn limit_fds() -> Option<usize> {
    let met = with(|state| state.decisions.meet("recvmsg(2) descriptors", &[Kind::Short])).flatten();
    met.map(|(_, number)| (number % 3) as usize)
}

/// Decides about a call that sends datagrams: returns how many of `count` it takes.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn send_datagrams(call: &'static str, fd: BorrowedFd<'_>, count: usize) -> Result<usize, Errno> {
    transfer_datagrams(call, SEND, fd, count)
}

/// Decides about a call that receives datagrams: returns how many of `count` it takes.
///
/// # Errors
/// The error that it returns in this world.
pub(crate) fn receive_datagrams(fd: BorrowedFd<'_>, count: usize) -> Result<usize, Errno> {
    transfer_datagrams("recvmmsg(2)", RECEIVE, fd, count)
}

fn transfer_datagrams(
    call: &'static str,
    kinds: &[Kind],
    fd: BorrowedFd<'_>,
    count: usize,
) -> Result<usize, Errno> {
    let is_possible = |kind| match kind {
        Kind::Short => count > 1,
        // An ICMP message reaches a socket with a peer.
        Kind::Refused(Errno::ECONNREFUSED) => sys::socket::has_peer(fd),
        _ => true,
    };
    match meet_watched(call, kinds, fd, is_possible) {
        Some((Kind::Refused(errno), _)) => Err(errno),
        Some((Kind::Short, number)) => Ok(1 + ((number >> 8) % (count as u64 - 1)) as usize),
        _ => Ok(count),
    }
}

fn transfer(call: &'static str, kinds: &[Kind], fd: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    let is_read = matches!(call, "recv(2)" | "read(2)" | "recvmsg(2)");
    let is_watched = with(|state| state.ready.is_watched(fd)).unwrap_or(false);
    let is_possible = |kind| match kind {
        Kind::Short => len > 1,
        // A reset is an event of a connection that is watched.
        Kind::Refused(Errno::ETIMEDOUT) => is_watched && sys::socket::is_tcp(fd),
        Kind::Refused(Errno::ECONNRESET) => {
            (!is_read || is_watched) && sys::socket::is_socket(fd.as_raw_fd())
        }
        _ => true,
    };
    match meet_watched(call, kinds, fd, is_possible) {
        Some((Kind::Short, number)) => {
            // Often a few bytes, which cuts every word of a protocol.
            let bound = if number & 1 == 0 { len.min(16) } else { len };
            Ok(1 + ((number >> 8) % (bound as u64 - 1)) as usize)
        }
        Some((Kind::Refused(errno @ (Errno::ECONNRESET | Errno::ETIMEDOUT)), number)) if is_read => {
            with(|state| state.ready.reset(fd, errno, clock::time(), number));
            Ok(len)
        }
        Some((Kind::Refused(errno), _)) => {
            // A connection that failed stays so.
            if matches!(errno, Errno::EPIPE | Errno::ECONNRESET) {
                break_off(fd);
            }
            Err(errno)
        }
        _ => Ok(len),
    }
}

/// Decides what a call on a descriptor meets that a loop may watch. What is left then is reported by an event: the kernel reports
/// no edge for it.
fn meet_watched(
    call: &'static str,
    kinds: &[Kind],
    fd: BorrowedFd<'_>,
    is_possible: impl Fn(Kind) -> bool,
) -> Option<(Kind, u64)> {
    with(|state| {
        let met = state.decisions.meet_if(call, kinds, is_possible);
        if let Some((Kind::Short | Kind::Refused(Errno::EAGAIN), number)) = met {
            state.ready.again(fd, clock::time(), number);
        }
        met
    })
    .flatten()
}
