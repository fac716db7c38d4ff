//! Connections of the test's own clients, which no fault meets and which never block: the server that they wait for takes its
//! turns on the same thread.

use crate::sys::addr::SockAddr;
use crate::sys::socket::connect_undisturbed;
use crate::{Errno, Error, Result};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Begins to connect over TCP: whether it succeeds is seen later.
///
/// # Errors
/// Any error of socket(2) and connect(2).
pub fn connect_tcp(address: SocketAddr) -> Result<TcpStream> {
    connect(&SockAddr::inet(address)).map(TcpStream::from)
}

/// Connects to a Unix socket; a path that begins with NUL is an abstract name.
///
/// # Errors
/// Any error of socket(2) and connect(2): `EAGAIN` if the backlog is full.
pub fn connect_unix(path: &Path) -> Result<UnixStream> {
    let address = SockAddr::unix(path.as_os_str()).map_err(failed)?;
    connect(&address).map(UnixStream::from)
}

fn connect(address: &SockAddr) -> Result<OwnedFd> {
    connect_undisturbed(address).map_err(failed)
}

fn failed(errno: Errno) -> Error {
    Error::new("connect", errno)
}
