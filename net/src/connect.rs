//! Connecting: to a TCP address or a Unix socket. Mirrors `net.connect`, `internalConnect` and `afterConnect`.

use crate::options::{HIGH_WATER_MARK, check_connection};
use crate::query::set_connection_options;
use crate::state::{CONNECTING, HALF_OPEN, SocketFlags, SocketInner};
use crate::upcall::SocketHandler;
use crate::uv_core;
use crate::uv_core::{BindOptions, Errno};
use crate::{Error, ErrorCode, LAYER, Result, Socket};
use async_wrap::layer::trace::Facts;
use async_wrap::tcp_wrap::StreamWrap;
use async_wrap::{AsyncStream, Environment, Provider};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The options of [`Socket::connect`]. There is no default target: [`addr`](Self::addr) and [`path`](Self::path) create
/// them with the defaults of all others.
///
/// ```
/// use net::ConnectOptions;
///
/// let tcp = ConnectOptions::addr("127.0.0.1:8000".parse().expect("an address"));
/// let unix = ConnectOptions::path("/run/app.sock").allow_half_open(true);
/// # let _ = (tcp, unix);
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
    /// See [`Socket::set_timeout`]. Default: zero, no timeout.
    pub timeout: Duration,
    /// `write` returns `false` once this many bytes are queued, at least 1. Default: 64 KiB.
    pub high_water_mark: usize,
}

/// The target of a connect.
#[derive(Clone, Debug)]
pub enum ConnectTarget {
    /// A TCP address.
    Addr(SocketAddr),
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
            timeout: Duration::ZERO,
            high_water_mark: HIGH_WATER_MARK,
        }
    }

    /// Options to connect to a TCP address.
    #[must_use]
    pub fn addr(addr: SocketAddr) -> Self {
        Self::new(ConnectTarget::Addr(addr))
    }

    /// Options to connect to a Unix socket, or to an abstract name if `path` begins with NUL.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(ConnectTarget::Path(path.into()))
    }

    /// Sets [`local`](Self#structfield.local).
    #[must_use]
    pub fn local(self, local: Option<SocketAddr>) -> Self {
        Self { local, ..self }
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
    pub fn keep_alive(self, keep_alive: Option<Duration>) -> Self {
        Self { keep_alive, ..self }
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
}

impl Socket {
    /// Connects. The loop calls `on_connect`, or `on_error` and `on_close`. Earlier writes are queued.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty path, if `local` is not in the target's family, or if `high_water_mark` or the time
    /// of `keep_alive` is zero; errors that the system reports immediately, such as an unreachable network.
    pub fn connect(
        env: &Environment,
        options: ConnectOptions,
        handler: impl SocketHandler + 'static,
    ) -> Result<Self> {
        let _down = LAYER.down("Socket::connect", Facts::default);
        options.check()?;
        let stream = match &options.target {
            ConnectTarget::Addr(_) => AsyncStream::tcp(env),
            ConnectTarget::Path(_) => AsyncStream::pipe(env),
        };
        if let Err(error) = options.begin(&stream) {
            // The program has no handle to the socket yet, so no handler hears of the close.
            stream.close();
            return Err(error.into());
        }
        let flags = CONNECTING | HALF_OPEN.when(options.allow_half_open);
        let socket = Self(Rc::new(SocketInner::new(stream, flags, options.high_water_mark, Weak::new())));
        socket.set_handler(handler);
        socket.set_timeout(options.timeout);
        Ok(socket)
    }

    /// Creates a socket for an existing connection, which was inherited or received through a pipe, for example. It
    /// reads once it has a handler.
    ///
    /// # Errors
    /// `InvalidHandleType` if `fd` is not a connected stream socket; any error of the system calls. An error closes the
    /// descriptor.
    pub fn from_fd(env: &Environment, fd: OwnedFd) -> Result<Self> {
        let _down = LAYER.down("Socket::from_fd", Facts::default);
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
}

impl ConnectOptions {
    fn check(&self) -> Result<()> {
        let refuse = |message| Err(Error::new(ErrorCode::InvalidArgument, message));
        match (&self.target, self.local) {
            (ConnectTarget::Path(path), _) if path.as_os_str().is_empty() => {
                refuse("connect: the path is empty")
            }
            (ConnectTarget::Path(_), Some(_)) => refuse("connect: a local address is for TCP"),
            (ConnectTarget::Addr(addr), Some(local)) if addr.is_ipv4() != local.is_ipv4() => {
                refuse("connect: the local address is of another family than the target")
            }
            _ => check_connection(self.high_water_mark, self.keep_alive),
        }
    }

    fn begin(&self, stream: &AsyncStream) -> Result<(), uv_core::Error> {
        let addr = match &self.target {
            ConnectTarget::Addr(addr) => *addr,
            ConnectTarget::Path(path) => return stream.connect_pipe(path),
        };
        if let Some(local) = self.local {
            stream.bind(local, BindOptions::default())?;
        }
        stream.connect_tcp(addr)?;
        // The socket exists now, and keeps options that are set before it is connected.
        set_connection_options(stream, self.no_delay, self.keep_alive)
    }
}
