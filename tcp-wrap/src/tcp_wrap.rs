//! TCP connections and listeners. Mirrors `TCPWrap`, Node's `src/tcp_wrap.cc`.

use crate::{LAYER, StreamWrap};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use uv_core::socket::KeepAlive;
use uv_core::{BindOptions, LoopHandle, Result, Tcp};

/// A wrapped TCP connection or listener. Clones share one stream.
///
/// ```
/// use std::net::TcpStream;
/// use tcp_wrap::{StreamWrap, TcpWrap};
/// use uv_core::{BindOptions, Loop, Result, RunMode};
///
/// let event_loop = Loop::new()?;
/// let server = TcpWrap::new(&event_loop);
/// server.bind(([127, 0, 0, 1], 0).into(), BindOptions::default())?;
/// server.listen(128, |listener: &StreamWrap, connection: Result<StreamWrap>| {
///     if let Ok(connection) = connection {
///         println!("from {:?}", connection.as_tcp().map(|tcp| tcp.peer_addr()));
///         connection.close();
///     }
///     listener.close();
/// })?;
/// let _client = TcpStream::connect(server.local_addr()?)?;
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TcpWrap {
    stream: StreamWrap,
    tcp: Tcp,
}

impl TcpWrap {
    /// Creates a wrap without a socket.
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self::from_tcp(Tcp::new(event_loop))
    }

    pub(crate) fn from_tcp(tcp: Tcp) -> Self {
        Self { stream: StreamWrap::new(&tcp), tcp }
    }

    /// Adopts a connected, bound or listening socket.
    ///
    /// # Errors
    /// `EBUSY` if the wrap has a socket already, `ENOTSOCK` if `fd` is not a socket.
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        self.tcp.open(fd)
    }

    /// Binds the socket to `addr`. `listen` reports a port in use; `bind` does not.
    ///
    /// # Errors
    /// `EINVAL` if the wrap is bound already; any error of the system calls.
    pub fn bind(&self, addr: SocketAddr, options: BindOptions) -> Result<()> {
        self.tcp.bind(addr, options)
    }

    /// Connects to `addr`; `on_connect` reports the result.
    ///
    /// # Errors
    /// Errors that `connect(2)` reports immediately, such as `ENETUNREACH`; `on_connect` is not called then.
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("TcpWrap::connect", || self.stream.facts());
        self.tcp.connect(addr)
    }

    /// Begins a connect whose address is not known yet: see [`Tcp::expect_connection`].
    ///
    /// # Errors
    /// As for `Tcp::expect_connection`.
    pub fn expect_connection(&self, target: impl fmt::Display) -> Result<()> {
        let _down = LAYER.down("TcpWrap::expect_connection", || self.stream.facts());
        self.tcp.expect_connection(target)
    }

    /// Takes the connected socket of another wrap: see [`Tcp::take_connection`].
    ///
    /// # Errors
    /// As for `Tcp::take_connection`.
    pub fn take_connection(&self, from: &Self) -> Result<()> {
        let _down = LAYER.down("TcpWrap::take_connection", || self.stream.facts());
        self.tcp.take_connection(&from.tcp)
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

    /// Sets `TCP_NODELAY`: small segments are sent without delay (`setNoDelay`). On Linux accepted connections inherit
    /// the option from their listener.
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn set_nodelay(&self, on: bool) -> Result<()> {
        self.tcp.set_nodelay(on)
    }

    /// Turns TCP keepalive probes on or off (`setKeepAlive`). On Linux accepted connections inherit the options from
    /// their listener.
    ///
    /// # Errors
    /// `EINVAL` for a delay of less than a second; `EBADF` without a socket.
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
