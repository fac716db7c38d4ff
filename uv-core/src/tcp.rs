//! TCP connections and listeners. Mirrors `uv_tcp_t`, libuv's `src/unix/tcp.c`.

use crate::handle::HandleKind;
use crate::layer::trace::Facts;
use crate::stream::{BOUND, READABLE, SOCKET, Stream, StreamInner, WRITABLE};
use crate::sys;
use crate::sys::addr::SockAddr;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// A TCP connection or listener (`uv_tcp_t`).
///
/// ```
/// use uv_core::{BindOptions, Error, Loop, Result, RunMode, Stream, Tcp, upcall::StreamUpcall};
///
/// /// Greets its peer and closes.
/// struct Greeter;
///
/// impl StreamUpcall for Greeter {
///     fn on_read(&mut self, _: &Stream, _: &[u8]) {}
///     fn on_end(&mut self, _: &Stream) {}
///     fn on_read_error(&mut self, _: &Stream, _: Error) {}
///     fn on_shutdown(&mut self, stream: &Stream, _: Result<()>) {
///         stream.close();
///     }
/// }
///
/// let event_loop = Loop::new()?;
/// let server = Tcp::new(&event_loop);
/// server.bind(([127, 0, 0, 1], 0).into(), BindOptions::default())?;
/// server.listen_with(128, |listener, status| {
///     let Ok(connection) = status.and_then(|()| listener.accept()) else { return };
///     connection.set_upcall(Greeter);
///     if connection.write("hello").and_then(|()| connection.shutdown()).is_err() {
///         connection.close();
///     }
///     listener.close();
/// })?;
/// let mut peer = std::net::TcpStream::connect(server.local_addr()?).expect("connect");
/// assert!(!event_loop.run(RunMode::Default)?);
/// assert_eq!(std::io::read_to_string(&mut peer).expect("read"), "hello");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Tcp(Stream);

/// Options of [`Tcp::bind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BindOptions {
    /// Do not accept IPv4 connections on an IPv6 address (`UV_TCP_IPV6ONLY`). Default: `false`.
    pub ipv6_only: bool,
    /// Share the port with other sockets that set this option; the kernel distributes connections (`UV_TCP_REUSEPORT`).
    /// Default: `false`.
    pub reuse_port: bool,
}

impl BindOptions {
    /// Sets [`ipv6_only`](Self#structfield.ipv6_only).
    #[must_use]
    pub fn ipv6_only(self, ipv6_only: bool) -> Self {
        Self { ipv6_only, ..self }
    }

    /// Sets [`reuse_port`](Self#structfield.reuse_port).
    #[must_use]
    pub fn reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }
}

/// When the kernel probes an idle connection. Only whole seconds count, because the kernel has no finer unit.
///
/// ```
/// use std::time::Duration;
/// use uv_core::socket::KeepAlive;
/// use uv_core::{BindOptions, Loop, Tcp};
///
/// let event_loop = Loop::new()?;
/// let listener = Tcp::new(&event_loop);
/// listener.bind(([127, 0, 0, 1], 0).into(), BindOptions::default())?;
/// // On Linux connections inherit it: one fails after a minute of silence and three probes without an answer.
/// listener.set_keepalive(Some(KeepAlive { count: 3, ..KeepAlive::after(Duration::from_secs(60)) }))?;
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Idle time before the first probe; at least a second.
    pub idle: Duration,
    /// Time between probes; at least a second.
    pub interval: Duration,
    /// Unanswered probes before the connection fails; at least 1.
    pub count: u32,
}

impl KeepAlive {
    /// The probes that libuv's `uv_tcp_keepalive` sets: after `idle`, ten probes, one a second.
    #[must_use]
    pub const fn after(idle: Duration) -> Self {
        Self { idle, interval: Duration::from_secs(1), count: 10 }
    }
}

