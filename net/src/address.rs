//! The address of a listener or a peer: an IP address with its port, or the name of a Unix socket.

use crate::uv_core::socket::PipeName;
use async_wrap::AsyncStream;
use async_wrap::layer::Printable;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address of either family (`server.address()`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Path(PathBuf),
    /// A Unix socket's name in Linux's abstract namespace, without its leading NUL.
    Abstract(Vec<u8>),
    /// A Unix socket without a name, as clients have.
    Unnamed,
}

impl Address {
    /// The TCP address, or `None` for a Unix socket.
    #[must_use]
    pub const fn as_tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            Self::Path(_) | Self::Abstract(_) | Self::Unnamed => None,
        }
    }

    /// The port, or `None` for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.as_tcp().map(|addr| addr.port())
    }

    pub(crate) fn local(stream: &AsyncStream) -> Option<Self> {
        match stream.is_tcp() {
            true => stream.local_addr().ok().map(Self::Tcp),
            false => stream.local_name().ok().map(Self::from),
        }
    }

    pub(crate) fn peer(stream: &AsyncStream) -> Option<Self> {
        match stream.is_tcp() {
            true => stream.peer_addr().ok().map(Self::Tcp),
            false => stream.peer_name().ok().map(Self::from),
        }
    }
}

impl From<PipeName> for Address {
    fn from(name: PipeName) -> Self {
        match name {
            PipeName::Path(path) => Self::Path(path),
            PipeName::Abstract(name) => Self::Abstract(name),
            PipeName::Unnamed => Self::Unnamed,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Path(path) => Printable(&path.to_string_lossy()).fmt(f),
            Self::Abstract(name) => write!(f, "@{}", Printable(&String::from_utf8_lossy(name))),
            Self::Unnamed => f.write_str("(unnamed)"),
        }
    }
}
