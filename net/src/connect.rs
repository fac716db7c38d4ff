//! Connecting: to a TCP address, a host or a Unix socket. Mirrors `net.connect`, `internalConnect` and `afterConnect`.

use crate::abort::AbortHandle;
use crate::admission::BlockList;
use crate::names::{Connecting, Host, Resolver};
use crate::options::{HIGH_WATER_MARK, check_connection};
use crate::query::set_connection_options;
use crate::state::{CONNECTING, HALF_OPEN, READS_ON, SocketFlags, SocketInner};
use crate::upcall::SocketHandler;
use crate::uv_core;
use crate::uv_core::names::{AddrFlags, AddrQuery, Family, SocketType};
use crate::uv_core::{BindOptions, Errno};
use crate::{Error, ErrorCode, LAYER, Result, Socket};
use async_wrap::layer::Place;
use async_wrap::layer::trace::Facts;
use async_wrap::tcp_wrap::{PipeWrap, StreamWrap};
use async_wrap::{AsyncStream, Environment, Provider};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The time after which the next address of a host is tried, too: Node's number.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(250);

/// The shortest such time: Node's number.
const SHORTEST_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(10);

/// The options of [`Socket::connect`]. There is no default target: [`addr`](Self::addr), [`host`](Self::host) and
/// [`path`](Self::path) create them with the defaults of all others.
///
/// ```
/// use net::ConnectOptions;
///
/// let tcp = ConnectOptions::addr("127.0.0.1:8000".parse().expect("an address"));
/// let host = ConnectOptions::host("example.org", 80);
/// let unix = ConnectOptions::path("/run/app.sock").allow_half_open(true);
/// # let _ = (tcp, host, unix);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// What to connect to.
    pub target: ConnectTarget,
    /// The address to connect from, in the family of the target. Default: `None`, the kernel's choice. TCP only.
    pub local: Option<SocketAddr>,
    /// Keep this side open when the peer has sent its FIN. Default: `false`.
    pub allow_half_open: bool,
    /// Set `TCP_NODELAY`, so that small segments are sent without delay. Default: `false`. TCP only.
    pub no_delay: bool,
    /// The idle time before the kernel's first keepalive probe. Default: `None`, no probes. TCP only. A time below a second
    /// counts as a second; zero is invalid.
    pub keep_alive: Option<Duration>,
    /// Addresses that are not connected to; those of a host are skipped. An unspecified address, which stands for this
    /// machine, is blocked with the loopback address, too. Default: `None`. TCP only.
    pub block_list: Option<BlockList>,
    /// Ends the connect, and the connection. Default: `None`.
    pub abort: Option<AbortHandle>,
    /// See [`Socket::set_timeout`]. Default: zero, no timeout.
    pub timeout: Duration,
    /// `write` returns `false` once this many bytes are queued, at least 1. Default: 64 KiB.
    pub high_water_mark: usize,
    /// The only family in which a host's addresses are wanted. Default: `None`, both, or that of `local`.
    pub family: Option<Family>,
    /// Hints for the look-up of a host. Default: `None`, which is [`AddrFlags::ADDRCONFIG`] unless `family` is set or the
    /// host is `localhost`.
    pub hints: Option<AddrFlags>,
    /// Try all addresses of a host, the families by turns, until one connects (`autoSelectFamily`); otherwise only the
    /// first. Default: `true`.
    pub auto_select_family: bool,
    /// The time after which the next address of a host is tried beside the last one, at least 10 ms
    /// (`autoSelectFamilyAttemptTimeout`). Default: 250 ms.
    pub attempt_timeout: Duration,
    /// How a host is looked up. Default: the C library's `getaddrinfo(3)`, in the thread pool.
    pub resolver: Resolver,
    /// After a failed write read what the peer had sent before the connection broke, instead of destroying the socket at once:
    /// for protocols whose server may answer before it has read the whole request, and then close. Default: `false`, as in Node.
    ///
    /// The failed call returns its error, as later writes do;
    /// [`on_write_failed`](SocketHandler::on_write_failed) tells that of queued output. The kernel keeps what it has received,
    /// also from a peer that has reset the connection. `on_end` or `on_error` follows it, and the socket is destroyed.
    pub read_after_failed_write: bool,
}

