//! Stream sockets, TCP's and Unix's, non-blocking and close-on-exec from their birth: the listeners of the floors, the
//! connections of the load.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, bind, getsockname,
    listen as start_listening, socket_with, sockopt,
};

/// Connections that may wait for `accept`: what the load opens at once fits without a refused or repeated
/// SYN.
const BACKLOG: i32 = 4096;

/// What an address of a Unix socket begins with, in words.
const UNIX: &str = "unix:";

/// Where a server listens: `127.0.0.1:8000`, or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    pub(crate) const ANY_PORT: Self = Self::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

    /// The same on every address of this machine.
    pub(crate) const EVERYWHERE: Self = Self::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));

    /// The source of a load's `index`-th connection, where it takes `each` from one: what the kernel chooses, and when
    /// that has no port left 127.0.0.2 and so on.
    pub(crate) fn source(&self, index: usize, each: usize) -> Option<IpAddr> {
        let Self::Tcp(addr) = self else { return None };
        let neighbour = u8::try_from(1 + index / each).ok()?;
        let loopback = addr.is_ipv4() && addr.ip().is_loopback();
        (loopback && neighbour > 1).then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, neighbour)))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some("") => Err(format!("{text:?}: no path")),
            Some(path) => Ok(Self::Unix(path.into())),
            None => {
                text.parse().map(Self::Tcp).map_err(|_| format!("{text:?}: neither IP:PORT nor unix:/path"))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// A socket for an address, which the kernel is told in its own form. A TCP socket sends at once.
fn open(address: &Address) -> io::Result<(OwnedFd, SocketAddrAny)> {
    let raw: SocketAddrAny = match address {
        Address::Tcp(addr) => (*addr).into(),
        Address::Unix(path) => SocketAddrUnix::new(path)?.into(),
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(raw.address_family(), SocketType::STREAM, flags, None)?;
    if let Address::Tcp(_) = address {
        sockopt::set_tcp_nodelay(&socket, true)?;
    }
    Ok((socket, raw))
}

/// Listens and returns the listener with an address to connect to (port 0 is replaced, and one of all addresses taken). Accepted connections inherit
/// `TCP_NODELAY` without a call of their own.
pub(crate) fn listen(address: &Address) -> io::Result<(OwnedFd, Address)> {
    let (listener, raw) = open(address)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    bind(&listener, &raw)?;
    start_listening(&listener, BACKLOG)?;
    let real = match address {
        Address::Tcp(_) => {
            let mut addr = SocketAddr::try_from(getsockname(&listener)?)?;
            if addr.ip().is_unspecified() {
                addr.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            Address::Tcp(addr)
        }
        Address::Unix(_) => address.clone(),
    };
    Ok((listener, real))
}

/// Starts a connection, from `source` if given. It is made when the socket becomes writable.
pub(crate) fn connect(address: &Address, source: Option<IpAddr>) -> io::Result<OwnedFd> {
    let (socket, raw) = open(address)?;
    if let Some(source) = source {
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match rustix::net::connect(&socket, &raw) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Takes bytes from a non-blocking socket: so many, of which 0 is the end of the stream; `None` if there are none yet.
pub(crate) fn recv(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::net::recv(socket, buffer, RecvFlags::empty()) {
        Ok((count, _)) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives bytes to a non-blocking socket, without SIGPIPE if the peer has closed: so many; `None` if there is no room now.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    /// Connections from one source.
    const EACH: usize = 20_000;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["127.0.0.1:80", "[::1]:80", "unix:/run/a b"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "80", "localhost:80", "unix:"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_new_source_begins_when_the_ports_of_the_last_are_used_up() {
        let loopback = Address::Tcp(([127, 0, 0, 1], 80).into());
        assert_eq!(loopback.source(EACH - 1, EACH), None);
        assert_eq!(loopback.source(EACH, EACH), Some([127, 0, 0, 2].into()));
        assert_eq!(loopback.source(3 * EACH - 1, EACH), Some([127, 0, 0, 3].into()));
        assert_eq!(Address::Tcp(([10, 0, 0, 1], 80).into()).source(EACH, EACH), None);
    }
}
