//! What a failed system call affects, and therefore how to react: the one table of it. libuv spreads this knowledge
//! over `uv__server_io`, `uv__write` and `uv__tcp_connect`; the reasons are in the manual pages named here.
//!
//! The page "Failures" of ARCHITECTURE.md describes how each layer reacts to each kind.

use crate::{Errno, Error};

/// A system call, or a family of calls that fail alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// `accept4`.
    Accept,
    /// `connect`.
    Connect,
    /// `recv`, `recvmsg` and `read` from a stream.
    Read,
    /// `send`, `sendmsg` without descriptors, `write` and `writev` to a stream; `shutdown`.
    Write,
    /// `send` and `sendmsg` to a process on this machine that also receives descriptors.
    Pass,
    /// `recvmsg` and `recvmmsg` from a socket of datagrams.
    Receive,
    /// `sendmsg` and `sendmmsg` to a socket of datagrams.
    Send,
    /// `bind` and `listen`.
    Listen,
    /// `epoll_ctl`.
    Watch,
    /// `epoll_wait`.
    Poll,
    /// `clone` and `exec`: a process, or a thread.
    Spawn,
    /// `getaddrinfo` and `getnameinfo`.
    Lookup,
    /// Calls that create a descriptor: `socket`, `socketpair`, `open`, `dup`, `eventfd`, `epoll_create`.
    Open,
}

impl Call {
    /// All calls, in the order of their declaration.
    pub const ALL: &'static [Self] = &[
        Self::Accept,
        Self::Connect,
        Self::Read,
        Self::Write,
        Self::Pass,
        Self::Receive,
        Self::Send,
        Self::Listen,
        Self::Watch,
        Self::Poll,
        Self::Spawn,
        Self::Lookup,
        Self::Open,
    ];
}

/// What a failed call affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A signal interrupted the call, which is repeated immediately, within a bound.
    Interrupted,
    /// The call would block, and an event reports when it can continue.
    Waiting,
    /// The peer has closed or refuses the connection: only the operations for this peer end. Of datagrams: an earlier one
    /// did not arrive, as an ICMP message says.
    Peer,
    /// This one connection, stream, attempt or datagram failed: the next one may succeed immediately.
    Connection,
    /// A state of the system that no event reports the end of: the operation is kept and retried after a pause, and
    /// logged once.
    Passing,
    /// The call was wrong, or its target does not support it: it would fail again. Reported to the caller.
    Ours,
}

impl Failure {
    /// What the failure of `call` with this error affects.
    ///
    /// ```
    /// use uv_core::failure::{Call, Failure};
    /// use uv_core::Errno;
    ///
    /// assert_eq!(Failure::of(Call::Write, Errno::EPIPE), Failure::Peer);
    /// assert_eq!(Failure::of(Call::Write, Errno::ENOBUFS), Failure::Passing);
    /// assert_eq!(Failure::of(Call::Accept, Errno::EPERM), Failure::Connection, "a firewall's word on one connection");
    /// ```
    #[must_use]
    pub fn of(call: Call, errno: Errno) -> Self {
        #[cfg(upcall_faults)]
        crate::faults::failed(call, errno);
        let errno = errno.raw();
        match errno {
            libc::EINTR if call != Call::Connect => return Self::Interrupted,
            libc::ENOMEM | libc::ENOBUFS | libc::EMFILE | libc::ENFILE | libc::ENOSR => return Self::Passing,
            libc::EBADF | libc::EFAULT | libc::EINVAL | libc::ENOTSOCK => return Self::Ours,
            _ => {}
        }
        match call {
            Call::Accept => accept(errno),
            Call::Connect => connect(errno),
            Call::Read => read(errno),
            Call::Write => write(errno),
            Call::Pass => pass(errno),
            Call::Receive => datagram(errno),
            Call::Send if errno == libc::EMSGSIZE => Self::Connection,
            Call::Send => datagram(errno),
            // epoll_ctl(2): `max_user_watches`.
            Call::Watch if errno == libc::ENOSPC => Self::Passing,
            // The owner of the address may release it.
            Call::Listen if errno == libc::EADDRINUSE => Self::Passing,
            Call::Spawn => spawn(errno),
            Call::Lookup => lookup(Errno::from_raw(errno)),
            Call::Listen | Call::Watch | Call::Poll | Call::Open => Self::Ours,
        }
    }
}