/// The target of a connect.
#[derive(Clone, Debug)]
pub enum ConnectTarget {
    /// A TCP address.
    Addr(SocketAddr),
    /// A port of a host whose addresses are looked up.
    Host(String, u16),
    /// The path of a Unix socket, or an abstract name if it begins with NUL.
    Path(PathBuf),
}

impl ConnectOptions {
    fn new(target: ConnectTarget) -> Self {
        Self {
            target,
            local: None,
            allow_half_open: false,
            no_delay: false,
            keep_alive: None,
            block_list: None,
            abort: None,
            timeout: Duration::ZERO,
            high_water_mark: HIGH_WATER_MARK,
            family: None,
            hints: None,
            auto_select_family: true,
            attempt_timeout: ATTEMPT_TIMEOUT,
            resolver: Resolver::default(),
            read_after_failed_write: false,
        }
    }

    /// Options to connect to a TCP address.
    #[must_use]
    pub fn addr(addr: SocketAddr) -> Self {
        Self::new(ConnectTarget::Addr(addr))
    }

    /// Options to connect to a port of a host. A numeric address is not looked up.
    #[must_use]
    pub fn host(host: impl Into<Host>, port: u16) -> Self {
        Self::new(match host.into() {
            Host::Ip(ip) => ConnectTarget::Addr((ip, port).into()),
            Host::Name(name) => ConnectTarget::Host(name, port),
        })
    }

    /// Options to connect to a Unix socket, or to an abstract name if `path` begins with NUL.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(ConnectTarget::Path(path.into()))
    }

    /// Sets [`local`](Self#structfield.local).
    #[must_use]
    pub fn local(self, local: impl Into<Option<SocketAddr>>) -> Self {
        Self { local: local.into(), ..self }
    }

    /// Sets [`allow_half_open`](Self#structfield.allow_half_open).
    #[must_use]
    pub fn allow_half_open(self, allow_half_open: bool) -> Self {
        Self { allow_half_open, ..self }
    }

    /// Sets [`no_delay`](Self#structfield.no_delay).
    #[must_use]
    pub fn no_delay(self, no_delay: bool) -> Self {
        Self { no_delay, ..self }
    }

    /// Sets [`keep_alive`](Self#structfield.keep_alive).
    #[must_use]
    pub fn keep_alive(self, keep_alive: impl Into<Option<Duration>>) -> Self {
        Self { keep_alive: keep_alive.into(), ..self }
    }

    /// Sets [`block_list`](Self#structfield.block_list).
    #[must_use]
    pub fn block_list(self, list: &BlockList) -> Self {
        Self { block_list: Some(list.clone()), ..self }
    }

    /// Sets [`abort`](Self#structfield.abort).
    #[must_use]
    pub fn abort(self, handle: &AbortHandle) -> Self {
        Self { abort: Some(handle.clone()), ..self }
    }

    /// Sets [`timeout`](Self#structfield.timeout).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets [`high_water_mark`](Self#structfield.high_water_mark).
    #[must_use]
    pub fn high_water_mark(self, high_water_mark: usize) -> Self {
        Self { high_water_mark, ..self }
    }

    /// Sets [`family`](Self#structfield.family).
    #[must_use]
    pub fn family(self, family: impl Into<Option<Family>>) -> Self {
        Self { family: family.into(), ..self }
    }

    /// Sets [`hints`](Self#structfield.hints).
    #[must_use]
    pub fn hints(self, hints: impl Into<Option<AddrFlags>>) -> Self {
        Self { hints: hints.into(), ..self }
    }

    /// Sets [`auto_select_family`](Self#structfield.auto_select_family).
    #[must_use]
    pub fn auto_select_family(self, auto_select_family: bool) -> Self {
        Self { auto_select_family, ..self }
    }

    /// Sets [`attempt_timeout`](Self#structfield.attempt_timeout).
    #[must_use]
    pub fn attempt_timeout(self, attempt_timeout: Duration) -> Self {
        Self { attempt_timeout: attempt_timeout.max(SHORTEST_ATTEMPT_TIMEOUT), ..self }
    }

    /// Sets [`resolver`](Self#structfield.resolver).
    #[must_use]
    pub fn resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// Sets [`read_after_failed_write`](Self#structfield.read_after_failed_write).
    #[must_use]
    pub fn read_after_failed_write(self, read_after_failed_write: bool) -> Self {
        Self { read_after_failed_write, ..self }
    }
}

