//! How the channel gets to a new worker: through its standard input. Where Node passes a descriptor's number in
//! `NODE_CHANNEL_FD`.
//!
//! A program without `unsafe` cannot take a descriptor by its number, but it has its standard input. So that is a socket
//! here in which two bytes lie: the version of the protocol, and one with which the channel comes (`SCM_RIGHTS`). The
//! primary's end is closed by then, and standard input is at its end after them.
//!
//! Node removes its variables from a worker's environment so that the worker's own children are none; a program cannot
//! do that safely either. Here a worker is who finds the first byte: the socket is known by its inode, and the byte can
//! be read once.

use crate::message::VERSION;
use crate::{Error, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use tcp_wrap::{Errno, PipeWrap, Written};
use uv_core::LoopHandle;

/// The worker's number.
pub(crate) const UNIQUE_ID: &str = "UPCALL_UNIQUE_ID";

/// The inode of the worker's standard input.
pub(crate) const STDIN: &str = "UPCALL_STDIN";

/// What a new worker is given.
pub(crate) struct Invitation {
    pub(crate) stdin: OwnedFd,
    /// For [`STDIN`].
    pub(crate) inode: u64,
}

impl Invitation {
    /// An invitation with the worker's end of the channel.
    pub(crate) fn new(lp: &LoopHandle, channel: OwnedFd) -> Result<Self> {
        let pipe = PipeWrap::new_ipc(lp);
        let made = Self::fill(&pipe, channel);
        pipe.close();
        made
    }

    fn fill(pipe: &PipeWrap, channel: OwnedFd) -> Result<Self> {
        let stdin = pipe.handle().open_pair()?;
        let Written { .. } = pipe.write(&[VERSION])?;
        pipe.write_fds(Bytes::from_static(b"c"), vec![Rc::new(channel)])?;
        if pipe.write_queue_size() > 0 {
            // A fresh socket has room for two bytes, unless the system is out of memory.
            return Err(uv_core::Error::new("write", Errno::EAGAIN).into());
        }
        let (stdin, inode) = inode(stdin).map_err(|errno| uv_core::Error::new("fstat", errno))?;
        Ok(Self { stdin, inode })
    }
}

fn inode(fd: OwnedFd) -> Result<(OwnedFd, u64), Errno> {
    let file = File::from(fd);
    let inode = file.metadata()?.ino();
    Ok((file.into(), inode))
}

/// The worker's number and standard input, if this process was forked by a primary and nobody asked before.
pub(crate) fn accept_invitation() -> Result<Option<(u32, OwnedFd)>> {
    let variable = |name| std::env::var(name).ok();
    let id = variable(UNIQUE_ID).and_then(|id| id.parse().ok());
    let expected = variable(STDIN).and_then(|inode| inode.parse::<u64>().ok());
    let (Some(id), Some(expected)) = (id, expected) else { return Ok(None) };
    let Ok((stdin, inode)) =
        std::io::stdin().as_fd().try_clone_to_owned().map_err(Errno::from).and_then(inode)
    else {
        return Ok(None);
    };
    if inode != expected {
        return Ok(None);
    }
    let mut stdin = UnixStream::from(stdin);
    let failed = |error: std::io::Error| Error::from(uv_core::Error::new("read", Errno::from(error)));
    stdin.set_nonblocking(true).map_err(failed)?;
    let mut version = [0];
    match stdin.read(&mut version) {
        Ok(0) => Ok(None),
        Ok(_) if version[0] == VERSION => Ok(Some((id, stdin.into()))),
        Ok(_) => Err(Error::Version { primary: version[0] }),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