/// accept(2): errors of the pending connection are returned by the listener's call and are "to be treated like EAGAIN
/// by retrying". EPERM comes from a firewall, and EACCES from a security module, which may also refuse every
/// connection: so a caller that skips failed connections does it within a bound and then pauses.
fn accept(errno: i32) -> Failure {
    match errno {
        libc::EAGAIN => Failure::Waiting,
        libc::ECONNABORTED
        | libc::ECONNRESET
        | libc::EPIPE
        | libc::EPROTO
        | libc::ENETDOWN
        | libc::ENOPROTOOPT
        | libc::EHOSTDOWN
        | libc::ENONET
        | libc::EHOSTUNREACH
        | libc::EOPNOTSUPP
        | libc::ENETUNREACH
        | libc::ETIMEDOUT
        | libc::ESOCKTNOSUPPORT
        | libc::EPROTONOSUPPORT
        | libc::EPERM
        | libc::EACCES => Failure::Connection,
        // A listener that gave up on an unknown error would be lost; waiting costs nothing.
        _ => Failure::Passing,
    }
}

/// connect(2). An interrupted connect continues in the kernel. EAGAIN is a full listen queue of a Unix socket,
/// EADDRNOTAVAIL usually a lack of ephemeral ports: no event reports the end of either.
fn connect(errno: i32) -> Failure {
    match errno {
        libc::EINPROGRESS | libc::EINTR => Failure::Waiting,
        libc::EAGAIN | libc::EADDRNOTAVAIL => Failure::Passing,
        libc::ECONNREFUSED | libc::ECONNRESET | libc::EPIPE | libc::ENOENT => Failure::Peer,
        libc::EALREADY | libc::EISCONN | libc::EAFNOSUPPORT | libc::EPROTOTYPE => Failure::Ours,
        // An unreachable network, a timeout or a firewall: this attempt failed.
        _ => Failure::Connection,
    }
}

/// recv(2), read(2). A terminal returns EIO when its other side was closed.
fn read(errno: i32) -> Failure {
    match errno {
        libc::EAGAIN => Failure::Waiting,
        libc::ECONNRESET | libc::EPIPE => Failure::Peer,
        libc::ENOTCONN | libc::EISDIR | libc::EOPNOTSUPP => Failure::Ours,
        _ => Failure::Connection,
    }
}

/// send(2), write(2). Output for a full disk (ENOSPC, EDQUOT) is not kept, because it would grow without a bound.
fn write(errno: i32) -> Failure {
    match errno {
        libc::EAGAIN => Failure::Waiting,
        libc::EPIPE | libc::ECONNRESET => Failure::Peer,
        libc::ENOTCONN | libc::EISCONN | libc::EMSGSIZE | libc::EDESTADDRREQ | libc::EOPNOTSUPP => {
            Failure::Ours
        }
        _ => Failure::Connection,
    }
}

/// unix(7): ETOOMANYREFS means that too many descriptors of this user are in flight between processes. No network is
/// involved, so an error that does not concern the peer, such as a security module's EPERM, is a state of the system.
fn pass(errno: i32) -> Failure {
    match write(errno) {
        Failure::Connection => Failure::Passing,
        failure => failure,
    }
}

/// udp(7): errors of ICMP messages, by `icmp_err_convert` of Linux, are returned by the next call on the socket, whatever
/// that is. A call to send may return the same errors for its own datagram.
fn datagram(errno: i32) -> Failure {
    match errno {
        libc::EAGAIN => Failure::Waiting,
        libc::ECONNREFUSED
        | libc::EHOSTUNREACH
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::ENONET
        | libc::ENOPROTOOPT
        | libc::EOPNOTSUPP
        | libc::EMSGSIZE
        | libc::EPROTO
        | libc::EACCES => Failure::Peer,
        _ => Failure::Connection,
    }
}

/// clone(2), execve(2): EAGAIN is the process limit, ENOSPC and EUSERS are limits of a namespace, ETXTBSY is a program
/// that is still open for writing.
fn spawn(errno: i32) -> Failure {
    match errno {
        libc::EAGAIN | libc::ENOSPC | libc::EUSERS | libc::ETXTBSY => Failure::Passing,
        _ => Failure::Ours,
    }
}

/// getaddrinfo(3): EAI_AGAIN is a name server that has not answered, or has no answer now. EAGAIN is the pool's: see
/// [`spawn`].
fn lookup(errno: Errno) -> Failure {
    match errno {
        Errno::EAI_AGAIN | Errno::EAI_MEMORY | Errno::EAGAIN => Failure::Passing,
        _ => Failure::Ours,
    }
}

