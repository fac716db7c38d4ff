//! Stream sockets: one safe function for each system call.

use super::addr::SockAddr;
use super::fd::{check, check_len, own};
use super::{call, transfer};
use crate::Errno;
use std::io::IoSlice;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Creates a non-blocking stream socket, with `FD_CLOEXEC`.
pub(crate) fn stream_socket(family: libc::c_int) -> Result<OwnedFd, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("socket(2)")?;
    #[cfg(upcall_faults)]
    if family == libc::AF_INET6 {
        crate::faults::refuse("socket(2) of IPv6")?;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes integers only; a descriptor that it returns is new.
    unsafe { own(libc::socket(family, kind, 0)) }
}

/// Creates two connected Unix stream sockets, with `FD_CLOEXEC`. The first is non-blocking, the second if
/// `nonblocking_peer` is set.
pub(crate) fn stream_pair(nonblocking_peer: bool) -> Result<(OwnedFd, OwnedFd), Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("socketpair(2)")?;
    let mut fds = [-1; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two descriptors into the array of two.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: the call has just created both.
    let pair = unsafe { (own(fds[0])?, own(fds[1])?) };
    super::fd::set_nonblocking(pair.0.as_fd(), true)?;
    super::fd::set_nonblocking(pair.1.as_fd(), nonblocking_peer)?;
    Ok(pair)
}

pub(crate) fn bind(fd: BorrowedFd<'_>, addr: &SockAddr) -> Result<(), Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("bind(2)")?;
    // SAFETY: pointer and length describe the address, which outlives the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), addr.as_ptr(), addr.len()) }).map(drop)
}

pub(crate) fn connect(fd: BorrowedFd<'_>, addr: &SockAddr) -> Result<(), Errno> {
    call("connect(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse_connect(fd)?;
        // SAFETY: pointer and length describe the address, which outlives the call.
        check(unsafe { libc::connect(fd.as_raw_fd(), addr.as_ptr(), addr.len()) }).map(drop)
    })
}

/// Creates a stream socket as [`stream_socket`] does and begins to connect it, from a `local` address if there is one, without
/// a fault.
#[cfg(upcall_faults)]
pub(crate) fn connect_undisturbed(addr: &SockAddr, local: Option<&SockAddr>) -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes integers only; a descriptor that it returns is new.
    let fd = unsafe { own(libc::socket(addr.family(), kind, 0)) }?;
    if let Some(local) = local {
        // SAFETY: pointer and length describe the address, which outlives the call.
        check(unsafe { libc::bind(fd.as_raw_fd(), local.as_ptr(), local.len()) })?;
    }
    // SAFETY: pointer and length describe the address, which outlives the call.
    match check(unsafe { libc::connect(fd.as_raw_fd(), addr.as_ptr(), addr.len()) }) {
        Ok(_) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(errno) => Err(errno),
    }
}

/// Whether no process has a socket bound to this path, or to this abstract name.
///
/// The check connects a datagram socket: a stream socket is found but has the wrong type, so its owner does not notice.
pub(crate) fn is_unbound(addr: &SockAddr) -> bool {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes integers only; a descriptor that it returns is new.
    let probe = unsafe { own(libc::socket(libc::AF_UNIX, kind, 0)) };
    let is_unbound = probe.is_ok_and(|probe| connect(probe.as_fd(), addr) == Err(Errno::ECONNREFUSED));
    #[cfg(upcall_faults)]
    if is_unbound {
        crate::faults::reached(crate::faults::Branch::NameUnbound);
    }
    is_unbound
}

pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    call("listen(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse("listen(2)")?;
        // SAFETY: takes integers only.
        check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
    })
}

/// Accepts the next connection as a non-blocking socket, with `FD_CLOEXEC`.
pub(crate) fn accept(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let accept = || {
        // SAFETY: null address pointers mean that the peer's address is not wanted; a descriptor that it returns is new.
        unsafe { own(libc::accept4(fd.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags)) }
    };
    #[cfg(upcall_faults)]
    let accept = || crate::faults::refuse_accept(fd, accept).and_then(|()| crate::faults::progress(accept()));
    call("accept4(2)", accept)
}

/// Whether there is input or a connection to accept, or the system cannot tell.
pub(crate) fn may_have_input(fd: BorrowedFd<'_>) -> bool {
    has_input(fd) != Ok(false)
}

/// Whether there is input or a connection to accept.
pub(crate) fn has_input(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut question = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let found = call("poll(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse("poll(2)")?;
        // SAFETY: the kernel reads and writes the one structure that it gets.
        check(unsafe { libc::poll(&raw mut question, 1, 0) })
    });
    #[cfg(upcall_faults)]
    crate::faults::reached_if(crate::faults::Branch::ListenerUnasked, &found);
    found.map(|count| count > 0)
}

