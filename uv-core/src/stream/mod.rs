//! Streams: the common part of TCP connections, Unix sockets, pipes and their listeners. Mirrors `uv_stream_t`, libuv's
//! `src/unix/stream.c`.
//!
//! A stream's state is its flags, its tower and, while there is something to write, a queue; rare state is in a box of
//! its own, so that an idle connection is small.
//!
//! A descriptor is registered with the poller as late as possible: when a read has found no more input, or a write has
//! to wait. The registration is edge-triggered and reports existing readiness immediately, so no event is lost. A
//! connection that is accepted as soon as it is established is the exception: it has nothing to read yet, and is
//! registered when reading starts. A connection that waited among others is read first, and is never registered if it
//! is answered and closed in that turn.

mod about;
mod accept;
mod around;
mod connect;
mod cork;
mod descriptor;
mod flags;
mod inner;
mod outgoing;
mod pull;
mod read;
mod send_file;
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
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

pub(crate) use cork::Cork;
pub(crate) use flags::{BOUND, IPC, READABLE, SHARED, SOCKET, StreamFlags, WRITABLE};
pub(crate) use inner::StreamInner;
pub(crate) use outgoing::Outgoing;
pub use read::Received;

/// A bidirectional stream of bytes, or a listener for such streams (`uv_stream_t`).
///
/// [`Tcp`](crate::Tcp) and [`Pipe`](crate::Pipe) dereference to it.
#[derive(Clone)]
pub struct Stream(pub(crate) Rc<StreamInner>);

impl Stream {
    #[track_caller]
    pub(crate) fn create(event_loop: &LoopHandle, kind: HandleKind, flags: StreamFlags) -> Self {
        Self(event_loop.add(kind, |handle| StreamInner::new(handle, flags)))
    }

    /// Creates a stream for an accepted socket, which must be non-blocking and have no other owner.
    #[track_caller]
    pub(crate) fn connected(event_loop: &LoopHandle, kind: HandleKind, fd: OwnedFd) -> Self {
        let stream = Self::create(event_loop, kind, SOCKET);
        stream.0.open(fd, READABLE | WRITABLE);
        stream
    }

    /// Creates a stream for a connected socket, an inherited socket for example. The family of the socket's address
    /// decides between TCP and Unix.
    ///
    /// # Errors
    /// `ENOTSOCK` if `fd` is not a stream socket, `ENOTCONN` if it has no peer; any error of the system calls. An error
    /// closes the descriptor.
    #[track_caller]
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

    /// Starts listening (`uv_listen`): connections are announced to `upcall`, which takes them with `accept`.
    ///
    /// On a listening stream this sets a new backlog and upcall.
    ///
    /// # Errors
    /// `EADDRINUSE` if `bind` met that; `EINVAL` on a closing or connected stream, or a pipe that is not bound.
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

    /// Sets how many connections one turn announces. Default: 1, as in libuv, which spreads connections over processes
    /// that share a socket. A larger batch saves polls. Zero
    /// counts as 1.
    pub fn set_accept_batch(&self, connections: u32) {
        self.0.set_accept_batch(connections);
    }

    /// Takes the connection announced by `on_connection` (`uv_accept`), as a stream of the listener's kind.
    ///
    /// # Errors
    /// `EAGAIN` if no connection is waiting.
    #[track_caller]
    pub fn accept(&self) -> Result<Self> {
        let _down = LAYER.down("Stream::accept", || Facts::of(self));
        self.0.accept()
    }

    /// Like [`accept`](Self::accept), without creating a handle for the connection.
    ///
    /// # Errors
    /// `EAGAIN` if no connection is waiting.
    pub fn accept_fd(&self) -> Result<OwnedFd> {
        let _down = LAYER.down("Stream::accept_fd", || Facts::of(self));
        self.0.accept_fd()
    }

    /// Lends the descriptor of the announced connection, for a look at its names
    /// ([`SocketName`](crate::socket::SocketName)) before there is a handle for it. `None` if no connection is waiting.
    pub fn with_announced<R>(&self, work: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        self.0.with_announced(work)
    }

    /// Closes the announced connection. It does not count in the turn's batch: up to 64 in a turn.
    ///
    /// # Errors
    /// `EAGAIN` if no connection is waiting.
    pub fn refuse(&self) -> Result<()> {
        let _down = LAYER.down("Stream::refuse", || Facts::of(self));
        self.0.refuse()
    }

