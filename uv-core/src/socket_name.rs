//! The names of a socket that has no handle, such as an accepted connection that may still be refused.

use crate::pipe::{PipeName, name};
use crate::sys::addr::SockAddr;
use crate::sys::socket;
use crate::{Errno, Error, Result};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// The name of a stream socket of any family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketName {
    /// An address of TCP.
    Inet(SocketAddr),
    /// The name of a Unix socket.
    Unix(PipeName),
}

impl SocketName {
    /// This side's name of a socket (`getsockname`).
    ///
    /// # Errors
    /// `ENOTSOCK`; any error of the system call.
    pub fn of(socket: BorrowedFd<'_>) -> Result<Self> {
        Self::from_result("getsockname", socket::local_addr(socket))
    }

    /// The name of a socket's peer (`getpeername`).
    ///
    /// # Errors
    /// `ENOTCONN` if the peer has reset the connection; any error of the system call.
    pub fn of_peer(socket: BorrowedFd<'_>) -> Result<Self> {
        Self::from_result("getpeername", socket::peer_addr(socket))
    }

    fn from_result(op: &'static str, addr: Result<SockAddr, Errno>) -> Result<Self> {
        let addr = addr.map_err(|errno| Error::new(op, errno))?;
        match addr.as_inet() {
            Some(addr) => Ok(Self::Inet(addr)),
            None => name(addr).map(Self::Unix),
        }
    }
}
