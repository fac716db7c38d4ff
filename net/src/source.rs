//! Where a listening handle comes from: a socket of one's own, or whatever else implements the trait.
//!
//! Mirrors the seam in Node's `listenInCluster`: a primary or a lone process goes through `createServerHandle`, a
//! worker through `cluster._getServer`, and both end in a handle with the same few methods.

use crate::{Acceptor, Address, Error, ListenOptions, ListenTarget, Result, ServerOptions};
use async_wrap::{AsyncId, AsyncStream, BindOptions, Environment, PipeWrap, Provider, TcpWrap};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// What a server wants to listen on (Node's `serverQuery`).
#[derive(Debug)]
pub struct ListenQuery {
    /// What to listen on.
    pub target: ListenTarget,
    /// Connections that the kernel keeps ready for `accept`.
    pub backlog: u32,
    /// Take no IPv4 connections on an IPv6 address.
    pub ipv6_only: bool,
    /// Share the port with other sockets that say so too.
    pub reuse_port: bool,
    /// Let every user read from the Unix socket.
    pub readable_by_all: bool,
    /// Let every user write to the Unix socket.
    pub writable_by_all: bool,
    /// What all connections shall have, for a source whose listener is not in this process: see
    /// [`ServerOptions::no_delay`].
    pub no_delay: bool,
    /// The same for [`ServerOptions::keep_alive`].
    pub keep_alive: Option<Duration>,
}

/// How a source answers later. Called from the loop, at most once.
///
/// It owns the server's handler. A source that drops it refuses without a word: the handler is dropped, and the server
/// may listen again. So it belongs where the end of the loop drops it, such as in the tower of whatever brings the
/// answer.
pub type ListenReply = Box<dyn FnOnce(Result<Box<dyn ListenHandle>>)>;

/// Something that can be asked for listening handles.
pub trait ListenSource {
    /// A handle for `query`: now, or later through `reply`, in which case this returns `None`.
    ///
    /// # Errors
    /// What is known at once; `reply` is then never called.
    fn get_handle(
        &self,
        env: &Environment,
        query: ListenQuery,
        reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>>;
}

/// What waits behind a listening handle whose server is about to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenQueue {
    /// No connection waits.
    Nothing,
    /// The next poll phase brings all that wait in the kernel.
    InKernel,
    /// Another process was asked for what waits there. [`Acceptor::queue_taken`] follows when all of it has come.
    Elsewhere,
}

/// A handle that can listen: a real socket, or one that stands for a socket in another process. Dropped without
/// [`close`](Self::close) it closes by itself.
pub trait ListenHandle {
    /// Starts listening. Connections go to `acceptor`, each inside a callback scope, never from within this call. It
    /// sets up each of them unless [`Acceptor::prepare_listener`] or [`Acceptor::expect_prepared`] was called.
    ///
    /// # Errors
    /// The system's refusal, such as `EADDRINUSE`.
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()>;

    /// Where it listens.
    fn address(&self) -> Option<Address>;

    /// Stops listening. The acceptor is dropped soon afterwards, from the loop.
    fn close(&self);

    /// Takes what waits, as many connections as this: the server is about to close. Default: [`ListenQueue::Nothing`].
    fn take_queue(&self, connections: u32) -> ListenQueue {
        let _ = connections;
        ListenQueue::Nothing
    }

    /// Keeps the loop alive while listening.
    fn ref_(&self);

    /// Lets the loop end although the handle listens.
    fn unref(&self);

    /// The id of its async context, by which the server is known to hooks. `None` for a handle that has no context: the
    /// server then gets an id of its own.
    fn async_id(&self) -> Option<AsyncId> {
        None
    }

    /// There may be room again for connections that were given to somebody else ([`Acceptor::room`]): one has closed,
    /// or the limit was raised.
    fn has_room(&self) {}
}

/// Sockets of this process's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainSource;