impl Socket {
    /// Connects. The loop calls `on_connect`, or `on_error` and `on_close`. Earlier writes are queued.
    ///
    /// A host is looked up in the thread pool (`on_lookup`); its addresses are tried one after the other, the families by
    /// turns, until one connects ([`on_connection_attempt`](SocketHandler::on_connection_attempt)).
    ///
    /// # Errors
    /// `InvalidArgument` for an empty path, if `local` is not in the target's family, or if `high_water_mark` or the time
    /// of `keep_alive` is zero; `IpBlocked` if the block list has the target; the errors of [`AddrQuery::check`] for a host;
    /// errors that the system reports immediately, such as an unreachable network.
    #[track_caller]
    pub fn connect(
        env: &Environment,
        options: ConnectOptions,
        handler: impl SocketHandler + 'static,
    ) -> Result<Self> {
        let _down = LAYER.down("Socket::connect", Facts::default);
        let _place = Place::caller().mark();
        options.check()?;
        let stream = match &options.target {
            ConnectTarget::Addr(_) | ConnectTarget::Host(..) => AsyncStream::tcp(env),
            ConnectTarget::Path(_) => AsyncStream::pipe(env),
        };
        let is_aborted = options.abort.as_ref().is_some_and(AbortHandle::is_aborted);
        if !is_aborted && let Err(error) = options.begin(&stream) {
            // The program has no handle to the socket yet, so no handler hears of the close.
            stream.close();
            return Err(error.into());
        }
        let reads_on = READS_ON.when(options.read_after_failed_write);
        let flags = CONNECTING | HALF_OPEN.when(options.allow_half_open) | reads_on;
        let socket = Self(Rc::new(SocketInner::new(stream, flags, options.high_water_mark, Weak::new())));
        socket.set_handler(handler);
        socket.set_timeout(options.timeout);
        if let Some(abort) = &options.abort {
            socket.end_with_abort(abort);
        }
        if let ConnectTarget::Host(host, port) = &options.target
            && !is_aborted
        {
            let (query, port) = (options.query(host), *port);
            Connecting::begin(&socket, options, query, port);
        }
        Ok(socket)
    }

    /// Creates a socket for an existing connection, which was inherited or received through a pipe, for example. It
    /// reads once it has a handler.
    ///
    /// # Errors
    /// `InvalidHandleType` if `fd` is not a connected stream socket; any error of the system calls. An error closes the
    /// descriptor.
    #[track_caller]
    pub fn from_fd(env: &Environment, fd: OwnedFd) -> Result<Self> {
        let _down = LAYER.down("Socket::from_fd", Facts::default);
        let _place = Place::caller().mark();
        let wrap = StreamWrap::from_fd(env.loop_handle(), fd).map_err(|error| match error.errno() {
            Errno::ENOTSOCK | Errno::ENOTCONN => {
                #[cfg(upcall_faults)]
                uv_core::faults::reached(uv_core::faults::Branch::SocketUnusable);
                Error::new(ErrorCode::InvalidHandleType, "from_fd: this is not a connected stream socket")
            }
            _ => error.into(),
        })?;
        let provider = if wrap.is_tcp() { Provider::TcpWrap } else { Provider::PipeWrap };
        let stream = AsyncStream::new(env, wrap, provider);
        Ok(Self(Rc::new(SocketInner::new(stream, SocketFlags::NONE, HIGH_WATER_MARK, Weak::new()))))
    }

