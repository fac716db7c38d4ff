//! One connection, one request, each step waited for: how the loads begin that hold many connections or read
//! slowly.

use std::io;
use std::net::IpAddr;

use crate::sockets::{self, Address, Transfer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::socket_error;

/// How long one step may take, in seconds.
const PATIENCE: i64 = 5;

/// Connects to `addr`, from `source` if given, and sends `message`.
pub(crate) fn open(addr: &Address, source: Option<IpAddr>, message: &[u8]) -> io::Result<OwnedFd> {
    let socket = sockets::connect(addr, source)?;
    wait(&socket, PollFlags::OUT)?;
    socket_error(&socket)??;
    let mut left = message;
    while !left.is_empty() {
        match sockets::send(&socket, left)? {
            Transfer::Bytes(count) => left = &left[count..],
            Transfer::NotReady => wait(&socket, PollFlags::OUT)?,
        }
    }
    Ok(socket)
}

/// Waits until the socket is ready in one of the ways of `flags`.
pub(crate) fn wait(socket: &OwnedFd, flags: PollFlags) -> io::Result<()> {
    let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    match poll(&mut [PollFd::new(socket, flags)], Some(&patience))? {
        0 => Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing happened for {PATIENCE} s"))),
        _ => Ok(()),
    }
}
