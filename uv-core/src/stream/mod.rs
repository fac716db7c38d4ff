//! Streams: what TCP connections, Unix sockets, pipes and their listeners share. Mirrors `uv_stream_t`, libuv's
//! `src/unix/stream.c`.
//!
//! The state of a stream is its flags, its tower and, while there is something to write, a queue; what only some
//! streams need is in a box of its own, so that an idle connection is small.
//!
//! A descriptor is registered with the poller as late as possible: when a read found nothing more, or a write had to
//! wait. The registration is edge-triggered and reports at once what is there already, so nothing gets lost in between.
//! A connection that is accepted the moment it stands is the exception: it has nothing to read yet, and is registered
//! when its reading starts. One that had to wait among others is read first, and if it is answered and closed in that
//! turn it is never registered.

mod accept;
mod around;
mod connect;
mod descriptor;
mod flags;
mod node;
mod outgoing;
mod read;
mod write;

use crate::handle::{Handle, HandleKind};
use crate::layer::trace::Facts;
use crate::sys;
use crate::upcall::{AcceptUpcall, StreamUpcall};
use crate::{Errno, Error, LAYER, LoopHandle, Pipe, Result, Tcp};
use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::rc::Rc;

pub(crate) use flags::{BOUND, IPC, READABLE, SHARED, SOCKET, StreamFlags, WRITABLE};
pub(crate) use node::StreamNode;
pub(crate) use outgoing::Outgoing;
pub use read::Received;

/// A stream of bytes in both directions, or a listener for such streams (`uv_stream_t`).
///
/// [`Tcp`](crate::Tcp) and [`Pipe`](crate::Pipe) dereference to it.
#[derive(Clone)]
pub struct Stream(pub(crate) Rc<StreamNode>);

impl Stream {
    pub(crate) fn create(event_loop: &LoopHandle, kind: HandleKind, flags: StreamFlags) -> Self {
        Self(event_loop.add(kind, |handle| StreamNode::new(handle, flags)))
    }

    /// A stream of a connected socket that was accepted elsewhere: non-blocking already, and no other process's.
    pub(crate) fn connected(event_loop: &LoopHandle, kind: HandleKind, fd: OwnedFd) -> Self {
        let stream = Self::create(event_loop, kind, SOCKET);
        stream.0.open(fd, READABLE | WRITABLE);
        stream
    }

    /// A stream for a connected socket, TCP or Unix by its address: one that was inherited, say.
    ///
    /// # Errors
    /// `ENOTSOCK` for what is no stream socket, `ENOTCONN` for one without a peer; what the system says. The descriptor is
    /// closed then.
    pub fn from_fd(event_loop: &LoopHandle, fd: OwnedFd) -> Result<Self> {
        let failed = |errno| Error::new("open", errno);
        let kind = read::kind_of(fd.as_fd()).ok_or_else(|| failed(Errno::ENOTSOCK))?;
        sys::socket::peer_addr(fd.as_fd()).map_err(failed)?;
        if kind == HandleKind::Tcp {
            let tcp = Tcp::new(event_loop);
            tcp.open(fd)?;
            return Ok(Self::clone(&tcp));
        }
        let pipe = Pipe::new(event_loop);
        pipe.open(fd)?;
        Ok(Self::clone(&pipe))
    }

    /// Starts listening (`uv_listen`): connections are announced to `upcall` and taken with `accept`.
    ///
    /// On a listening stream this sets the new backlog and upcall.
    ///
    /// # Errors
    /// `EADDRINUSE` here, although it was `bind` that met it; `EINVAL` on a closing or connected stream, or a pipe
    /// that was not bound.
    pub fn listen(&self, backlog: u32, upcall: impl AcceptUpcall + 'static) -> Result<()> {
        let _down = LAYER.down("Stream::listen", || Facts::of(self));
        self.0.listen(backlog, Box::new(upcall))
    }

    /// Like [`listen`](Self::listen), with a closure for [`AcceptUpcall::on_connection`].
    ///
    /// # Errors
    /// As for `listen`.
    pub fn listen_with(
        &self,
        backlog: u32,
        on_connection: impl FnMut(&Self, Result<()>) + 'static,
    ) -> Result<()> {
        self.listen(backlog, on_connection)
    }

    /// How many connections one turn may announce; 1 at first, as in libuv, which spreads connections over several
    /// processes that share a socket. More saves polls.
    pub fn set_accept_batch(&self, connections: u32) {
        self.0.set_accept_batch(connections);
    }

    /// Takes the connection that was announced by `on_connection` (`uv_accept`), as a stream of the listener's kind.
    ///
    /// # Errors
    /// `EAGAIN` if none waits.
    pub fn accept(&self) -> Result<Self> {
        let _down = LAYER.down("Stream::accept", || Facts::of(self));
        self.0.accept()
    }

