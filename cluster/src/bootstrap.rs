//! How the channel gets to a new worker: through its standard input. Node passes a descriptor's number in
//! `NODE_CHANNEL_FD` instead.
//!
//! A program without `unsafe` cannot take a descriptor by its number, but it has its standard input. So that is a socket
//! here in which one message lies: the version of the protocol, and with it the channel (`SCM_RIGHTS`). The primary's
//! end is closed by then, and standard input is at its end afterwards.
//!
//! Node removes its variables from a worker's environment so that the worker's own children are no workers; a program
//! cannot do that safely either. Here a worker is who finds the message: the socket is known by its inode, and the
//! message can be read once.

use crate::message::VERSION;
use crate::{Error, Result};
use bytes::Bytes;
use std::cell::RefCell;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{Errno, PipeWrap};
use uv_core::{Loop, LoopHandle, RunMode};

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
        pipe.write_fds(Bytes::from_static(&[VERSION]), vec![Rc::new(channel)])?;
        if pipe.write_queue_size() > 0 {
            // A fresh socket has room for a byte, unless the system is out of memory.
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

/// The worker's number and channel, if this process was forked by a primary and nobody asked before.
pub(crate) fn accept_invitation() -> Result<Option<(u32, OwnedFd)>> {
    let variable = |name| std::env::var(name).ok();
    let id = variable(UNIQUE_ID).and_then(|id| id.parse().ok());
    let expected = variable(STDIN).and_then(|inode| inode.parse::<u64>().ok());
    let (Some(id), Some(expected)) = (id, expected) else { return Ok(None) };
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(Errno::from).and_then(inode);
    match stdin {
        Ok((stdin, inode)) if inode == expected => Ok(receive(stdin)?.map(|channel| (id, channel))),
        _ => Ok(None),
    }
}

/// Reads the message, which is there already or never will be, with a loop of its own.
fn receive(stdin: OwnedFd) -> Result<Option<OwnedFd>> {
    let lp = Loop::new()?;
    let pipe = PipeWrap::new_ipc(&lp);
    pipe.open(stdin)?;
    let message = Rc::new(RefCell::new(None));
    pipe.set_handler(Receiving { pipe: pipe.clone(), message: Rc::clone(&message) });
    pipe.read_start()?;
    lp.run(RunMode::NoWait)?;
    match message.take() {
        None => Ok(None),
        Some((version, channel)) if version == VERSION => Ok(channel),
        Some((version, _)) => Err(Error::Version { primary: version }),
    }
}

type Received = Option<(u8, Option<OwnedFd>)>;

struct Receiving {
    pipe: PipeWrap,
    message: Rc<RefCell<Received>>,
}

impl OnStream for Receiving {
    fn on_read(&mut self, data: &[u8]) {
        let channel = self.pipe.take_received_fd();
        *self.message.borrow_mut() = data.first().map(|version| (*version, channel));
        self.pipe.read_stop();
    }

    fn on_end(&mut self) {}

    fn on_error(&mut self, _: uv_core::Error) {}
}