impl Tcp {
    /// Creates a handle without a socket, which `bind`, `connect` or `open` provides (`uv_tcp_init`).
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self(Stream::create(event_loop, HandleKind::Tcp, SOCKET))
    }

    /// Like [`new`](Self::new), with an IPv4 socket from the start (`uv_tcp_init_ex` with `AF_INET`): its options can be
    /// set before it is bound or connected.
    ///
    /// ```
    /// use uv_core::{Loop, Tcp};
    ///
    /// let event_loop = Loop::new()?;
    /// let client = Tcp::new_v4(&event_loop)?;
    /// client.set_recv_buffer_size(16 * 1024)?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of `socket(2)`.
    #[track_caller]
    pub fn new_v4(event_loop: &LoopHandle) -> Result<Self> {
        Self::with_socket(event_loop, libc::AF_INET)
    }

    /// Like [`new_v4`](Self::new_v4), with an IPv6 socket (`AF_INET6`).
    ///
    /// # Errors
    /// Any error of `socket(2)`: `EAFNOSUPPORT` if the kernel has no IPv6.
    #[track_caller]
    pub fn new_v6(event_loop: &LoopHandle) -> Result<Self> {
        Self::with_socket(event_loop, libc::AF_INET6)
    }

    #[track_caller]
    fn with_socket(event_loop: &LoopHandle, family: libc::c_int) -> Result<Self> {
        let socket = sys::socket::stream_socket(family).map_err(|errno| Error::new("socket", errno))?;
        let tcp = Self::new(event_loop);
        tcp.inner().open(socket, SOCKET);
        Ok(tcp)
    }

    /// The same stream as TCP, or `None` if it is not.
    #[must_use]
    pub fn from_stream(stream: &Stream) -> Option<Self> {
        (stream.kind() == HandleKind::Tcp).then(|| Self(stream.clone()))
    }

    /// Adopts a connected, bound or listening socket (`uv_tcp_open`).
    ///
    /// A connected socket keeps its mode, because other processes may share it; a listening or connecting socket
    /// becomes non-blocking. A descriptor number of 0, 1 or 2 is redirected to the null device at close.
    ///
    /// # Errors
    /// `EBUSY` if the handle has a socket already, `ENOTSOCK` if `fd` is not a socket. An error closes the descriptor.
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        let failed = |errno| Error::new("open", errno);
        self.inner().check_fresh("open")?;
        let raw = fd.as_raw_fd();
        if !sys::socket::is_socket(raw) {
            return Err(failed(Errno::ENOTSOCK));
        }
        sys::fd::set_cloexec(fd.as_fd()).map_err(failed)?;
        let bound = sys::socket::local_addr(fd.as_fd())
            .is_ok_and(|addr| addr.as_inet().is_some_and(|addr| addr.port() != 0));
        let connected = sys::socket::peer_addr(fd.as_fd()).is_ok();
        self.inner().adopt(fd, BOUND.when(bound) | (READABLE | WRITABLE).when(connected));
        Ok(())
    }

    /// Creates a handle for a connection that another process accepted and passed to this process. The socket must be
    /// non-blocking and have no other owner. This makes no system call; `open` makes several.
    #[must_use]
    #[track_caller]
    pub fn from_accepted(event_loop: &LoopHandle, fd: OwnedFd) -> Self {
        Self(Stream::connected(event_loop, HandleKind::Tcp, fd))
    }

    /// Takes the connection announced by `on_connection` (`uv_accept`).
    ///
    /// # Errors
    /// `EAGAIN` if no connection is waiting.
    #[track_caller]
    pub fn accept(&self) -> Result<Self> {
        Ok(Self(self.0.accept()?))
    }

    /// Binds the socket to `addr` (`uv_tcp_bind`); with port 0 the kernel chooses a port. `SO_REUSEADDR` is always set.
    ///
    /// # Errors
    /// `EINVAL` if the handle is closing, bound, has a socket of the other family, or if `ipv6_only` is set for an IPv4
    /// address; any error of the system calls. As in libuv, `listen` or `connect` reports a port in use.
    pub fn bind(&self, addr: SocketAddr, options: BindOptions) -> Result<()> {
        let failed = |errno| Error::new("bind", errno).on(addr);
        if self.is_closing() || self.inner().has(BOUND) || (options.ipv6_only && addr.is_ipv4()) {
            return Err(failed(Errno::EINVAL));
        }
        let sockaddr = SockAddr::inet(addr);
        let fd = self.inner().socket(sockaddr.family()).map_err(failed)?;
        if sys::socket::local_addr(fd).map_err(failed)?.family() != sockaddr.family() {
            // The socket that exists already has the other family.
            return Err(failed(Errno::EINVAL));
        }
        let set = |level, name, on| sys::socket::set_option(fd, level, name, on).map_err(failed);
        set(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        if options.reuse_port {
            set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        if addr.is_ipv6() {
            set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, options.ipv6_only.into())?;
        }
        match sys::socket::bind(fd, &sockaddr) {
            Ok(()) => {}
            Err(Errno::EADDRINUSE) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::BindDelays);
                self.inner().set_delayed_error(Errno::EADDRINUSE);
            }
            Err(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::BindFails);
                return Err(failed(errno));
            }
        }
        self.inner().set_target(addr);
        self.inner().set(BOUND);
        Ok(())
    }

    /// Starts listening (`uv_listen`); an unbound handle gets a port of the kernel's choice.
    ///
    /// # Errors
    /// As [`Stream::listen`].
    pub fn listen(&self, backlog: u32, upcall: impl crate::upcall::AcceptUpcall + 'static) -> Result<()> {
        if self.inner().fileno().is_err() && !self.is_closing() {
            self.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), BindOptions::default())?;
        }
        self.0.listen(backlog, upcall)
    }

    /// Like [`listen`](Self::listen), with a closure for
    /// [`AcceptUpcall::on_connection`](crate::upcall::AcceptUpcall::on_connection).
    ///
    /// # Errors
    /// As for `listen`.
    pub fn listen_with(
        &self,
        backlog: u32,
        on_connection: impl FnMut(&Stream, Result<()>) + 'static,
    ) -> Result<()> {
        self.listen(backlog, on_connection)
    }

    /// Connects (`uv_tcp_connect`); `on_connect` reports the result. An unspecified address means this machine. A
    /// link-local IPv6 address without a scope means the first interface that has a link-local address.
    ///
    /// # Errors
    /// `EALREADY` while connecting, `EINVAL` if closing or connected, and errors that the system reports immediately,
    /// such as `ENETUNREACH`. `on_connect` reports a refused connection.
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("Tcp::connect", || Facts::of(self));
        let failed = |errno| Error::new("connect", errno).on(addr);
        if self.inner().is_connecting() {
            return Err(failed(Errno::EALREADY));
        }
        if self.is_closing() {
            return Err(failed(Errno::EINVAL));
        }
        let sockaddr = SockAddr::inet(scoped(loopback_if_unspecified(addr)));
        self.inner().socket(sockaddr.family()).map_err(failed)?;
        self.inner().connect(&sockaddr, addr)
    }

    /// Begins a connect whose address is not known yet: the stream is connecting, writes are queued, and the loop stays
    /// alive. [`take_connection`](Self::take_connection) ends it. `target` is for errors: a host and a port.
    ///
    /// # Errors
    /// `EALREADY` while connecting, `EBUSY` if the handle has a socket, `EINVAL` if it is closing.
    pub fn expect_connection(&self, target: impl fmt::Display) -> Result<()> {
        let _down = LAYER.down("Tcp::expect_connection", || Facts::of(self));
        self.inner().expect_connection(target)
    }

    /// Takes the connected socket of `from`, one of several attempts to connect; `on_connect` reports it. `from` has no
    /// socket afterwards, and is only to be closed.
    ///
    /// # Errors
    /// `EINVAL` without [`expect_connection`](Self::expect_connection), or if the handle is closing; `ENOTCONN` if `from`
    /// is not connected.
    pub fn take_connection(&self, from: &Self) -> Result<()> {
        let _down = LAYER.down("Tcp::take_connection", || Facts::of(self));
        self.inner().take_connection(from.inner())
    }

    /// The socket's own address (`uv_tcp_getsockname`).
    ///
    /// # Errors
    /// `EBADF` without a socket; `EADDRINUSE` if `bind` met that.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        let failed = |errno| Error::new("getsockname", errno);
        if let Some(errno) = self.inner().delayed_error() {
            return Err(failed(errno));
        }
        let addr = sys::socket::local_addr(self.inner().opened()?).map_err(failed)?;
        addr.as_inet().ok_or_else(|| failed(Errno::EINVAL))
    }

    /// The peer's address (`uv_tcp_getpeername`).
    ///
    /// # Errors
    /// `EBADF` without a socket, `ENOTCONN` without a peer.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        let failed = |errno| Error::new("getpeername", errno);
        let addr = sys::socket::peer_addr(self.inner().opened()?).map_err(failed)?;
        addr.as_inet().ok_or_else(|| failed(Errno::EINVAL))
    }

    /// Sets `TCP_NODELAY`: small segments are sent without waiting for acknowledgements (`uv_tcp_nodelay`). On Linux
    /// accepted connections inherit the option from their listener.
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn set_nodelay(&self, on: bool) -> Result<()> {
        self.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, on.into())
    }

    /// Turns TCP keepalive probes on or off (`uv_tcp_keepalive_ex`). On Linux accepted connections inherit the options
    /// from their listener.
    ///
    /// # Errors
    /// `EINVAL` for a time of less than a second or a count of 0; `EBADF` without a socket.
    pub fn set_keepalive(&self, probe: Option<KeepAlive>) -> Result<()> {
        let Some(probe) = probe else {
            return self.set_option(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 0);
        };
        let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let (idle, interval) = (seconds(probe.idle), seconds(probe.interval));
        let count = i32::try_from(probe.count).unwrap_or(i32::MAX);
        if idle < 1 || interval < 1 || count < 1 {
            return Err(Error::new("setsockopt", Errno::EINVAL));
        }
        self.set_option(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
        self.set_option(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle)?;
        self.set_option(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, interval)?;
        self.set_option(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, count)
    }

    /// Closes the connection with a reset instead of a FIN (`uv_tcp_close_reset`). Unlike in libuv this works while a
    /// FIN waits behind queued bytes: neither is sent then, and only a reset tells the peer that bytes are missing.
    ///
    /// # Errors
    /// `EINVAL` between sending the FIN and `on_shutdown`; the stream stays open.
    pub fn close_reset(&self) -> Result<()> {
        let failed = |errno| Error::new("close_reset", errno);
        if self.inner().has_sent_fin() {
            return Err(failed(Errno::EINVAL));
        }
        if let Ok(fd) = self.inner().opened() {
            sys::socket::linger_zero(fd).map_err(failed)?;
        }
        self.close();
        Ok(())
    }

    fn set_option(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> Result<()> {
        let set = sys::socket::set_option(self.inner().opened()?, level, name, value);
        set.map_err(|errno| Error::new("setsockopt", errno))
    }

    fn inner(&self) -> &Rc<StreamInner> {
        &self.0.0
    }
}

fn loopback_if_unspecified(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

/// The kernel refuses a link-local address without a scope, because it is one on each interface.
fn scoped(mut addr: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(addr) = &mut addr
        && addr.ip().is_unicast_link_local()
        && addr.scope_id() == 0
    {
        addr.set_scope_id(sys::interface::first_link_local().unwrap_or(0));
    }
    addr
}

impl Deref for Tcp {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tcp").field(&self.0).finish()
    }
}