impl ListenSource for PlainSource {
    fn get_handle(
        &self,
        env: &Environment,
        query: ListenQuery,
        _reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>> {
        Ok(Some(Box::new(PlainHandle::bind(env, query)?)))
    }
}

/// A socket of this process's own (`createServerHandle`). Closed when dropped.
struct PlainHandle {
    stream: AsyncStream,
    /// What the user asked for, for errors: a socket that could not be bound has no address.
    asked: Option<Address>,
}

impl PlainHandle {
    fn bind(env: &Environment, query: ListenQuery) -> Result<Self> {
        let options = BindOptions { ipv6_only: query.ipv6_only, reuse_port: query.reuse_port };
        match query.target {
            ListenTarget::Addr(addr) => Self::bind_tcp(env, addr, options),
            // As Node: everything through one IPv6 socket, unless there is no IPv6.
            ListenTarget::Port(port) => {
                let any6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
                match Self::bind_tcp(env, any6, options) {
                    Err(error) if !options.ipv6_only && has_no_ipv6(&error) => {
                        Self::bind_tcp(env, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), options)
                    }
                    result => result,
                }
            }
            ListenTarget::Path(path) => {
                let (mut handle, pipe) = Self::pipe(env);
                pipe.bind(&path)?;
                if query.readable_by_all || query.writable_by_all {
                    pipe.chmod(query.readable_by_all, query.writable_by_all)?;
                }
                handle.asked = handle.address();
                Ok(handle)
            }
            ListenTarget::Fd(fd) => Self::adopt(env, fd),
        }
    }

    fn bind_tcp(env: &Environment, addr: SocketAddr, options: BindOptions) -> Result<Self> {
        let (mut handle, tcp) = Self::tcp(env);
        handle.asked = Some(Address::Tcp(addr));
        tcp.bind(addr, options)?;
        Ok(handle)
    }

    /// A descriptor from elsewhere: Unix if its address says so, else TCP (`guessHandleType`).
    fn adopt(env: &Environment, fd: OwnedFd) -> Result<Self> {
        let socket = UnixListener::from(fd);
        let is_unix = socket.local_addr().is_ok();
        let fd = OwnedFd::from(socket);
        let mut handle = if is_unix {
            let (handle, pipe) = Self::pipe(env);
            pipe.open(fd)?;
            handle
        } else {
            let (handle, tcp) = Self::tcp(env);
            tcp.open(fd)?;
            handle
        };
        handle.asked = handle.address();
        Ok(handle)
    }

    fn tcp(env: &Environment) -> (Self, TcpWrap) {
        let tcp = TcpWrap::new(env.loop_handle());
        let stream = AsyncStream::new(env, (*tcp).clone(), Provider::TcpServerWrap);
        (Self { stream, asked: None }, tcp)
    }

    fn pipe(env: &Environment) -> (Self, PipeWrap) {
        let pipe = PipeWrap::new(env.loop_handle());
        let stream = AsyncStream::new(env, (*pipe).clone(), Provider::PipeServerWrap);
        (Self { stream, asked: None }, pipe)
    }
}

fn has_no_ipv6(error: &Error) -> bool {
    // The kernel knows no IPv6 (EAFNOSUPPORT), no interface has it (EADDRNOTAVAIL), or it is turned off for sockets that
    // are to take IPv4 as well (EINVAL).
    error.errno().is_some_and(|errno| matches!(errno.name(), "EAFNOSUPPORT" | "EADDRNOTAVAIL" | "EINVAL"))
}

impl Drop for PlainHandle {
    fn drop(&mut self) {
        self.stream.close();
    }
}

impl ListenHandle for PlainHandle {
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()> {
        if let Some(tcp) = self.stream.as_tcp() {
            acceptor.prepare_listener(&tcp)?;
        }
        self.stream.set_accept_batch(acceptor.accept_batch());
        self.stream.listen(backlog, acceptor).map_err(|error| match &self.asked {
            Some(address) => error.on(address).into(),
            None => error.into(),
        })
    }

    fn address(&self) -> Option<Address> {
        Address::local(&self.stream)
    }

    fn take_queue(&self, connections: u32) -> ListenQueue {
        self.stream.set_accept_batch(connections);
        ListenQueue::InKernel
    }

    fn close(&self) {
        self.stream.close();
    }

    fn async_id(&self) -> Option<AsyncId> {
        Some(self.stream.async_id())
    }

    fn ref_(&self) {
        self.stream.ref_();
    }

    fn unref(&self) {
        self.stream.unref();
    }
}

impl ListenOptions {
    pub(crate) fn into_query(self, options: &ServerOptions) -> ListenQuery {
        ListenQuery {
            target: self.target,
            backlog: self.backlog,
            ipv6_only: self.ipv6_only,
            reuse_port: self.reuse_port,
            readable_by_all: self.readable_by_all,
            writable_by_all: self.writable_by_all,
            no_delay: options.no_delay,
            keep_alive: options.keep_alive,
        }
    }
}