    /// Accepts the next connection in the kernel's backlog, announced or not. A listener does this before it is closed.
    ///
    /// # Errors
    /// `EAGAIN` if no connection is waiting, `EINVAL` if the stream does not listen; any error of `accept4`.
    pub fn try_accept_fd(&self) -> Result<OwnedFd> {
        let _down = LAYER.down("Stream::try_accept_fd", || Facts::of(self));
        self.0.try_accept_fd()
    }

    /// Stops accepting, or goes on: meanwhile connections wait in the kernel, up to the backlog, and beyond it the kernel lets
    /// clients wait. A [`drain`](Self::drain) accepts them all the same. Default: on.
    pub fn set_accepting(&self, on: bool) {
        let _down = LAYER.down("Stream::set_accepting", || Facts::of(self));
        self.0.set_accepting(on);
    }

    /// Accepts the connections that wait, and then calls [`AcceptUpcall::on_drained`]: for a listener that is about to be
    /// closed. A listener that is paused, because the system lacks memory or descriptors, accepts when the pause is over, so
    /// there is no bound on the time; a close ends the drain without a call.
    ///
    /// # Errors
    /// `EINVAL` if the stream does not listen.
    pub fn drain(&self) -> Result<()> {
        let _down = LAYER.down("Stream::drain", || Facts::of(self));
        self.0.drain()
    }

    /// Lets no further connection begin, before a listener takes the last ones and is closed. The kernel ignores the SYNs
    /// of new TCP clients, which repeat them after a second, and refuses new clients of a Unix socket (`ECONNREFUSED`).
    /// Connections in the queue, and TCP handshakes in progress, are announced as before.
    ///
    /// Applies to the socket in all processes that share it.
    ///
    /// # Errors
    /// `EINVAL` without a socket; any error of the system calls, after which connections begin as before.
    pub fn stop_handshakes(&self) -> Result<()> {
        let _down = LAYER.down("Stream::stop_handshakes", || Facts::of(self));
        self.0.stop_handshakes()
    }

    /// Undoes [`stop_handshakes`](Self::stop_handshakes), for TCP.
    ///
    /// # Errors
    /// `ENOTSUP` for a Unix socket, `EINVAL` without a socket, `ENOENT` if handshakes are not stopped.
    pub fn resume_handshakes(&self) -> Result<()> {
        let _down = LAYER.down("Stream::resume_handshakes", || Facts::of(self));
        self.0.resume_handshakes()
    }

    /// Sets the stream's tower. During an upcall the change takes effect when the upcall returns.
    ///
    /// A closing stream takes a tower too, because its `on_close` is still to come; a closed stream does not.
    pub fn set_upcall(&self, upcall: impl StreamUpcall + 'static) {
        self.0.set_upcall(Box::new(upcall));
    }

    /// Requests an `on_notify` in the next pending phase. With it a layer above continues work outside of this stream's
    /// upcalls, such as a timer or an answer that another callback finished, as an upcall of this stream.
    ///
    /// Several requests cause one call; a closing stream makes none.
    pub fn notify(&self) {
        let _down = LAYER.down("Stream::notify", || Facts::of(self));
        self.0.notify();
    }

    /// Calls `begin` when the poller reports the next event of this stream, before the event is handled, and drops the
    /// returned guard when the event's turn ends, also by a panic: for recording or measuring the effects of one event.
    /// Other streams and turns pay nothing for it.
    ///
    /// It applies to one event: a later call replaces a pending one. Turns without an event, for input that was left
    /// over, have no guard. A close drops `begin`.
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

    /// Stops reading (`uv_read_stop`), and the reports of `on_readable`. No `on_read` follows, not even if called in
    /// `on_read`. Idempotent.
    pub fn read_stop(&self) {
        let _down = LAYER.down("Stream::read_stop", || Facts::of(self));
        self.0.read_stop();
    }

