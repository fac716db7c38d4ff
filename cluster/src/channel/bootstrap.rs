//! How the channel gets to a new worker: through its standard input. Node passes a descriptor's number in
//! `NODE_CHANNEL_FD` instead.
//!
//! A program without `unsafe` cannot take a descriptor by its number, but it has its standard input. So that is a socket
//! here in which one message lies: the version of the protocol, and with it the channel (`SCM_RIGHTS`). The primary's
//! end is closed by then, and standard input is at its end afterwards.
//!
//! A process that has one of the two variables was forked as a worker. It becomes one or fails: it is never "no worker",
//! since such a process would go on as a primary and fork workers that fail likewise, without end. As in Node a worker
//! removes the variables, so that its own children are no workers.

use crate::channel::message::VERSION;
use crate::{Error, InvitationError, Result};
use async_wrap::StreamWrap;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{Errno, PipeWrap};
use uv_core::{Loop, LoopHandle, Pipe, RunMode};

/// The worker's number.
pub(crate) const UNIQUE_ID: &str = "UPCALL_UNIQUE_ID";

/// The inode of the worker's standard input.
pub(crate) const STDIN: &str = "UPCALL_STDIN";

/// Whether this process has become a worker. It does so once, as it has one primary.
static ACCEPTED: Mutex<bool> = Mutex::new(false);

/// What a new worker is given.
pub(crate) struct Invitation {
    pub(crate) stdin: OwnedFd,
    /// For [`STDIN`].
    pub(crate) inode: u64,
}

impl Invitation {
    /// An invitation with the worker's end of the channel.
    ///
    /// It is with the kernel, or there is none: a worker that found nothing could not become one.
    pub(crate) fn new(lp: &LoopHandle, channel: OwnedFd) -> Result<Self> {
        let pipe = Pipe::new_ipc(lp);
        let made = Self::fill(&pipe, channel);
        pipe.close();
        made
    }

    fn fill(pipe: &Pipe, channel: OwnedFd) -> Result<Self> {
        let stdin = pipe.open_pair()?;
        // Takes all of it or fails: a byte has no parts, and a fresh socket has room.
        let _ = pipe.try_write_fds(&[VERSION], &[channel.as_fd()])?;
        let (stdin, inode) = inode(stdin).map_err(|errno| uv_core::Error::new("fstat", errno))?;
        Ok(Self { stdin, inode })
    }
}

fn inode(fd: OwnedFd) -> Result<(OwnedFd, u64), Errno> {
    let file = File::from(fd);
    let inode = file.metadata()?.ino();
    Ok((file.into(), inode))
}

/// What the variables of a worker say.
struct Expected {
    id: u32,
    /// Of standard input.
    inode: u64,
}

impl Expected {
    /// `None` in a process that was not forked as a worker: it has none of the variables.
    fn from_environment() -> Result<Option<Self>, InvitationError> {
        let variables = [UNIQUE_ID, STDIN].map(std::env::var_os);
        if variables.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [id, inode] = variables.map(|value| value.and_then(|value| number(&value)));
        match (id.and_then(|id| u32::try_from(id).ok()), inode) {
            (Some(id), Some(inode)) => Ok(Some(Self { id, inode })),
            _ => Err(InvitationError::Variables),
        }
    }
}

fn number(value: &OsString) -> Option<u64> {
    value.to_str()?.parse().ok()
}

/// Refuses to a process that was forked as a worker and is none (yet) what only a primary does.
pub(crate) fn refuse_unaccepted() -> Result<()> {
    let accepted = ACCEPTED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_expected = !matches!(Expected::from_environment(), Ok(None));
    if is_expected && !*accepted { Err(InvitationError::Unaccepted.into()) } else { Ok(()) }
}

/// The worker's number and channel, if this process was forked by a primary and has not become its worker before.
pub(crate) fn accept_invitation() -> Result<Option<(u32, OwnedFd)>> {
    let mut accepted = ACCEPTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *accepted {
        return Ok(None);
    }
    let Some(expected) = Expected::from_environment()? else { return Ok(None) };
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(Errno::from).and_then(inode);
    let (stdin, inode) = stdin.map_err(|errno| uv_core::Error::new("dup", errno).on("standard input"))?;
    // Whatever else it is, what lies in it is not for us.
    if inode != expected.inode {
        return Err(InvitationError::Stdin.into());
    }
    let channel = receive(stdin)?;
    *accepted = true;
    forget_variables();
    Ok(Some((expected.id, channel)))
}

/// Children of this process are no workers. While it has other threads the variables have to stay: then a child that
/// asks whether it is a worker gets an error, since the message is read already.
fn forget_variables() {
    for name in [UNIQUE_ID, STDIN] {
        if let Err(error) = uv_core::os::unset_variable(name) {
            log::debug!(target: "cluster", "{error}");
        }
    }
}

/// Reads the message, which is there already or never will be, with a loop of its own.
fn receive(stdin: OwnedFd) -> Result<OwnedFd> {
    let lp = Loop::new()?;
    let pipe = PipeWrap::new_ipc(&lp);
    // Refused for what has the right number and is no socket.
    pipe.open(stdin).map_err(|_| InvitationError::Stdin)?;
    let message = Rc::new(RefCell::new(Ok(None)));
    pipe.set_handler(Receiving { pipe: pipe.clone(), message: Rc::clone(&message) });
    pipe.read_start()?;
    lp.run(RunMode::NoWait)?;
    match message.replace(Ok(None))? {
        None => Err(InvitationError::Empty.into()),
        Some((VERSION, Some(channel))) => Ok(channel),
        Some((VERSION, None)) => Err(InvitationError::NoChannel.into()),
        Some((version, _)) => Err(Error::Version { primary: version }),
    }
}

type Received = Option<(u8, Option<OwnedFd>)>;

struct Receiving {
    pipe: PipeWrap,
    message: Rc<RefCell<Result<Received, uv_core::Error>>>,
}

impl OnStream for Receiving {
    fn on_read(&mut self, _: &StreamWrap, data: &[u8]) {
        let channel = self.pipe.take_received_fd();
        *self.message.borrow_mut() = Ok(data.first().map(|version| (*version, channel)));
        self.pipe.read_stop();
    }

    fn on_end(&mut self, _: &StreamWrap) {}

    fn on_error(&mut self, _: &StreamWrap, error: uv_core::Error) {
        *self.message.borrow_mut() = Err(error);
    }
}