/// Breaks a connection off, so that what follows an injected failure is what follows a real one: the peer of a TCP connection
/// gets a reset, that of another one the end.
#[cfg(upcall_faults)]
pub(crate) fn break_off(fd: BorrowedFd<'_>) {
    let nothing = libc::sockaddr { sa_family: libc::AF_UNSPEC as _, sa_data: [0; 14] };
    if is_tcp(fd) {
        let len = size_of::<libc::sockaddr>() as libc::socklen_t;
        // SAFETY: pointer and length describe the address, which outlives the call. Fails for what is not connected.
        let _ = unsafe { libc::connect(fd.as_raw_fd(), &raw const nothing, len) };
    }
    // Behind the disconnect, too: what was reset is at its end, unlike a socket that was never connected.
    // SAFETY: takes integers only. Fails for what is no connected socket.
    let _ = unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Whether the descriptor is a socket of TCP.
#[cfg(upcall_faults)]
pub(crate) fn is_tcp(fd: BorrowedFd<'_>) -> bool {
    let domain = get_option_by_number(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN);
    domain.is_ok_and(|domain| matches!(domain, libc::AF_INET | libc::AF_INET6))
}

/// Whether the descriptor is a socket with a peer.
#[cfg(upcall_faults)]
pub(crate) fn has_peer(fd: BorrowedFd<'_>) -> bool {
    let mut addr = SockAddr::empty();
    // SAFETY: the buffer has room for any address, and its length is the size of that room.
    check(unsafe { libc::getpeername(fd.as_raw_fd(), addr.as_mut_ptr(), addr.len_mut()) }).is_ok()
}

/// What the descriptor is ready for now, in the bits of poll(2), for an event that a test reports in the kernel's place.
#[cfg(upcall_faults)]
pub(crate) fn readiness(fd: RawFd) -> libc::c_short {
    let events = libc::POLLIN | libc::POLLPRI | libc::POLLOUT | libc::POLLRDHUP;
    let mut question = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: the kernel reads and writes the one structure that it gets.
    let found = unsafe { libc::poll(&raw mut question, 1, 0) };
    if found > 0 { question.revents } else { 0 }
}

pub(crate) fn shutdown_write(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    call("shutdown(2)", || {
        #[cfg(upcall_faults)]
        crate::faults::refuse_shutdown(fd)?;
        // SAFETY: takes integers only.
        check(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) }).map(drop)
    })
}

/// Reads from a socket or, if `is_socket` is false, from any descriptor. Reading from a socket never blocks, even if
/// another process has made the open file blocking.
#[inline]
pub(crate) fn read(fd: BorrowedFd<'_>, is_socket: bool, buffer: &mut [u8]) -> Result<usize, Errno> {
    #[cfg(upcall_faults)]
    let buffer = crate::faults::read_into(if is_socket { "recv(2)" } else { "read(2)" }, fd, buffer)?;
    let (start, len) = (buffer.as_mut_ptr().cast(), buffer.len());
    if is_socket {
        transfer("recv(2)", || {
            // SAFETY: the kernel writes at most `len` bytes from the buffer's start.
            check_len(unsafe { libc::recv(fd.as_raw_fd(), start, len, libc::MSG_DONTWAIT) })
        })
    } else {
        // SAFETY: the kernel writes at most `len` bytes from the buffer's start.
        transfer("read(2)", || check_len(unsafe { libc::read(fd.as_raw_fd(), start, len) }))
    }
}

/// How to write to a descriptor.
#[derive(Clone, Copy)]
pub(crate) enum Means {
    /// To a socket, without blocking, even if another process has made the open file blocking.
    Socket,
    /// Likewise, and more follows soon: a packet that is not full waits for it, or for [`uncork`].
    Corked,
    /// To a socket, blocking until it has taken everything.
    WaitingSocket,
    /// To another kind of file, in the mode of the open file.
    File,
}

impl Means {
    /// The flags of `send` and `sendmsg`.
    #[inline]
    pub(super) fn flags(self) -> libc::c_int {
        match self {
            Self::WaitingSocket => libc::MSG_NOSIGNAL,
            Self::Corked => libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_MORE,
            _ => libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        }
    }
}