impl Error {
    /// What this failure affects, by the operation that failed.
    ///
    /// ```
    /// use uv_core::failure::Failure;
    /// use uv_core::{Errno, Error};
    ///
    /// assert_eq!(Error::new("read", Errno::ECONNRESET).failure(), Failure::Peer);
    /// ```
    #[must_use]
    pub fn failure(&self) -> Failure {
        let call = match self.op() {
            "accept" => Call::Accept,
            "connect" => Call::Connect,
            "read" => Call::Read,
            "write" | "sendfile" | "shutdown" => Call::Write,
            "receive" => Call::Receive,
            "send" => Call::Send,
            "bind" | "listen" => Call::Listen,
            "epoll_ctl" => Call::Watch,
            "epoll_wait" => Call::Poll,
            "spawn" | "queue_work" => Call::Spawn,
            "getaddrinfo" | "getnameinfo" => Call::Lookup,
            _ => Call::Open,
        };
        Failure::of(call, self.errno())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(call: Call, errors: &[i32], expected: Failure) {
        for errno in errors {
            let errno = Errno::from_raw(*errno);
            assert_eq!(Failure::of(call, errno), expected, "{call:?} {errno:?}");
        }
    }

    #[test]
    fn a_lack_of_memory_or_descriptors_is_a_state_of_the_system_whatever_was_called() {
        for &call in Call::ALL {
            all(call, &[libc::ENOMEM, libc::ENOBUFS, libc::EMFILE, libc::ENFILE], Failure::Passing);
            all(call, &[libc::EBADF, libc::EINVAL, libc::ENOTSOCK, libc::EFAULT], Failure::Ours);
        }
    }

    #[test]
    fn what_an_event_announces_is_waited_for() {
        for call in [Call::Accept, Call::Read, Call::Write, Call::Pass, Call::Receive, Call::Send] {
            all(call, &[libc::EAGAIN], Failure::Waiting);
            all(call, &[libc::EINTR], Failure::Interrupted);
        }
        all(Call::Connect, &[libc::EINPROGRESS, libc::EINTR], Failure::Waiting);
        all(Call::Connect, &[libc::EAGAIN], Failure::Passing);
    }

    // accept(2), "Error handling".
    #[test]
    fn accept_passes_on_what_happened_to_one_connection() {
        let errors = [
            libc::ENETDOWN,
            libc::EPROTO,
            libc::ENOPROTOOPT,
            libc::EHOSTDOWN,
            libc::ENONET,
            libc::EHOSTUNREACH,
            libc::EOPNOTSUPP,
            libc::ENETUNREACH,
            libc::ECONNABORTED,
            libc::EPERM,
        ];
        all(Call::Accept, &errors, Failure::Connection);
    }

    #[test]
    fn only_the_peers_end_is_the_peers_end() {
        for call in [Call::Write, Call::Pass, Call::Read] {
            all(call, &[libc::EPIPE, libc::ECONNRESET], Failure::Peer);
        }
        all(Call::Pass, &[libc::ETOOMANYREFS, libc::EPERM, libc::EACCES], Failure::Passing);
        all(Call::Connect, &[libc::ECONNREFUSED, libc::ENOENT], Failure::Peer);
        all(Call::Connect, &[libc::EHOSTUNREACH, libc::ETIMEDOUT, libc::EPERM], Failure::Connection);
        all(
            Call::Connect,
            &[libc::EALREADY, libc::EISCONN, libc::EAFNOSUPPORT, libc::EPROTOTYPE],
            Failure::Ours,
        );
    }

    #[test]
    fn the_end_of_an_earlier_datagram_is_no_failure_of_the_socket() {
        let icmp = [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EHOSTDOWN, libc::EPROTO];
        for call in [Call::Receive, Call::Send] {
            all(call, &icmp, Failure::Peer);
            all(call, &[libc::EPERM, libc::EIO], Failure::Connection);
        }
        all(Call::Send, &[libc::EMSGSIZE], Failure::Connection);
        all(Call::Receive, &[libc::EMSGSIZE], Failure::Peer);
    }

    #[test]
    fn an_error_is_classified_by_its_operation() {
        let failure = |op, errno| Error::new(op, Errno::from_raw(errno)).failure();
        assert_eq!(failure("spawn", libc::EAGAIN), Failure::Passing);
        assert_eq!(failure("spawn", libc::ENOENT), Failure::Ours);
        assert_eq!(failure("connect", libc::ENOENT), Failure::Peer);
        assert_eq!(failure("listen", libc::EADDRINUSE), Failure::Passing);
        assert_eq!(failure("bind", libc::EACCES), Failure::Ours);
        assert_eq!(failure("epoll_ctl", libc::ENOSPC), Failure::Passing);
        assert_eq!(failure("epoll_ctl", libc::EPERM), Failure::Ours);
        assert_eq!(failure("getaddrinfo", Errno::EAI_AGAIN.raw()), Failure::Passing);
        assert_eq!(failure("getaddrinfo", Errno::EAI_NONAME.raw()), Failure::Ours);
    }
}