    /// Takes the connection that was announced, without making a handle for it. See also `Tcp::accept`.
    ///
    /// # Errors
    /// `EAGAIN` if none waits.
    pub fn accept_fd(&self) -> Result<OwnedFd> {
        let _down = LAYER.down("Stream::accept_fd", || Facts::of(self));
        self.0.accept_fd()
    }

    /// Takes the next connection that waits in the kernel, whether it was announced or not: what a listener does that is
    /// about to be closed.
    ///
    /// # Errors
    /// `EAGAIN` if none waits, `EINVAL` if this does not listen; what the system says.
    pub fn try_accept_fd(&self) -> Result<OwnedFd> {
        let _down = LAYER.down("Stream::try_accept_fd", || Facts::of(self));
        self.0.try_accept_fd()
    }

    /// Sets the tower that is called for this stream. One set during an upcall takes over after it.
    ///
    /// A closing stream takes one too, as its `on_close` is still to come; a closed one does not.
    pub fn set_upcall(&self, upcall: impl StreamUpcall + 'static) {
        self.0.set_upcall(Box::new(upcall));
    }

    /// Asks for an `on_notify` in the next pending phase: how a layer above turns something that it learned outside of
    /// this stream's upcalls (a timer, an answer finished elsewhere) into an upcall of this stream.
    ///
    /// Several requests make one call; a closing stream makes none.
    pub fn notify(&self) {
        let _down = LAYER.down("Stream::notify", || Facts::of(self));
        self.0.notify();
    }

