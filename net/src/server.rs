//! A listening server: its connections, its limits, its close. Mirrors `net.Server`.

use crate::upcall::ServerHandler;
use crate::{
    Address, Error, ErrorCode, ListenHandle, ListenOptions, ListenSource, PlainSource, Result, Socket,
};
use async_wrap::upcall::OnConnection;
use async_wrap::{AsyncStream, Environment};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::{KeepAlive, TcpWrap};
use uv_core::Slot;

/// The high-water mark of a socket in bytes, unless told otherwise: Node's number.
pub(crate) const HIGH_WATER_MARK: usize = 64 * 1024;

/// Connections accepted in one turn of the loop, unless told otherwise. libuv takes one, which is fair to other
/// processes that share the socket; more saves a poll for each.
const ACCEPT_BATCH: u32 = 16;

/// The options of a server; they hold for all of its connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Keep this side open when the peer has finished sending; otherwise it ends too. Off at first.
    pub allow_half_open: bool,
    /// Connections start paused: nothing is read before `resume`. Off at first.
    pub pause_on_connect: bool,
    /// Send small segments at once. Off at first.
    pub no_delay: bool,
    /// Let the kernel probe connections after this much silence, in whole seconds. `None` at first.
    pub keep_alive: Option<Duration>,
    /// Bytes waiting to be written from which on `write` says `false`. 64 KiB at first.
    pub high_water_mark: usize,
    /// Connections beyond this number are accepted, closed and reported by `on_drop`. `None`, for no limit, at first.
    pub max_connections: Option<usize>,
    /// In a cluster worker: drop connections above the limit instead of giving them back to the primary. Off at first.
    pub drop_max_connection: bool,
    /// Connections accepted in one turn of the loop; 16 at first, at least 1.
    pub accept_batch: u32,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            allow_half_open: false,
            pause_on_connect: false,
            no_delay: false,
            keep_alive: None,
            high_water_mark: HIGH_WATER_MARK,
            max_connections: None,
            drop_max_connection: false,
            accept_batch: ACCEPT_BATCH,
        }
    }
}

/// A server (`net.Server`). A cheap clone.
#[derive(Clone)]
pub struct Server(pub(crate) Rc<ServerState>);

pub(crate) struct ServerState {
    env: Environment,
    options: ServerOptions,
    source: Rc<dyn ListenSource>,
    handler: Slot<Box<dyn ServerHandler>>,
    handle: RefCell<Option<Box<dyn ListenHandle>>>,
    max_connections: Cell<Option<usize>>,
    connections: Cell<usize>,
    /// Which `listen` is in force; an answer to an earlier one is stale (Node's `_listeningId`).
    listening_id: Cell<u64>,
    phase: Cell<Phase>,
    unreferenced: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The source was asked and has not answered.
    Asking,
    Listening,
    /// Closed, with connections or the report still open.
    Closing,
}

/// A connection that was accepted and closed because of `max_connections`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// This side's address.
    pub local: Option<Address>,
    /// The peer's address.
    pub remote: Option<Address>,
}

impl Server {
    /// A server that binds its own sockets.
    #[must_use]
    pub fn new(env: &Environment, options: ServerOptions) -> Self {
        Self::with_source(env, options, Rc::new(PlainSource))
    }

    /// A server that gets its listening handles from `source`, unless it listens exclusively.
    #[must_use]
    pub fn with_source(env: &Environment, options: ServerOptions, source: Rc<dyn ListenSource>) -> Self {
        Self(Rc::new(ServerState {
            env: env.clone(),
            max_connections: Cell::new(options.max_connections),
            options,
            source,
            handler: Slot::empty(),
            handle: RefCell::new(None),
            connections: Cell::new(0),
            listening_id: Cell::new(0),
            phase: Cell::new(Phase::Idle),
            unreferenced: Cell::new(false),
        }))
    }

    /// Starts listening; `handler` is called from the loop and dropped once the server is closed.
    ///
    /// Unlike Node, what is known at once is returned at once. What is learned later, in a cluster worker, comes to
    /// `on_error`.
    ///
    /// # Errors
    /// `ServerAlreadyListen`, `InvalidArgument` for options that contradict each other, and the system's refusal with
    /// the address that was asked for.
    pub fn listen(&self, options: ListenOptions, handler: impl ServerHandler + 'static) -> Result<()> {
        if self.0.phase.get() != Phase::Idle {
            return Err(Error::new(ErrorCode::ServerAlreadyListen, "the server listens already"));
        }
        options.check()?;
        let exclusive = options.exclusive || options.reuse_port;
        let query = options.into_query();
        let backlog = query.backlog;
        let id = self.0.listening_id.get() + 1;
        self.0.listening_id.set(id);
        self.0.handler.set(Box::new(handler));
        self.0.phase.set(Phase::Asking);
        let late = Rc::clone(&self.0);
        let reply = Box::new(move |answer| late.answered(id, backlog, answer));
        let env = &self.0.env;
        let answer = if exclusive {
            PlainSource.get_handle(env, query, reply)
        } else {
            self.0.source.get_handle(env, query, reply)
        };
        let started = match answer {
            Ok(None) => return Ok(()),
            Ok(Some(handle)) => self.0.start(backlog, handle),
            Err(error) => Err(error),
        };
        if started.is_err() {
            self.0.phase.set(Phase::Idle);
            drop(self.0.handler.take());
        }
        started
    }

    /// Stops listening at once; `on_close` comes when the last connection is gone.
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen.
    pub fn close(&self) -> Result<()> {
        if !matches!(self.0.phase.get(), Phase::Asking | Phase::Listening) {
            return Err(Error::new(ErrorCode::ServerNotRunning, "the server is not running"));
        }
        self.0.listening_id.set(self.0.listening_id.get() + 1);
        self.0.phase.set(Phase::Closing);
        if let Some(handle) = self.0.handle.take() {
            handle.close();
        }
        self.0.close_if_drained();
        Ok(())
    }

