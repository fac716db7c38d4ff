//! How the channel gets to a new worker: through its standard input. Node passes a descriptor's number in
//! `NODE_CHANNEL_FD` instead.
//!
//! A program without `unsafe` cannot take a descriptor by its number, but it has its standard input. So standard input is
//! a socket that holds one message: the version of the protocol and, with it, the channel (`SCM_RIGHTS`). The primary has
//! closed its end by then, so standard input is at its end afterwards.
//!
//! A process that has one of the two variables was forked as a worker. It becomes a worker or fails: if it were taken for
//! a primary, it would fork workers that fail likewise, without end. As in Node a worker removes the variables, so that
//! its own children are not workers.

use super::ids::WorkerId;
use super::message::VERSION;
use crate::{Error, InvitationError, Result};
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{PipeWrap, StreamWrap};
use uv_core::{Errno, Loop, LoopHandle, Pipe, RunMode};

/// The variable with the worker's id.
pub(crate) const UNIQUE_ID: &str = "UPCALL_UNIQUE_ID";

/// The variable with the inode of the worker's standard input.
pub(crate) const STDIN: &str = "UPCALL_STDIN";

/// Whether this process has become a worker, which it can do once, and still has the variables.
static ACCEPTED: Mutex<bool> = Mutex::new(false);

/// The standard input of a new worker.
pub(crate) struct Invitation {
    pub(crate) stdin: OwnedFd,
    /// For [`STDIN`].
    pub(crate) inode: u64,
}

impl Invitation {
    /// An invitation that holds the worker's end of the channel. The kernel has all of it, or this fails.
    pub(crate) fn new(event_loop: &LoopHandle, channel: OwnedFd) -> Result<Self> {
        let pipe = Pipe::new_ipc(event_loop);
        let made = Self::fill(&pipe, channel);
        pipe.close();
        made
    }

    fn fill(pipe: &Pipe, channel: OwnedFd) -> Result<Self> {
        let stdin = pipe.open_pair()?;
        // Sends the byte or fails: a new socket has room for it.
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

/// The variables of a worker.
struct Expected {
    id: WorkerId,
    /// The inode of standard input.
    inode: u64,
}

impl Expected {
    /// `None` in a process that has none of the variables: it was not forked as a worker.
    fn from_environment() -> Result<Option<Self>, InvitationError> {
        let variables = [UNIQUE_ID, STDIN].map(uv_core::os::variable);
        if variables.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [id, inode] = variables.map(|value| value.and_then(|value| number(&value)));
        match (id.and_then(|id| u32::try_from(id).ok()), inode) {
            (Some(id), Some(inode)) => Ok(Some(Self { id: WorkerId(id), inode })),
            _ => Err(InvitationError::Variables),
        }
    }
}

fn number(value: &OsString) -> Option<u64> {
    value.to_str()?.parse().ok()
}

/// Fails in a process that was forked as a worker and has not become one: it must not act as a primary.
pub(crate) fn refuse_unaccepted() -> Result<()> {
    let accepted = ACCEPTED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_expected = !matches!(Expected::from_environment(), Ok(None));
    if is_expected && !*accepted { Err(InvitationError::Unaccepted.into()) } else { Ok(()) }
}

/// The worker's id and channel. `None` in a process that no primary forked, and in a worker that has them already.
pub(crate) fn accept_invitation() -> Result<Option<(WorkerId, OwnedFd)>> {
    let mut accepted = ACCEPTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *accepted {
        return Ok(None);
    }
    let Some(expected) = Expected::from_environment()? else { return Ok(None) };
    let stdin = inode(uv_core::os::standard_input()?);
    let (stdin, inode) = stdin.map_err(|errno| uv_core::Error::new("fstat", errno).on("standard input"))?;
    // Another input is the program's: nothing is read from it.
    if inode != expected.inode {
        return Err(InvitationError::Stdin.into());
    }
    let channel = receive(stdin)?;
    *accepted = !forget_variables();
    Ok(Some((expected.id, channel)))
}

/// Removes the variables, so that children of this process are not workers. Returns whether it has. A process with several
/// threads cannot do that: a child that asks whether it is a worker then gets an error, since the message was read already.
fn forget_variables() -> bool {
    let removed = [UNIQUE_ID, STDIN].map(|name| {
        uv_core::os::unset_variable(name).inspect_err(|error| log::debug!(target: "cluster", "{error}"))
    });
    removed.iter().all(Result::is_ok)
}

/// Reads the message with a loop of its own. It is in the socket by now, or never will be.
pub(crate) fn receive(stdin: OwnedFd) -> Result<OwnedFd> {
    let event_loop = Loop::new()?;
    let pipe = PipeWrap::new_ipc(&event_loop);
    // Fails for a file that has the right inode number and is not a socket.
    pipe.open(stdin).map_err(|_| InvitationError::Stdin)?;
    let message = Rc::new(RefCell::new(Ok(None)));
    pipe.set_handler(Receiving { pipe: pipe.clone(), message: Rc::clone(&message) });
    pipe.read_start()?;
    event_loop.run(RunMode::NoWait)?;
    match message.replace(Ok(None))? {
        None => Err(InvitationError::Empty.into()),
        Some((VERSION, Some(channel))) => Ok(channel),
        Some((VERSION, None)) => Err(InvitationError::NoChannel.into()),
        Some((version, _)) => Err(Error::Version { primary: version }),
    }
}

/// The version and the channel.
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
