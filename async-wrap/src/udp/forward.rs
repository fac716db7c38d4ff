//! The calls of a socket of datagrams that begin no request and do not close it: each is the call of the handle beneath,
//! unchanged.

use super::AsyncUdp;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use uv_core::udp::{Envelope, SendOptions, Udp, UdpOptions};
use uv_core::{LoopHandle, Result};

impl AsyncUdp {
    /// The handle beneath, for its options. What is sent through it directly is no request, and reports of sends then run
    /// in the contexts of others.
    #[must_use]
    pub fn handle(&self) -> &Udp {
        self.wrap().handle()
    }

    /// The loop that the socket belongs to.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        self.wrap().loop_handle()
    }

    /// Adopts a UDP socket.
    ///
    /// # Errors
    /// As [`Udp::open`].
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        self.wrap().open(fd)
    }

    /// Binds the socket to `addr`.
    ///
    /// # Errors
    /// As [`Udp::bind`].
    pub fn bind(&self, addr: SocketAddr, options: &UdpOptions) -> Result<()> {
        self.wrap().bind(addr, options)
    }

    /// Sets the peer.
    ///
    /// # Errors
    /// As [`Udp::connect`].
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        self.wrap().connect(addr)
    }

    /// Removes the peer.
    ///
    /// # Errors
    /// As [`Udp::disconnect`].
    pub fn disconnect(&self) -> Result<()> {
        self.wrap().disconnect()
    }

    /// Starts receiving (`recvStart`).
    ///
    /// # Errors
    /// As [`Udp::receive_start`].
    pub fn receive_start(&self) -> Result<()> {
        self.wrap().receive_start()
    }

    /// Stops receiving (`recvStop`). Idempotent.
    pub fn receive_stop(&self) {
        self.wrap().receive_stop();
    }

    /// Receives a datagram at once, on a socket that does not receive by itself.
    ///
    /// # Errors
    /// As [`Udp::try_receive`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<(usize, Envelope)> {
        self.wrap().try_receive(buffer)
    }

    /// Sends a datagram at once, or not at all, which is no request. Returns the number of bytes.
    ///
    /// # Errors
    /// As [`Udp::try_send`].
    pub fn try_send(&self, data: &[u8], options: &SendOptions) -> Result<usize> {
        self.wrap().try_send(data, options)
    }

    /// Asks for an `on_notify`, soon and from the loop.
    pub fn notify(&self) {
        self.wrap().notify();
    }

    /// The socket's own address (`getsockname`).
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.wrap().local_addr()
    }

    /// The peer's address (`getpeername`).
    ///
    /// # Errors
    /// `EBADF` without a socket, `ENOTCONN` without a peer.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.wrap().peer_addr()
    }

    /// Whether the socket is closing or closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.wrap().is_closing()
    }

    /// Lets the socket keep its loop alive while it is active.
    pub fn ref_(&self) {
        self.handle().ref_();
    }

    /// Lets the loop end although the socket is active.
    pub fn unref(&self) {
        self.handle().unref();
    }
}
