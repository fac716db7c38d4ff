//! Sockets of datagrams. Mirrors `UDPWrap`, Node's `src/udp_wrap.cc`.

use crate::LAYER;
use crate::tower::UdpTower;
use crate::upcall::OnUdp;
use bytes::Bytes;
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use uv_core::layer::trace::Facts;
use uv_core::udp::{Envelope, SendOptions, Udp, UdpOptions};
use uv_core::{LoopHandle, Result};

/// A wrapped socket of datagrams. Clones share it and cost one reference count. Its options are those of
/// [`handle`](Self::handle).
///
/// ```
/// use tcp_wrap::UdpWrap;
/// use tcp_wrap::upcall::OnUdp;
/// use uv_core::udp::{Envelope, SendOptions, UdpOptions};
/// use uv_core::{Loop, RunMode};
///
/// /// Receives one datagram.
/// struct Once;
///
/// impl OnUdp for Once {
///     fn on_receive(&mut self, udp: &UdpWrap, data: &[u8], _: &Envelope) {
///         assert_eq!(data, b"hello");
///         udp.close();
///     }
/// }
///
/// let event_loop = Loop::new()?;
/// let udp = UdpWrap::new(&event_loop);
/// udp.bind(([127, 0, 0, 1], 0).into(), &UdpOptions::default())?;
/// udp.set_handler(Once);
/// udp.receive_start()?;
/// udp.send("hello".into(), &SendOptions::to(udp.local_addr()?))?;
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct UdpWrap(Udp);

impl UdpWrap {
    /// Creates a wrap without a socket.
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self(Udp::new(event_loop))
    }

    /// The `uv-core` handle beneath.
    #[must_use]
    pub fn handle(&self) -> &Udp {
        &self.0
    }

    /// The loop that the socket belongs to.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        self.0.loop_handle()
    }

    /// Adopts a UDP socket.
    ///
    /// # Errors
    /// As [`Udp::open`].
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        self.0.open(fd)
    }

    /// Binds the socket to `addr`.
    ///
    /// # Errors
    /// As [`Udp::bind`].
    pub fn bind(&self, addr: SocketAddr, options: &UdpOptions) -> Result<()> {
        self.0.bind(addr, options)
    }

    /// Sets the peer.
    ///
    /// # Errors
    /// As [`Udp::connect`].
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("UdpWrap::connect", || self.facts());
        self.0.connect(addr)
    }

    /// Removes the peer.
    ///
    /// # Errors
    /// As [`Udp::disconnect`].
    pub fn disconnect(&self) -> Result<()> {
        let _down = LAYER.down("UdpWrap::disconnect", || self.facts());
        self.0.disconnect()
    }

    /// Sets the handler of this socket and drops the old one. During an upcall the change takes effect when the upcall
    /// returns.
    pub fn set_handler(&self, handler: impl OnUdp + 'static) {
        self.0.set_upcall(UdpTower::new(self.clone(), handler));
    }

    /// Starts receiving (`recvStart`). Unlike in Node a second call is no success.
    ///
    /// # Errors
    /// As [`Udp::receive_start`].
    pub fn receive_start(&self) -> Result<()> {
        let _down = LAYER.down("UdpWrap::receive_start", || self.facts());
        self.0.receive_start()
    }

    /// Stops receiving (`recvStop`). Idempotent.
    pub fn receive_stop(&self) {
        let _down = LAYER.down("UdpWrap::receive_stop", || self.facts());
        self.0.receive_stop();
    }

    /// Sends a datagram; `on_send` reports the result. It leaves with the others of the loop's phase, where Node's wrap
    /// tries each at once.
    ///
    /// # Errors
    /// As [`Udp::send_with`].
    pub fn send(&self, data: Bytes, options: &SendOptions) -> Result<()> {
        let _down = LAYER.down("UdpWrap::send", || self.facts().bytes(data.len()));
        self.0.send_with(data, options)
    }

    /// Like [`send`](Self::send), with a copy of `data`, gathered from several buffers.
    ///
    /// # Errors
    /// As [`Udp::send_copy`].
    pub fn send_copy(&self, data: &[IoSlice<'_>], options: &SendOptions) -> Result<()> {
        let _down = LAYER.down("UdpWrap::send_copy", || self.facts());
        self.0.send_copy(data, options)
    }

    /// Receives a datagram at once, on a socket that does not receive by itself.
    ///
    /// # Errors
    /// As [`Udp::try_receive`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<(usize, Envelope)> {
        self.0.try_receive(buffer)
    }

    /// Sends a datagram at once, or not at all. Returns the number of bytes.
    ///
    /// # Errors
    /// As [`Udp::try_send`].
    pub fn try_send(&self, data: &[u8], options: &SendOptions) -> Result<usize> {
        let _down = LAYER.down("UdpWrap::try_send", || self.facts().bytes(data.len()));
        self.0.try_send(data, options)
    }

    /// Requests an `on_notify` in the next pending phase.
    pub fn notify(&self) {
        self.0.notify();
    }

    /// The socket's own address (`getsockname`).
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The peer's address (`getpeername`).
    ///
    /// # Errors
    /// `EBADF` without a socket, `ENOTCONN` without a peer.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// Closes the socket: what is queued is sent, or reported as cancelled, and the loop calls `on_close` in its close
    /// phase. Idempotent.
    pub fn close(&self) {
        let _down = LAYER.down("UdpWrap::close", || self.facts());
        self.0.close();
    }

    /// Whether the socket is closing or closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    /// The socket's facts for a trace record.
    fn facts(&self) -> Facts {
        Facts::of(&self.0)
    }
}

impl fmt::Debug for UdpWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UdpWrap").field(&self.0).finish()
    }
}