/// Writes. On sockets this raises no SIGPIPE; on other files that cannot be avoided.
#[inline]
pub(crate) fn write(fd: BorrowedFd<'_>, means: Means, data: &[u8]) -> Result<usize, Errno> {
    #[cfg(upcall_faults)]
    let data = match means {
        Means::WaitingSocket => data,
        Means::Socket | Means::Corked => &data[..crate::faults::write_len("send(2)", fd, data.len())?],
        Means::File => &data[..crate::faults::write_len("write(2)", fd, data.len())?],
    };
    let (start, len) = (data.as_ptr().cast(), data.len());
    if let Means::File = means {
        // SAFETY: the kernel reads at most `len` bytes from the buffer's start.
        transfer("write(2)", || check_len(unsafe { libc::write(fd.as_raw_fd(), start, len) }))
    } else {
        // SAFETY: the kernel reads at most `len` bytes from the buffer's start.
        transfer("send(2)", || check_len(unsafe { libc::send(fd.as_raw_fd(), start, len, means.flags()) }))
    }
}

/// Writes several buffers in one call, at most `IOV_MAX` (1024).
#[inline]
pub(crate) fn writev(fd: BorrowedFd<'_>, means: Means, data: &[IoSlice<'_>]) -> Result<usize, Errno> {
    if let [one] = data {
        return write(fd, means, one);
    }
    if !matches!(means, Means::File) {
        return super::message::send(fd, means, data, &[]);
    }
    #[cfg(upcall_faults)]
    if let Some(first) = crate::faults::write_from("writev(2)", fd, data, false)? {
        return write(fd, means, first);
    }
    transfer("writev(2)", || {
        // SAFETY: `IoSlice` is guaranteed to have the layout of `iovec`, and the slices outlive the call.
        check_len(unsafe { libc::writev(fd.as_raw_fd(), data.as_ptr().cast(), data.len() as libc::c_int) })
    })
}

pub(crate) fn local_addr(fd: BorrowedFd<'_>) -> Result<SockAddr, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("getsockname(2)")?;
    let mut addr = SockAddr::empty();
    // SAFETY: the buffer has room for any address, and its length is the size of that room.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), addr.as_mut_ptr(), addr.len_mut()) })?;
    Ok(addr)
}

pub(crate) fn peer_addr(fd: BorrowedFd<'_>) -> Result<SockAddr, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("getpeername(2)")?;
    let mut addr = SockAddr::empty();
    // SAFETY: the buffer has room for any address, and its length is the size of that room.
    check(unsafe { libc::getpeername(fd.as_raw_fd(), addr.as_mut_ptr(), addr.len_mut()) })?;
    Ok(addr)
}

/// Takes the pending error of a socket (`SO_ERROR`).
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    #[cfg(upcall_faults)]
    crate::faults::take_reset(fd)?;
    match get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        error => Err(Errno::from_raw(error)),
    }
}

pub(crate) fn get_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> Result<libc::c_int, Errno> {
    get_option_by_number(fd.as_raw_fd(), level, name)
}

fn get_option_by_number(fd: RawFd, level: libc::c_int, name: libc::c_int) -> Result<libc::c_int, Errno> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: value and length describe one int, which outlives the call.
    check(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}

pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> Result<(), Errno> {
    // Linux has no reason to refuse these two; the delay would be in real time, which a world's clock does not know.
    #[cfg(upcall_faults)]
    if level != libc::IPPROTO_TCP || !matches!(name, libc::TCP_NODELAY | libc::TCP_CORK) {
        crate::faults::refuse("setsockopt(2)")?;
    }
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: value and length describe one int, which outlives the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) }).map(drop)
}

/// The number of bytes that the peer of a socket has not acknowledged; an unacknowledged FIN of TCP counts as one. For
/// a Unix socket the bytes that the peer has not read, with the kernel's overhead.
pub(crate) fn unacknowledged(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which has the number of TIOCOUTQ, writes one int, which outlives the call.
    call("ioctl(2)", || check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) }))?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Makes the close of the socket send a reset instead of a FIN (`SO_LINGER` with a time of zero).
pub(crate) fn linger_zero(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let len = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: pointer and length describe the struct, which outlives the call.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), len)
    })
    .map(drop)
}

/// Sends what a TCP socket holds back after writes with [`Means::Corked`].
pub(crate) fn uncork(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // MSG_MORE is no state of the socket; the end of a cork that was never set sends what waits.
    call("setsockopt(2)", || set_option(fd, libc::IPPROTO_TCP, libc::TCP_CORK, 0))
}

/// Whether the number is that of an open socket.
pub(crate) fn is_socket(fd: RawFd) -> bool {
    get_option_by_number(fd, libc::SOL_SOCKET, libc::SO_TYPE).is_ok()
}

/// Whether the descriptor is a stream socket.
pub(crate) fn is_stream_socket(fd: BorrowedFd<'_>) -> bool {
    get_option(fd, libc::SOL_SOCKET, libc::SO_TYPE).is_ok_and(|kind| kind == libc::SOCK_STREAM)
}

/// Whether the number is that of a listening socket.
pub(crate) fn is_listening(fd: RawFd) -> bool {
    get_option_by_number(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN).is_ok_and(|value| value != 0)
}