    /// Calls `begin` when the poller announces the next event of this stream, before anything is done about it, and drops
    /// what that returns when the turn that the event causes is over, also by a panic: for who records or measures what
    /// becomes of one event. Other streams and other turns cost nothing more for it.
    ///
    /// For one event: a later call takes the place of one whose event has not come. Turns that no event begins, for input
    /// that was left over, are not surrounded. At close `begin` is dropped.
    pub fn surround_next_event<G: 'static>(&self, begin: impl FnOnce() -> G + 'static) {
        self.0.surround_next_event(Box::new(|| Box::new(begin())));
    }

    /// Starts reading (`uv_read_start`).
    ///
    /// # Errors
    /// `EALREADY` while reading, `ENOTCONN` if the stream is not readable, `EINVAL` if it is closing.
    pub fn read_start(&self) -> Result<()> {
        let _down = LAYER.down("Stream::read_start", || Facts::of(self));
        self.0.read_start()
    }

    /// Stops reading (`uv_read_stop`); no `on_read` follows, even from within one. Idempotent.
    pub fn read_stop(&self) {
        let _down = LAYER.down("Stream::read_stop", || Facts::of(self));
        self.0.read_stop();
    }

    /// Writes what the kernel takes at once and nothing more (`uv_try_write`). Returns how much that was.
    ///
    /// # Errors
    /// `EAGAIN` if nothing can be taken now: the kernel is full, earlier writes wait, or the stream is still
    /// connecting. `EPIPE` if the stream is not writable, `EBADF` if it has no descriptor, and what the system says.
    #[inline(always)] // +24 instructions in tcp/echo-64 without this and that of turn
    pub fn try_write(&self, data: &[u8]) -> Result<usize> {
        let _down = LAYER.down("Stream::try_write", || Facts::of(self).bytes(data.len()));
        self.0.try_write(data)
    }

    /// Like [`try_write`](Self::try_write) with several buffers in one system call.
    ///
    /// # Errors
    /// As for `try_write`.
    pub fn try_writev(&self, data: &[IoSlice<'_>]) -> Result<usize> {
        let _down = LAYER.down("Stream::try_writev", || Facts::of(self));
        self.0.try_writev(data)
    }

    /// Writes all of `data` (`uv_write`): at once as far as the kernel takes it, the rest when it has room.
    ///
    /// `on_write` reports the end, never from inside this call.
    ///
    /// # Errors
    /// `EPIPE` if the stream is not writable, `EBADF` if it has no descriptor.
    pub fn write(&self, data: impl Into<bytes::Bytes>) -> Result<()> {
        let _down = LAYER.down("Stream::write", || Facts::of(self));
        self.0.write(data.into(), VecDeque::new(), Vec::new())
    }

    /// Like [`write`](Self::write) with several buffers, as one request.
    ///
    /// # Errors
    /// `EINVAL` without any buffer, and as for `write`.
    pub fn writev(&self, data: impl IntoIterator<Item = bytes::Bytes>) -> Result<()> {
        let _down = LAYER.down("Stream::writev", || Facts::of(self));
        let mut rest: VecDeque<_> = data.into_iter().collect();
        let first = rest.pop_front().ok_or(Error::new("write", Errno::EINVAL))?;
        self.0.write(first, rest, Vec::new())
    }

    /// Bytes that were written but not yet taken by the kernel (`uv_stream_get_write_queue_size`).
    #[must_use]
    pub fn write_queue_size(&self) -> usize {
        self.0.write_queue_size()
    }

    /// Bytes that were written and that the peer has not acknowledged: those that wait here and those with the kernel
    /// (`SIOCOUTQ`). A FIN counts as one until it is acknowledged.
    ///
    /// # Errors
    /// `EBADF` without a descriptor; `ENOTTY` or `EINVAL` for what is no socket.
    pub fn unacknowledged(&self) -> Result<usize> {
        let sent = sys::socket::unacknowledged(self.0.fd().get().ok_or(Error::new("ioctl", Errno::EBADF))?);
        let sent = sent.map_err(|errno| Error::new("ioctl", errno))?;
        Ok(self.write_queue_size() + sent)
    }

    /// Closes the stream, and sends the FIN first. A close sends a reset instead if input has come that was not read, and
    /// a peer whose connection is reset does not see the end of what it was sent. What waits to be written is lost.
    ///
    /// The FIN ends writing for every process that shares the socket, a child to which it was passed included.
    pub fn close_with_fin(&self) {
        let _down = LAYER.down("Stream::close_with_fin", || Facts::of(self));
        if let Some(fd) = self.0.fd().get() {
            // Fails only if there is no peer to tell.
            let _ = sys::socket::shutdown_write(fd);
        }
        self.close();
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read.get()
    }

    /// Bytes written so far, those that still wait included.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.0.bytes_written.get()
    }

    /// Finishes writing (`uv_shutdown`): sends a FIN once everything written before is with the kernel.
    ///
    /// # Errors
    /// `ENOTCONN` unless the stream is connected and writable, so also the second time.
    pub fn shutdown(&self) -> Result<()> {
        let _down = LAYER.down("Stream::shutdown", || Facts::of(self));
        self.0.shutdown()
    }

    /// Whether the stream may be read from (`uv_is_readable`).
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.0.has(READABLE)
    }

    /// Whether the stream may be written to (`uv_is_writable`).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.has(WRITABLE)
    }

    /// The descriptor (`uv_fileno`). It stays the stream's own: do not close it.
    ///
    /// # Errors
    /// `EBADF` before there is one and once the stream is closing.
    pub fn fileno(&self) -> Result<RawFd> {
        // Whoever knows the number may duplicate it.
        self.0.set(SHARED);
        self.0.fileno()
    }

    /// Another descriptor of the same socket, for somebody else: another process, say.
    ///
    /// # Errors
    /// `EBADF` without a descriptor; what the system says.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.0.set(SHARED);
        sys::fd::duplicate(self.0.opened()?).map_err(|errno| Error::new("dup", errno))
    }

    /// Sets or clears blocking mode, of the open file that others may share (`uv_stream_set_blocking`).
    ///
    /// Writes then wait until everything is with the kernel. Reads from a socket never wait; those from another kind
    /// of file do, and so must not be started.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn set_blocking(&self, blocking: bool) -> Result<()> {
        let fd = self.0.opened()?;
        sys::fd::set_nonblocking(fd, !blocking).map_err(|errno| Error::new("ioctl", errno))?;
        self.0.set_waiting(blocking);
        Ok(())
    }

    /// The size of the kernel's send buffer in bytes (`uv_send_buffer_size`). Linux reports twice what was set.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn send_buffer_size(&self) -> Result<usize> {
        self.get_option("getsockopt", libc::SO_SNDBUF)
    }

    /// Sets the size of the kernel's send buffer in bytes.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn set_send_buffer_size(&self, bytes: usize) -> Result<()> {
        self.set_option(libc::SO_SNDBUF, bytes)
    }

    /// The size of the kernel's receive buffer in bytes (`uv_recv_buffer_size`). Linux reports twice what was set.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn recv_buffer_size(&self) -> Result<usize> {
        self.get_option("getsockopt", libc::SO_RCVBUF)
    }

    /// Sets the size of the kernel's receive buffer in bytes.
    ///
    /// # Errors
    /// `EBADF` without a descriptor.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> Result<()> {
        self.set_option(libc::SO_RCVBUF, bytes)
    }

    fn get_option(&self, op: &'static str, name: libc::c_int) -> Result<usize> {
        let value = sys::socket::get_option(self.0.opened()?, libc::SOL_SOCKET, name);
        value.map(|value| usize::try_from(value).unwrap_or(0)).map_err(|errno| Error::new(op, errno))
    }

    fn set_option(&self, name: libc::c_int, bytes: usize) -> Result<()> {
        let bytes = libc::c_int::try_from(bytes).map_err(|_| Error::new("setsockopt", Errno::EINVAL))?;
        let set = sys::socket::set_option(self.0.opened()?, libc::SOL_SOCKET, name, bytes);
        set.map_err(|errno| Error::new("setsockopt", errno))
    }
}

impl Deref for Stream {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        self.0.base()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("kind", &self.kind())
            .field("fd", &self.0.fd().number())
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .finish_non_exhaustive()
    }
}
