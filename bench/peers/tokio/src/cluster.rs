//! A primary that accepts connections and passes them, in turn, to two workers, which serve HTTP: tokio has no cluster, so
//! this is made of `SCM_RIGHTS` on a Unix socket, one message for each connection.
//!
//! A worker is this program again, with its channel as standard input; the channel's end ends it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net;
use std::process::{Command, Stdio};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::http::Server;
use crate::streams::listen;

/// The command line `WORKER --worker NUMBER` makes this program a worker; with 0, its answers do not say who gives them.
pub(crate) const WORKER: &str = "cluster-worker";

const WORKERS: u64 = 2;

/// Room for one passed descriptor.
const ONE_DESCRIPTOR: usize = cmsg_space!(ScmRights(1));

/// Starts the workers, listens on a free port, and passes connections on.
pub(crate) async fn run_primary(is_named: bool) -> io::Result<()> {
    let channels: Vec<UnixStream> = (1..=WORKERS)
        .map(|number| start_worker(if is_named { number } else { 0 }))
        .collect::<io::Result<_>>()?;
    let listener = listen().await?;
    for channel in channels.iter().cycle() {
        let (connection, _) = listener.accept().await?;
        let connection = OwnedFd::from(connection.into_std()?);
        channel.async_io(Interest::WRITABLE, || pass(channel.as_fd(), &connection)).await?;
    }
    Ok(())
}

fn start_worker(number: u64) -> io::Result<UnixStream> {
    let (ours, theirs) = net::UnixStream::pair()?;
    Command::new(std::env::current_exe()?)
        .args([WORKER, "--worker", &number.to_string()])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    ours.set_nonblocking(true)?;
    UnixStream::from_std(ours)
}

fn pass(channel: BorrowedFd<'_>, connection: &OwnedFd) -> io::Result<()> {
    let descriptors = [connection.as_fd()];
    let mut space = [MaybeUninit::uninit(); ONE_DESCRIPTOR];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    sendmsg(channel, &[IoSlice::new(b"c")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Serves what comes over standard input, until its end.
pub(crate) async fn run_worker(number: u64) -> io::Result<()> {
    let channel = net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    channel.set_nonblocking(true)?;
    let channel = UnixStream::from_std(channel)?;
    let server = Server::new((number > 0).then_some(number));
    while let Some(connection) = channel.async_io(Interest::READABLE, || receive(channel.as_fd())).await? {
        server.serve(TcpStream::from_std(connection.into())?)?;
    }
    Ok(())
}

/// A passed connection, or nothing at the end of the channel.
fn receive(channel: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut payload = [0];
    let mut space = [MaybeUninit::uninit(); ONE_DESCRIPTOR];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(channel, &mut [IoSliceMut::new(&mut payload)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    passed.map(Some).ok_or_else(|| io::Error::other("a message without a descriptor"))
}