    /// Writes what the kernel takes now (`uv_try_write`). Returns the number of bytes.
    ///
    /// On TCP, small writes of one callback leave together: from the third on, writes of less than 4 KiB are in the kernel at
    /// once, but in a packet that leaves when the callback is over, or with a larger write, a FIN or a close. A callback that
    /// goes on for long delays the packet by 200 ms at most. Sockets with another owner, in this process or another, and writes
    /// outside of callbacks do not wait.
    ///
    /// # Errors
    /// `EAGAIN` if nothing can be written now: the kernel's buffer is full, earlier writes are queued, or the stream is
    /// still connecting. `EPIPE` if the stream is not writable, `EBADF` if it has no descriptor; any error of the
    /// system call.
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

    /// Writes all of `data` (`uv_write`): what the kernel takes now, and the rest when it has room.
    ///
    /// `on_write` reports the result, never inside this call. Small writes of one callback leave together: see
    /// [`try_write`](Self::try_write).
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
    /// `EINVAL` for no buffers; otherwise as for `write`.
    pub fn writev(&self, data: impl IntoIterator<Item = bytes::Bytes>) -> Result<()> {
        let _down = LAYER.down("Stream::writev", || Facts::of(self));
        let mut rest: VecDeque<_> = data.into_iter().collect();
        let first = rest.pop_front().ok_or(Error::new("write", Errno::EINVAL))?;
        self.0.write(first, rest, Vec::new())
    }

    /// Bytes in the write queue, which the kernel has not taken yet (`uv_stream_get_write_queue_size`).
    #[must_use]
    pub fn write_queue_size(&self) -> usize {
        self.0.write_queue_size()
    }

    /// Bytes that the peer has not acknowledged, both in this queue and in the kernel's (`SIOCOUTQ`). A FIN counts as
    /// one byte until it is acknowledged.
    ///
    /// # Errors
    /// `EBADF` without a descriptor; `ENOTTY` or `EINVAL` if the descriptor is not a socket.
    pub fn unacknowledged(&self) -> Result<usize> {
        let sent = sys::socket::unacknowledged(self.0.fd().get().ok_or(Error::new("ioctl", Errno::EBADF))?);
        let sent = sent.map_err(|errno| Error::new("ioctl", errno))?;
        Ok(self.write_queue_size() + sent)
    }

    /// Sends a FIN and closes the stream. A plain close sends a reset if there is unread input, and after a reset the
    /// peer may lose the end of the data it was sent. Queued writes are cancelled.
    ///
    /// The FIN ends writing for every process that shares the socket, for example a child to which it was passed.
    pub fn close_with_fin(&self) {
        let _down = LAYER.down("Stream::close_with_fin", || Facts::of(self));
        if let Some(fd) = self.0.fd().get() {
            // Fails only if there is no peer.
            let sent = sys::socket::shutdown_write(fd);
            #[cfg(upcall_faults)]
            crate::faults::reached_if(crate::faults::Branch::CloseWithoutFin, &sent);
            let _ = sent;
        }
        self.close();
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read.get()
    }

    /// Bytes written so far, including those in the write queue.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.0.bytes_written.get()
    }

    /// Finishes writing (`uv_shutdown`): sends a FIN when the kernel has taken everything written before.
    ///
    /// # Errors
    /// `ENOTCONN` unless the stream is connected and writable, so also for a second call.
    pub fn shutdown(&self) -> Result<()> {
        let _down = LAYER.down("Stream::shutdown", || Facts::of(self));
        self.0.shutdown()
    }

    /// Whether the stream can be read from (`uv_is_readable`).
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.0.has(READABLE)
    }

    /// Whether the stream can be written to (`uv_is_writable`).
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.has(WRITABLE)
    }

    /// The descriptor (`uv_fileno`). The stream still owns it: do not close it.
    ///
    /// # Errors
    /// `EBADF` if the stream has no descriptor or is closing.
    pub fn fileno(&self) -> Result<RawFd> {
        // The caller may duplicate the descriptor.
        self.0.set(SHARED);
        self.0.fileno()
    }

    /// Duplicates the socket's descriptor, for another process for example.
    ///
    /// # Errors
    /// `EBADF` without a descriptor; any error of the system call.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.0.set(SHARED);
        sys::fd::duplicate(self.0.opened()?).map_err(|errno| Error::new("dup", errno))
    }

    /// Sets or clears blocking mode of the open file, which other processes may share (`uv_stream_set_blocking`).
    ///
    /// In blocking mode a write blocks until the kernel has taken everything. Reads from a socket never block; reads
    /// from another kind of file do, so do not start reading from one.
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
