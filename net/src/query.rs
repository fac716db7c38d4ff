//! A query to listen, and the one place that turns it into a socket. Mirrors `serverQuery` and `createServerHandle` of
//! Node's `lib/net.js`.

use crate::uv_core::socket::KeepAlive;
use crate::uv_core::{BindOptions, LoopHandle, Result};
use crate::{Address, ServerOptions};
use async_wrap::AsyncStream;
use async_wrap::tcp_wrap::{PipeWrap, StreamWrap, TcpWrap};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenTarget {
    /// A port on every address of this machine: `::` with IPv4 included, or `0.0.0.0` without IPv6. With port 0 the
    /// kernel chooses a port.
    Port(u16),
    /// One address. With port 0 the kernel chooses a port.
    Addr(SocketAddr),
    /// The path of a Unix socket, or an abstract name if it begins with NUL.
    Path(PathBuf),
}

impl ListenTarget {
    /// The target as an address. A port stands for every address.
    #[must_use]
    pub fn address(&self) -> Address {
        match self {
            Self::Port(port) => Address::Tcp((Ipv6Addr::UNSPECIFIED, *port).into()),
            Self::Addr(addr) => Address::Tcp(*addr),
            Self::Path(path) => match path.as_os_str().as_bytes() {
                [0, name @ ..] => Address::Abstract(name.to_vec()),
                _ => Address::Path(path.clone()),
            },
        }
    }
}

/// The parameters of a listening socket (Node's `serverQuery`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenQuery {
    /// What to listen on.
    pub target: ListenTarget,
    /// How many completed connections the kernel queues for `accept`.
    pub backlog: u32,
    /// Whether an IPv6 address does not accept IPv4 connections.
    pub ipv6_only: bool,
    /// Shares the port with other sockets that set this option.
    pub reuse_port: bool,
    /// Lets every user read from the Unix socket.
    pub readable_by_all: bool,
    /// Lets every user write to the Unix socket.
    pub writable_by_all: bool,
    /// An option of every connection, inherited from the listener: see [`ServerOptions::no_delay`].
    pub no_delay: bool,
    /// An option of every connection, inherited from the listener: see [`ServerOptions::keep_alive`].
    pub keep_alive: Option<Duration>,
}

impl ListenQuery {
    /// Binds a socket, without an async context. As in Node a [`ListenTarget::Port`] is bound on every address by one
    /// IPv6 socket, or by an IPv4 socket without IPv6.
    ///
    /// # Errors
    /// Any error of the system calls. `listen` and [`Bound::local_address`] report a port in use; `bind` does not.
    pub fn bind(&self, event_loop: &LoopHandle) -> Result<Bound> {
        match &self.target {
            ListenTarget::Addr(addr) => self.bind_tcp(event_loop, *addr),
            ListenTarget::Path(path) => self.bind_path(event_loop, path),
            ListenTarget::Port(port) => {
                match self.bind_tcp(event_loop, (Ipv6Addr::UNSPECIFIED, *port).into()) {
                    Err(error) if error.errno().is_no_ipv6() && !self.ipv6_only => {
                        #[cfg(upcall_faults)]
                        crate::uv_core::faults::reached(crate::uv_core::faults::Branch::WithoutIpv6);
                        self.bind_tcp(event_loop, (Ipv4Addr::UNSPECIFIED, *port).into())
                    }
                    result => result,
                }
            }
        }
    }

    fn bind_tcp(&self, event_loop: &LoopHandle, addr: SocketAddr) -> Result<Bound> {
        let tcp = TcpWrap::new(event_loop);
        let bound = Bound { stream: (*tcp).clone(), asked: Address::Tcp(addr), is_adopted: false };
        tcp.bind(addr, BindOptions::default().ipv6_only(self.ipv6_only).reuse_port(self.reuse_port))?;
        prepare_listener(&tcp, self.no_delay, self.keep_alive)?;
        Ok(bound)
    }

    fn bind_path(&self, event_loop: &LoopHandle, path: &Path) -> Result<Bound> {
        let pipe = PipeWrap::new(event_loop);
        let bound = Bound { stream: (*pipe).clone(), asked: self.target.address(), is_adopted: false };
        pipe.bind(path)?;
        if self.readable_by_all || self.writable_by_all {
            pipe.chmod(self.readable_by_all, self.writable_by_all)?;
        }
        Ok(bound)
    }
}

/// A bound socket that does not listen yet. Dropping it closes it and removes the file of a Unix socket.
pub struct Bound {
    stream: StreamWrap,
    /// The requested address: a socket whose port is in use has no address.
    asked: Address,
    /// The program had the socket before, and other processes may have it too.
    is_adopted: bool,
}

impl Bound {
    /// Adopts a bound or listening socket: a Unix socket if its address is one, otherwise TCP (`guessHandleType`).
    pub(crate) fn adopt(event_loop: &LoopHandle, fd: OwnedFd, options: &ServerOptions) -> Result<Self> {
        let socket = UnixListener::from(fd);
        let is_unix = socket.local_addr().is_ok();
        let fd = OwnedFd::from(socket);
        if is_unix {
            let pipe = PipeWrap::new(event_loop);
            let mut bound = Self { stream: (*pipe).clone(), asked: Address::Unnamed, is_adopted: true };
            pipe.open(fd)?;
            bound.asked = pipe.local_name().map_or(Address::Unnamed, Address::from);
            Ok(bound)
        } else {
            let tcp = TcpWrap::new(event_loop);
            let mut bound = Self { stream: (*tcp).clone(), asked: Address::Unnamed, is_adopted: true };
            tcp.open(fd)?;
            prepare_listener(&tcp, options.no_delay, options.keep_alive)?;
            bound.asked = tcp.local_addr().map_or(Address::Unnamed, Address::Tcp);
            Ok(bound)
        }
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &StreamWrap {
        &self.stream
    }

    /// The requested address.
    #[must_use]
    pub fn asked(&self) -> &Address {
        &self.asked
    }

    pub(crate) fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    /// The address of the socket, with the port that the kernel has chosen.
    ///
    /// # Errors
    /// `EADDRINUSE` for a port in use, which `bind` does not report.
    pub fn local_address(&self) -> Result<Address> {
        match self.stream.as_tcp() {
            Some(tcp) => tcp.local_addr().map(Address::Tcp),
            None => Ok(self.asked.clone()),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.stream.close();
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bound").field(&self.stream).finish()
    }
}

/// Sets the options of every connection on the listener, from which connections inherit them on Linux: this saves
/// system calls for each connection.
fn prepare_listener(tcp: &TcpWrap, no_delay: bool, keep_alive: Option<Duration>) -> Result<()> {
    if no_delay {
        tcp.set_nodelay(true)?;
    }
    if keep_alive.is_some() {
        tcp.set_keepalive(keep_alive.map(probe_after))?;
    }
    Ok(())
}

/// Sets the options of a connection on the connection itself, or on a listener that has its async context already.
pub(crate) fn set_connection_options(
    stream: &AsyncStream,
    no_delay: bool,
    keep_alive: Option<Duration>,
) -> Result<()> {
    if no_delay {
        stream.set_nodelay(true)?;
    }
    if keep_alive.is_some() {
        stream.set_keepalive(keep_alive.map(probe_after))?;
    }
    Ok(())
}

/// The kernel's probes, which begin after a second of silence at least.
pub(crate) fn probe_after(idle: Duration) -> KeepAlive {
    KeepAlive::after(idle.max(Duration::from_secs(1)))
}