    /// Creates a socket for one end of a connected pipe.
    pub(crate) fn of_pipe(env: &Environment, pipe: &PipeWrap) -> Self {
        let stream = AsyncStream::new(env, StreamWrap::clone(pipe), Provider::PipeWrap);
        Self(Rc::new(SocketInner::new(stream, HALF_OPEN, HIGH_WATER_MARK, Weak::new())))
    }
}

impl ConnectOptions {
    fn check(&self) -> Result<()> {
        let refuse = |message| Err(Error::new(ErrorCode::InvalidArgument, message));
        match (&self.target, self.local) {
            (ConnectTarget::Path(path), _) if path.as_os_str().is_empty() => {
                refuse("connect: the path is empty")
            }
            (ConnectTarget::Path(_), Some(_)) => refuse("connect: a local address is for TCP"),
            (ConnectTarget::Host(..), Some(local))
                if self.family.is_some_and(|family| family != family_of(local)) =>
            {
                refuse("connect: the local address is of another family than the one wanted")
            }
            (ConnectTarget::Host(host, _), _) => {
                self.query(host).check()?;
                check_connection(self.high_water_mark, self.keep_alive)
            }
            (ConnectTarget::Addr(addr), Some(local)) if addr.is_ipv4() != local.is_ipv4() => {
                refuse("connect: the local address is of another family than the target")
            }
            (ConnectTarget::Addr(addr), _) if self.blocks(addr.ip()) => Err(Error::blocked(addr.ip())),
            _ => check_connection(self.high_water_mark, self.keep_alive),
        }
    }

    /// Whether the block list has an address, or the one to which a connect to it leads: an unspecified address stands for
    /// this machine.
    pub(crate) fn blocks(&self, ip: IpAddr) -> bool {
        let Some(list) = &self.block_list else { return false };
        let own = || match (ip.to_canonical(), self.local.map(|local| local.ip().to_canonical())) {
            // Linux connects a socket that is bound to its own address.
            (IpAddr::V4(_), Some(local)) if !local.is_unspecified() => local,
            (IpAddr::V4(_), _) => Ipv4Addr::LOCALHOST.into(),
            (IpAddr::V6(_), _) => Ipv6Addr::LOCALHOST.into(),
        };
        list.check(ip) || (ip.to_canonical().is_unspecified() && list.check(own()))
    }

    /// The question for the addresses of a host.
    fn query(&self, host: &str) -> AddrQuery {
        let family = self.family.or_else(|| self.local.map(family_of));
        // Names of this machine (RFC 6761, section 6.3): no interface but the loopback has their addresses.
        let is_local = host
            .trim_end_matches('.')
            .rsplit('.')
            .next()
            .is_some_and(|last| last.eq_ignore_ascii_case("localhost"));
        let usual = if family.is_some() || is_local { AddrFlags::default() } else { AddrFlags::ADDRCONFIG };
        let query = AddrQuery::new(host).family(family).socket_type(SocketType::Stream);
        query.flags(self.hints.unwrap_or(usual))
    }

    /// The time of an attempt: RFC 8305, section 5, has no shorter one, which would be an attack on the host.
    pub(crate) fn time_of_attempt(&self) -> Duration {
        self.attempt_timeout.max(SHORTEST_ATTEMPT_TIMEOUT)
    }

    fn begin(&self, stream: &AsyncStream) -> Result<(), uv_core::Error> {
        match &self.target {
            ConnectTarget::Addr(addr) => self.connect_tcp(stream, *addr),
            ConnectTarget::Host(host, port) => stream.expect_connection(format_args!("{host}:{port}")),
            ConnectTarget::Path(path) => stream.connect_pipe(path),
        }
    }

    /// Connects a stream to the target or to an address of it.
    pub(crate) fn connect_tcp(&self, stream: &AsyncStream, addr: SocketAddr) -> Result<(), uv_core::Error> {
        if let Some(local) = self.local {
            stream.bind(local, BindOptions::default())?;
        }
        stream.connect_tcp(addr)?;
        // The socket exists now, and keeps options that are set before it is connected.
        set_connection_options(stream, self.no_delay, self.keep_alive)
    }
}

fn family_of(addr: SocketAddr) -> Family {
    if addr.is_ipv4() { Family::V4 } else { Family::V6 }
}
