//! The options of `server.listen`, which are checked before anything is changed.

use crate::abort::AbortHandle;
use crate::admission::Admit;
use crate::names::{self, Host, Resolver};
use crate::source::{ListenQuery, ListenTarget};
use crate::{Address, Error, ErrorCode, Result, ServerOptions};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The default backlog: Node's number.
const BACKLOG: u32 = 511;

/// The options of `server.listen`.
///
/// ```
/// use net::ListenOptions;
///
/// let anywhere = ListenOptions::port(8000);
/// let here = ListenOptions::addr("127.0.0.1:0".parse().expect("an address")).backlog(64);
/// let file = ListenOptions::path("/run/app.sock").writable_by_all(true);
/// # let _ = (anywhere, here, file);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    pub(crate) target: Target,
    pub(crate) backlog: u32,
    pub(crate) exclusive: bool,
    pub(crate) ipv6_only: bool,
    pub(crate) reuse_port: bool,
    pub(crate) readable_by_all: bool,
    pub(crate) writable_by_all: bool,
    pub(crate) resolver: Resolver,
    pub(crate) abort: Option<AbortHandle>,
    pub(crate) admit: Option<Admit>,
}

/// What to listen on: a target to bind, or an existing socket.
#[derive(Debug)]
pub(crate) enum Target {
    New(ListenTarget),
    /// A port of a host whose address is looked up.
    Host(String, u16),
    /// A bound or listening socket that this crate did not create.
    Adopted(OwnedFd),
}

/// A port of the kernel's choice on every address of this machine, as Node's `listen()`.
impl Default for ListenOptions {
    fn default() -> Self {
        Self::port(0)
    }
}

impl ListenOptions {
    fn new(target: Target) -> Self {
        Self {
            target,
            backlog: BACKLOG,
            exclusive: false,
            ipv6_only: false,
            reuse_port: false,
            readable_by_all: false,
            writable_by_all: false,
            resolver: Resolver::default(),
            abort: None,
            admit: None,
        }
    }

    /// Listens on a port of every address of this machine.
    #[must_use]
    pub fn port(port: u16) -> Self {
        Self::new(Target::New(ListenTarget::Port(port)))
    }

    /// Listens on a port of one address of this machine. A name is looked up after `listen` has returned, and its first
    /// address counts: the server has its address from [`on_listening`](crate::upcall::ServerHandler::on_listening) on, and
    /// [`on_error`](crate::upcall::ServerHandler::on_error) reports that there is none. A closure hears of neither, so a
    /// program that takes a name from its user listens with a handler.
    #[must_use]
    pub fn host(host: impl Into<Host>, port: u16) -> Self {
        match host.into() {
            Host::Ip(ip) => Self::addr((ip, port).into()),
            Host::Name(name) => Self::new(Target::Host(name, port)),
        }
    }

    /// Listens on an address.
    #[must_use]
    pub fn addr(addr: SocketAddr) -> Self {
        Self::new(Target::New(ListenTarget::Addr(addr)))
    }

    /// Listens on a Unix socket, or on an abstract name if `path` begins with NUL.
    ///
    /// The close removes the socket file. If a killed process has left one, `listen` fails with `EADDRINUSE` and a note
    /// that no process listens on it. As in Node, removing it is up to the program.
    #[must_use]
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(Target::New(ListenTarget::Path(path.into())))
    }

    /// Listens on an existing socket.
    #[must_use]
    pub fn fd(fd: OwnedFd) -> Self {
        Self::new(Target::Adopted(fd))
    }

    /// Sets how many completed connections the kernel queues for `accept`. Default: 511.
    #[must_use]
    pub fn backlog(self, backlog: u32) -> Self {
        Self { backlog, ..self }
    }

    /// Makes a cluster worker bind the address itself instead of asking the primary. Default: `false`.
    #[must_use]
    pub fn exclusive(self, exclusive: bool) -> Self {
        Self { exclusive, ..self }
    }

    /// Does not accept IPv4 connections on an IPv6 address. Default: `false`.
    #[must_use]
    pub fn ipv6_only(self, ipv6_only: bool) -> Self {
        Self { ipv6_only, ..self }
    }

    /// Shares the port with other sockets that set this option. Implies [`exclusive`](Self::exclusive). Default: `false`.
    #[must_use]
    pub fn reuse_port(self, reuse_port: bool) -> Self {
        Self { reuse_port, ..self }
    }

    /// Lets every user read from the Unix socket. Default: `false`.
    #[must_use]
    pub fn readable_by_all(self, readable_by_all: bool) -> Self {
        Self { readable_by_all, ..self }
    }

    /// Lets every user write to the Unix socket. Default: `false`.
    #[must_use]
    pub fn writable_by_all(self, writable_by_all: bool) -> Self {
        Self { writable_by_all, ..self }
    }

    /// Sets how a host is looked up. Default: the C library's `getaddrinfo(3)`, in the thread pool.
    #[must_use]
    pub fn resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// Lets an abort close the server, until it has closed. Default: none.
    #[must_use]
    pub fn abort(self, handle: &AbortHandle) -> Self {
        Self { abort: Some(handle.clone()), ..self }
    }

    /// Admits connections for which `decide` returns `true`, and closes and reports (`on_drop`) the others. It gets the
    /// peer's address, after the server's limits and its block list have admitted the connection, and runs in the server's
    /// context. A socket for both families has IPv4 peers with IPv4-mapped IPv6 addresses. Default: all are admitted.
    #[must_use]
    pub fn admit(self, decide: impl FnMut(&Address) -> bool + 'static) -> Self {
        Self { admit: Some(Admit(Box::new(decide))), ..self }
    }

    /// The query for a source, with the target of these options.
    pub(crate) fn query(&self, target: ListenTarget, server: &ServerOptions) -> ListenQuery {
        ListenQuery {
            target,
            backlog: self.backlog,
            ipv6_only: self.ipv6_only,
            reuse_port: self.reuse_port,
            readable_by_all: self.readable_by_all,
            writable_by_all: self.writable_by_all,
            no_delay: server.no_delay,
            keep_alive: server.keep_alive,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |message| Err(Error::new(ErrorCode::InvalidArgument, message));
        let for_all = self.readable_by_all || self.writable_by_all;
        match &self.target {
            Target::New(ListenTarget::Path(path)) if path.as_os_str().is_empty() => {
                refuse("listen: the path is empty")
            }
            Target::New(ListenTarget::Path(path)) if for_all && path.as_os_str().as_bytes()[0] == 0 => {
                refuse("listen: an abstract socket has no permissions to set")
            }
            Target::New(ListenTarget::Path(_)) if self.ipv6_only || self.reuse_port => {
                refuse("listen: ipv6_only and reuse_port are for TCP")
            }
            Target::New(ListenTarget::Path(_)) => Ok(()),
            Target::Host(host, _) if !for_all => Ok(names::query_to_listen(host).check()?),
            _ if for_all => refuse("listen: readable_by_all and writable_by_all are for Unix sockets"),
            Target::New(ListenTarget::Addr(addr)) if self.ipv6_only && addr.is_ipv4() => {
                refuse("listen: ipv6_only is for IPv6 addresses")
            }
            Target::Adopted(_) if self.ipv6_only || self.reuse_port => {
                refuse("listen: ipv6_only and reuse_port must be set before a socket is bound")
            }
            _ => Ok(()),
        }
    }
}
