//! The floor of handle passing: a primary accepts and passes each connection, round robin, to a worker
//! process.
//!
//! A connection travels as one `SCM_RIGHTS` message with a payload of one byte over a Unix stream socket.
//! Nothing is acknowledged. A worker is this program again, with its channel as standard input; the end of
//! the channel ends it, so no worker outlives the primary.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};

use crate::poller::{EventFlags, Poller};
use crate::sockets::Address;
use rustix::cmsg_space;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::answers::CannedHttp;
use super::reactor::{self, Listener, Source, TAKEN_PER_EVENT};

/// The floor that is a worker.
pub(crate) const WORKER_ARGUMENT: &str = "pass-worker";

/// Room for one passed descriptor.
const ONE_DESCRIPTOR: usize = cmsg_space!(ScmRights(1));

/// Starts the workers, listens, and passes connections until a worker or the listener fails.
pub(crate) fn primary(workers: usize) -> io::Result<()> {
    let channels = (0..workers).map(|_| start_worker()).collect::<io::Result<Vec<_>>>()?;
    let listener = Listener::open(&Address::ANY_PORT)?;
    let mut poller = Poller::new()?;
    poller.add(&listener, 0, EventFlags::IN)?;
    let mut turn = 0;
    loop {
        poller.wait(None)?;
        for _ in 0..TAKEN_PER_EVENT {
            let Some(socket) = listener.next()? else { break };
            pass(&channels[turn], socket)?;
            turn = (turn + 1) % workers;
        }
    }
}

/// Starts one worker and returns the primary's end of its channel.
fn start_worker() -> io::Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Command::new(std::env::current_exe()?)
        .args(["floor", WORKER_ARGUMENT])
        .stdin(Stdio::from(theirs))
        .spawn()?;
    Ok(ours)
}

/// Sends the descriptor (waiting while the channel is full) and closes this process's copy.
fn pass(channel: &OwnedFd, socket: OwnedFd) -> io::Result<()> {
    let descriptors = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); ONE_DESCRIPTOR];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for the descriptor in the control message"));
    }
    retry_on_intr(|| sendmsg(channel, &[IoSlice::new(b"c")], &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Serves what the primary passes over standard input.
pub(crate) fn worker() -> io::Result<()> {
    let stdin = io::stdin();
    ioctl_fionbio(&stdin, true)?;
    match reactor::serve(&Channel(stdin.as_fd()), &CannedHttp::hello()) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        ended => ended,
    }
}

struct Channel<'a>(BorrowedFd<'a>);

impl AsFd for Channel<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

impl Source for Channel<'_> {
    fn next(&self) -> io::Result<Option<OwnedFd>> {
        let mut payload = [0];
        let mut space = [MaybeUninit::uninit(); ONE_DESCRIPTOR];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(self.0, &mut [IoSliceMut::new(&mut payload)], &mut control, RecvFlags::CMSG_CLOEXEC);
        match received {
            Ok(message) if message.bytes == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let passed = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        passed.map(Some).ok_or_else(|| io::Error::other("a message without a descriptor"))
    }
}
