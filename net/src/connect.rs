//! Connecting: to a TCP address or a Unix socket. Mirrors `net.connect`, `internalConnect` and `afterConnect`.

use crate::query::set_connection_options;
use crate::server::HIGH_WATER_MARK;
use crate::upcall::SocketHandler;
use crate::{Error, ErrorCode, LAYER, Result, Socket};
use async_wrap::layer::trace::Facts;
use async_wrap::{AsyncStream, BindOptions, Environment, Errno, Provider, StreamWrap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// The options of [`Socket::connect`].
///
/// ```
/// use net::ConnectOptions;
///
/// let tcp = ConnectOptions::addr("127.0.0.1:8000".parse().expect("an address"));
/// let unix = ConnectOptions { allow_half_open: true, ..ConnectOptions::path("/run/app.sock") };
/// # let _ = (tcp, unix);
/// ```
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// What to connect to.
    pub target: ConnectTarget,
    /// The address to connect from, of the family of the target; the kernel's choice at first. TCP only.
    pub local: Option<SocketAddr>,
    /// Keep this side open when the peer has finished sending. Off at first.
    pub allow_half_open: bool,
    /// Send small segments at once. Off at first; TCP only.
    pub no_delay: bool,
    /// Let the kernel probe the connection after this much silence. `None` at first; TCP only.
    pub keep_alive: Option<Duration>,
    /// See [`Socket::set_timeout`]; zero, for none, at first.
    pub timeout: Duration,
    /// Bytes waiting to be written from which on `write` says `false`. 64 KiB at first.
    pub high_water_mark: usize,
}

/// What to connect to.
#[derive(Clone, Debug)]
pub enum ConnectTarget {
    /// A TCP address.
    Addr(SocketAddr),
    /// A Unix socket, or an abstract one if the name begins with NUL.
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

    /// To a TCP address.
    #[must_use]
    pub fn addr(addr: SocketAddr) -> Self {
        Self::new(ConnectTarget::Addr(addr))
    }

    /// To a Unix socket, or an abstract one if the name begins with NUL.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(ConnectTarget::Path(path.into()))
    }
}

impl Socket {
    /// Connects; `on_connect`, or `on_error` and `on_close`, follow from the loop. Writes before that wait.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty path and for a `local` that is not of the target's family; what the system refuses at
    /// once, such as an unreachable network.
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
            // Nobody has heard of the socket: it goes as silently as it came.
            stream.close();
            return Err(error.into());
        }
        let socket = Self::connecting(stream, options.allow_half_open, options.high_water_mark);
        socket.set_handler(handler);
        socket.set_timeout(options.timeout);
        Ok(socket)
    }
}

impl Socket {
    /// A socket for a connection that is there already: one that was inherited, or came through a pipe. It reads once it
    /// has a handler.
    ///
    /// # Errors
    /// `InvalidHandleType` for a descriptor that is no connected stream socket; the system's refusal. The descriptor is
    /// closed then.
    pub fn from_fd(env: &Environment, fd: OwnedFd) -> Result<Self> {
        let _down = LAYER.down("Socket::from_fd", Facts::default);
        let wrap = StreamWrap::from_fd(env.loop_handle(), fd).map_err(|error| match error.errno() {
            Errno::ENOTSOCK | Errno::ENOTCONN => {
                Error::new(ErrorCode::InvalidHandleType, "from_fd: this is no connected stream socket")
            }
            _ => error.into(),
        })?;
        let provider = if wrap.is_tcp() { Provider::TcpWrap } else { Provider::PipeWrap };
        Ok(Self::opened(AsyncStream::new(env, wrap, provider)))
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
            _ => Ok(()),
        }
    }

    fn begin(&self, stream: &AsyncStream) -> Result<(), async_wrap::Error> {
        let addr = match &self.target {
            ConnectTarget::Addr(addr) => *addr,
            ConnectTarget::Path(path) => return stream.connect_pipe(path),
        };
        if let Some(local) = self.local {
            stream.bind(local, BindOptions::default())?;
        }
        stream.connect_tcp(addr)?;
        // The socket exists from here on, and keeps what is set before the connection stands.
        set_connection_options(stream, self.no_delay, self.keep_alive)
    }
}
