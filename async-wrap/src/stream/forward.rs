//! The calls of a stream that begin no request and do not close it: each is the call of the wrap beneath, unchanged.
//!
//! They are written out because a stream that dereferenced to its wrap would offer the wrap's own `write`, `connect`,
//! `shutdown` and `close` too, whose reports would run in no request's context.

use crate::AsyncStream;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};
use uv_core::layer::Place;
use uv_core::socket::{KeepAlive, PipeName};
use uv_core::{BindOptions, LoopHandle, Result};

impl AsyncStream {
    /// The loop that the stream belongs to.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        self.wrap().loop_handle()
    }

    /// Whether this is a TCP stream, as opposed to a pipe.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.wrap().is_tcp()
    }

    /// The place in the program's sources for which the stream was made.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(self.wrap().handle())
    }

    /// Starts reading (`readStart`).
    ///
    /// # Errors
    /// `EALREADY` while reading, `ENOTCONN` if the stream is not readable, `EINVAL` if it is closing.
    pub fn read_start(&self) -> Result<()> {
        self.wrap().read_start()
    }

    /// Lets `on_readable` report input, which the program reads with [`try_read`](Self::try_read): see
    /// [`Stream::readable_start`](uv_core::Stream::readable_start).
    ///
    /// # Errors
    /// As for [`read_start`](Self::read_start).
    pub fn readable_start(&self) -> Result<()> {
        self.wrap().readable_start()
    }

    /// Lets `on_readable` report input once: see [`Stream::readable_once`](uv_core::Stream::readable_once).
    ///
    /// # Errors
    /// As for [`read_start`](Self::read_start).
    pub fn readable_once(&self) -> Result<()> {
        self.wrap().readable_once()
    }

    /// Reads what is there into `buffer`. Returns the number of bytes; 0 is the end: see
    /// [`Stream::try_read`](uv_core::Stream::try_read).
    ///
    /// # Errors
    /// `EAGAIN` if nothing is there, `EALREADY` while the loop reads; otherwise as for `Stream::try_read`.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.wrap().try_read(buffer)
    }

    /// Whether [`try_read`](Self::try_read) would read in vain: see [`Stream::is_drained`](uv_core::Stream::is_drained).
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.wrap().is_drained()
    }

    /// Whether the kernel has something to read that the loop may not have heard of yet: see
    /// [`Stream::may_have_input`](uv_core::Stream::may_have_input).
    #[must_use]
    pub fn may_have_input(&self) -> bool {
        self.wrap().may_have_input()
    }

    /// Stops reading (`readStop`), and the reports of `on_readable`, also from within `on_read`. Idempotent.
    pub fn read_stop(&self) {
        self.wrap().read_stop();
    }

    /// Asks for an `on_notify`, soon and from the loop: how a layer above turns something that it learned outside of
    /// this stream's upcalls into one of them.
    pub fn notify(&self) {
        self.wrap().notify();
    }

    /// Surrounds the turn that the next event of this stream causes: see
    /// [`Stream::surround_next_event`](uv_core::Stream::surround_next_event).
    pub fn surround_next_event<G: 'static>(&self, begin: impl FnOnce() -> G + 'static) {
        self.wrap().surround_next_event(begin);
    }

    /// How many connections one turn of the loop may bring. Default: 1.
    pub fn set_accept_batch(&self, connections: u32) {
        self.wrap().set_accept_batch(connections);
    }

    /// Lends the descriptor of the announced connection: see
    /// [`Stream::with_announced`](uv_core::Stream::with_announced).
    pub fn with_announced<R>(&self, work: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
        self.wrap().with_announced(work)
    }

    /// Stops accepting, or goes on: see [`Stream::set_accepting`](uv_core::Stream::set_accepting).
    pub fn set_accepting(&self, on: bool) {
        self.wrap().set_accepting(on);
    }

    /// Accepts the connections that wait, and then calls
    /// [`OnConnection::on_drained`](crate::upcall::OnConnection::on_drained): see
    /// [`Stream::drain`](uv_core::Stream::drain).
    ///
    /// # Errors
    /// As for `Stream::drain`.
    pub fn drain(&self) -> Result<()> {
        self.wrap().drain()
    }

    /// Lets no further connection begin: see [`Stream::stop_handshakes`](uv_core::Stream::stop_handshakes).
    ///
    /// # Errors
    /// As for `Stream::stop_handshakes`.
    pub fn stop_handshakes(&self) -> Result<()> {
        self.wrap().stop_handshakes()
    }

    /// Gives a TCP stream its own address. A port in use is reported by `listen`, not here.
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a TCP stream, `EINVAL` if it is bound already; what the system says.
    pub fn bind(&self, addr: SocketAddr, options: BindOptions) -> Result<()> {
        self.tcp_wrap("bind")?.bind(addr, options)
    }

    /// The address of a TCP stream (`getsockname`).
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a TCP stream, `EBADF` without a socket.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.tcp_wrap("getsockname")?.local_addr()
    }

    /// The peer's address of a TCP stream (`getpeername`).
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a TCP stream, `EBADF` without a socket, `ENOTCONN` without a peer.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.tcp_wrap("getpeername")?.peer_addr()
    }

    /// The name of a Unix socket (`getsockname`).
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a pipe, `EBADF` without a descriptor.
    pub fn local_name(&self) -> Result<PipeName> {
        self.pipe_wrap("getsockname")?.local_name()
    }

    /// The name of a Unix socket's peer (`getpeername`).
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a pipe, `EBADF` without a descriptor, `ENOTCONN` without a peer.
    pub fn peer_name(&self) -> Result<PipeName> {
        self.pipe_wrap("getpeername")?.peer_name()
    }

    /// Sends small segments at once (`setNoDelay`). On Linux connections inherit it from their listener.
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a TCP stream, `EBADF` without a socket.
    pub fn set_nodelay(&self, on: bool) -> Result<()> {
        self.tcp_wrap("setsockopt")?.set_nodelay(on)
    }

    /// Turns the kernel's probes of a silent connection on or off (`setKeepAlive`). On Linux connections inherit them
    /// from their listener.
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a TCP stream, `EINVAL` for less than a second, `EBADF` without a socket.
    pub fn set_keepalive(&self, probe: Option<KeepAlive>) -> Result<()> {
        self.tcp_wrap("setsockopt")?.set_keepalive(probe)
    }

    /// Bytes that were written but not yet taken by the kernel (`writeQueueSize`).
    #[must_use]
    pub fn write_queue_size(&self) -> usize {
        self.wrap().write_queue_size()
    }

    /// Bytes that were written and that the peer has not acknowledged, here and with the kernel: see
    /// [`Stream::unacknowledged`](uv_core::Stream::unacknowledged).
    ///
    /// # Errors
    /// `EBADF` without a descriptor; `ENOTTY` or `EINVAL` for what is not a socket.
    pub fn unacknowledged(&self) -> Result<usize> {
        self.wrap().unacknowledged()
    }

    /// Bytes received so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.wrap().bytes_read()
    }

    /// Bytes written so far, those that still wait included.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.wrap().bytes_written()
    }

    /// Whether the stream is closing or closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.wrap().is_closing()
    }

    /// Lets the stream keep its loop alive while it is active.
    pub fn ref_(&self) {
        self.wrap().ref_();
    }

    /// Lets the loop end although the stream is active.
    pub fn unref(&self) {
        self.wrap().unref();
    }

    /// The descriptor, which stays the stream's own.
    ///
    /// # Errors
    /// `EBADF` without one.
    pub fn fd(&self) -> Result<RawFd> {
        self.wrap().fd()
    }
}
