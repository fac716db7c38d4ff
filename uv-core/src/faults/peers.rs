//! Connections of the test's own clients, which no fault meets and which never block: the server that they wait for takes its
//! turns on the same thread.

use crate::sys::addr::SockAddr;
use crate::sys::socket::connect_undisturbed;
use crate::{Errno, Error, Result};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Begins to connect over TCP, from an address of the kernel's choice if `local` is none: whether it succeeds is seen later.
///
/// # Errors
/// Any error of socket(2), bind(2) and connect(2).
pub fn connect_tcp(address: SocketAddr, local: Option<SocketAddr>) -> Result<TcpStream> {
    let local = local.map(SockAddr::inet);
    connect_undisturbed(&SockAddr::inet(address), local.as_ref()).map(TcpStream::from).map_err(failed)
}

/// Connects to a Unix socket; a path that begins with NUL is an abstract name.
///
/// # Errors
/// Any error of socket(2) and connect(2): `EAGAIN` if the backlog is full.
pub fn connect_unix(path: &Path) -> Result<UnixStream> {
    let address = SockAddr::unix(path.as_os_str()).map_err(failed)?;
    connect_undisturbed(&address, None).map(UnixStream::from).map_err(failed)
}

fn failed(errno: Errno) -> Error {
    Error::new("connect", errno)
}
