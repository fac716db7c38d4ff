//! TCP connections and listeners. Mirrors `TCPWrap`, Node's `src/tcp_wrap.cc`.

use crate::{LAYER, StreamWrap};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use uv_core::socket::KeepAlive;
use uv_core::{BindOptions, LoopHandle, Result, Tcp};

/// A wrapped TCP connection or listener.
#[derive(Clone)]
pub struct TcpWrap {
    stream: StreamWrap,
    tcp: Tcp,
}

impl TcpWrap {
    /// A wrap without a socket.
    #[must_use]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self::from_tcp(Tcp::new(event_loop))
    }

    pub(crate) fn from_tcp(tcp: Tcp) -> Self {
        Self { stream: StreamWrap::new(&tcp), tcp }
    }

    /// Adopts a socket, connected, bound or listening.
    ///
    /// # Errors
    /// `EBUSY` if the wrap has a socket already, `ENOTSOCK` if this is none.
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        self.tcp.open(fd)
    }

    /// Gives the socket an address. A port in use is reported by `listen`, not here.
    ///
    /// # Errors
    /// `EINVAL` if the wrap is bound already; what the system says.
    pub fn bind(&self, addr: SocketAddr, options: BindOptions) -> Result<()> {
        self.tcp.bind(addr, options)
    }

    /// Connects; `on_connect` reports the end.
    ///
    /// # Errors
    /// What is known at once, such as an unreachable network; `on_connect` does not come then.
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("TcpWrap::connect", || self.stream.facts());
        self.tcp.connect(addr)
    }

    /// The socket's own address (`getsockname`).
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The peer's address (`getpeername`).
    ///
    /// # Errors
    /// `EBADF` without a socket, `ENOTCONN` without a peer.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    /// Sends small segments at once (`setNoDelay`). On Linux connections inherit it from their listener.
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn set_nodelay(&self, on: bool) -> Result<()> {
        self.tcp.set_nodelay(on)
    }

    /// Turns the kernel's probes of silent connections on or off (`setKeepAlive`). On Linux connections inherit them
    /// from their listener.
    ///
    /// # Errors
    /// `EINVAL` for less than a second; `EBADF` without a socket.
    pub fn set_keepalive(&self, probe: Option<KeepAlive>) -> Result<()> {
        self.tcp.set_keepalive(probe)
    }
}

impl Deref for TcpWrap {
    type Target = StreamWrap;

    fn deref(&self) -> &StreamWrap {
        &self.stream
    }
}

impl fmt::Debug for TcpWrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpWrap").field(&self.stream).finish()
    }
}