    /// Whether the server listens.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.0.phase.get() == Phase::Listening
    }

    /// Where the server listens; `None` before and after.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.0.handle.borrow().as_ref().and_then(|handle| handle.address())
    }

    /// The connections that are open (`getConnections`).
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections.get()
    }

    /// Sets the limit of connections; `None` for none, and zero to drop all.
    pub fn set_max_connections(&self, limit: Option<usize>) {
        self.0.max_connections.set(limit);
    }

    /// Lets the server keep its loop alive while it listens. Remembered before `listen`.
    pub fn ref_(&self) {
        self.0.unreferenced.set(false);
        if let Some(handle) = &*self.0.handle.borrow() {
            handle.ref_();
        }
    }

    /// Lets the loop end although the server listens. Remembered before `listen`.
    pub fn unref(&self) {
        self.0.unreferenced.set(true);
        if let Some(handle) = &*self.0.handle.borrow() {
            handle.unref();
        }
    }

    /// The environment that the server runs in.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }
}

impl ServerState {
    /// The source answered later.
    fn answered(self: &Rc<Self>, id: u64, backlog: u32, answer: Result<Box<dyn ListenHandle>>) {
        let started = match answer {
            Ok(handle) if self.listening_id.get() != id => return handle.close(),
            Err(_) if self.listening_id.get() != id => return,
            Ok(handle) => self.start(backlog, handle),
            Err(error) => Err(error),
        };
        if let Err(error) = started {
            self.phase.set(Phase::Idle);
            let state = Rc::clone(self);
            self.env.next_tick(move || state.report_failure(id, error));
        }
    }

    fn report_failure(&self, id: u64, error: Error) {
        if self.listening_id.get() == id
            && let Some(mut handler) = self.handler.take()
        {
            // Out of its slot for good: the server may listen again from within this call, with another handler.
            handler.on_error(error);
        }
    }

    /// `setupListenHandle`.
    fn start(self: &Rc<Self>, backlog: u32, handle: Box<dyn ListenHandle>) -> Result<()> {
        handle.listen(backlog, Acceptor(Rc::clone(self)))?;
        if self.unreferenced.get() {
            handle.unref();
        }
        *self.handle.borrow_mut() = Some(handle);
        self.phase.set(Phase::Listening);
        let (state, id) = (Rc::clone(self), self.listening_id.get());
        self.env.next_tick(move || {
            // A server closed meanwhile has nothing to say.
            if state.listening_id.get() == id {
                state.handler.call(|handler| handler.on_listening());
            }
        });
        Ok(())
    }

    pub(crate) fn connection_closed(self: &Rc<Self>) {
        self.connections.set(self.connections.get() - 1);
        self.close_if_drained();
    }

    fn close_if_drained(self: &Rc<Self>) {
        if self.phase.get() == Phase::Closing && self.connections.get() == 0 {
            let (state, id) = (Rc::clone(self), self.listening_id.get());
            self.env.next_tick(move || state.report_close(id));
        }
    }

    fn report_close(&self, id: u64) {
        if self.listening_id.get() == id && self.phase.get() == Phase::Closing {
            self.phase.set(Phase::Idle);
            if let Some(mut handler) = self.handler.take() {
                handler.on_close();
            }
        }
    }

    fn is_full(&self) -> bool {
        self.max_connections.get().is_some_and(|limit| self.connections.get() >= limit)
    }
}

/// The end of a server that a listening handle is given: it takes connections.
pub struct Acceptor(Rc<ServerState>);

impl Acceptor {
    /// Whether the server would rather not take another connection: whoever distributes connections should give it to
    /// somebody else. Servers with `drop_max_connection` always take it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.is_full() && !self.0.options.drop_max_connection
    }

    /// Connections to announce in one turn.
    #[must_use]
    pub fn accept_batch(&self) -> u32 {
        self.0.options.accept_batch
    }

    /// Sets what all connections shall have on the listener, from which they inherit it on Linux: no system call for
    /// each of them.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn prepare_listener(&self, tcp: &TcpWrap) -> Result<()> {
        if self.0.options.no_delay {
            tcp.set_nodelay(true)?;
        }
        if let Some(idle) = self.0.options.keep_alive {
            tcp.set_keepalive(Some(KeepAlive::after(idle.max(Duration::from_secs(1)))))?;
        }
        Ok(())
    }
}

impl OnConnection for Acceptor {
    /// `onconnection`.
    fn on_connection(&mut self, connection: Result<AsyncStream, tcp_wrap::Error>) {
        let server = &self.0;
        let stream = match connection {
            Ok(stream) => stream,
            Err(error) => return server.handler.call(|handler| handler.on_error(error.clone().into())),
        };
        if server.is_full() {
            let dropped = Dropped { local: Address::local(&stream), remote: Address::peer(&stream) };
            stream.close();
            return server.handler.call(|handler| handler.on_drop(dropped.clone()));
        }
        server.connections.set(server.connections.get() + 1);
        let socket = Socket::accepted(stream, &server.options, Rc::clone(server));
        let guard = Unclaimed(&socket);
        server.handler.call(|handler| handler.on_connection(socket.clone()));
        drop(guard);
    }
}

/// A connection that nobody took by the end of `on_connection`, be it by a panic, is destroyed.
struct Unclaimed<'a>(&'a Socket);

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        self.0.destroy_if_unclaimed();
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        // Dropped while the server listens: the loop is gone, and with it everybody who could call the handler.
        if self.0.phase.get() == Phase::Listening && self.0.handle.borrow().is_some() {
            drop(self.0.handler.take());
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("full", &self.is_full()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
