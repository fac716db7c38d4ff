//! TCP sockets, non-blocking and close-on-exec from their birth: the listeners of the floor, the connections
//! of the load.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname,
    listen as start_listening, socket_with, sockopt,
};

/// Connections that may wait for `accept`: what the load opens at once fits without a refused or repeated
/// SYN.
const BACKLOG: i32 = 4096;

/// What one non-blocking transfer came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// That many bytes were moved; 0 from `recv` is the end of the stream.
    Bytes(usize),
    /// The socket is not ready.
    NotReady,
}

fn new_socket(addr: SocketAddr) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Listens on `addr` and returns the listener with its real address (port 0 is replaced). TCP_NODELAY is set
/// on the listener, so that accepted connections inherit it without a call of their own.
///
/// # Errors
///
/// What `socket`, `setsockopt`, `bind`, `listen` and `getsockname` report.
pub fn listen(addr: SocketAddr) -> io::Result<(OwnedFd, SocketAddr)> {
    let listener = new_socket(addr)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    sockopt::set_tcp_nodelay(&listener, true)?;
    bind(&listener, &addr)?;
    start_listening(&listener, BACKLOG)?;
    let real = SocketAddr::try_from(getsockname(&listener)?)?;
    Ok((listener, real))
}

/// Starts a connection to `addr`, from `source` if given. It is made when the socket becomes writable.
///
/// # Errors
///
/// What `socket`, `setsockopt`, `bind` and `connect` report, except that the connection is in progress.
pub fn connect(addr: SocketAddr, source: Option<IpAddr>) -> io::Result<OwnedFd> {
    let socket = new_socket(addr)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(source) = source {
        bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match rustix::net::connect(&socket, &addr) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Takes bytes from a non-blocking socket.
///
/// # Errors
///
/// What `recv` reports, except that the socket is not ready.
pub fn recv(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Transfer> {
    match rustix::net::recv(socket, buffer, RecvFlags::empty()) {
        Ok((count, _)) => Ok(Transfer::Bytes(count)),
        Err(Errno::AGAIN) => Ok(Transfer::NotReady),
        Err(error) => Err(error.into()),
    }
}

/// Gives bytes to a non-blocking socket, without a signal if the peer has gone.
///
/// # Errors
///
/// What `send` reports, except that the socket is not ready.
pub fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<Transfer> {
    match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(count) => Ok(Transfer::Bytes(count)),
        Err(Errno::AGAIN) => Ok(Transfer::NotReady),
        Err(error) => Err(error.into()),
    }
}
