//! A server: its options, its limits, and the `listen` that is in force. Mirrors `net.Server`.

use crate::listen::Target;
use crate::listening::Listening;
use crate::source::{Bound, ListenHandle, ListenSource, PlainHandle, PlainSource};
use crate::upcall::ServerHandler;
use crate::{Address, Error, ErrorCode, LAYER, ListenOptions, Result, Socket};
use async_wrap::Environment;
use async_wrap::layer::trace::Facts;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

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

/// What `listen` says of a descriptor that it cannot use.
fn not_adopted(error: async_wrap::Error) -> async_wrap::Error {
    async_wrap::Error::new("listen", error.errno()).noting("the descriptor is no socket to listen on")
}

/// A connection that was accepted and closed because of `max_connections`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// This side's address.
    pub local: Option<Address>,
    /// The peer's address.
    pub remote: Option<Address>,
}

/// A server (`net.Server`). A cheap clone.
///
/// Its handler belongs to the loop, not to the server: a handler may keep a clone of its own server, and is dropped
/// nevertheless once the server is closed, or with the loop.
///
/// ```
/// use net::async_wrap::Environment;
/// use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
/// # struct Print;
/// # impl net::upcall::SocketHandler for Print {
/// #     fn on_data(&mut self, _: &Socket, data: &[u8]) { assert_eq!(data, b"hello"); }
/// # }
///
/// let env = Environment::with_new_loop()?;
/// let server = Server::new(&env, ServerOptions::default());
/// server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), |server, socket| {
///     // Errors mean that the client has closed the connection, or that the server is closed already.
///     let _ = socket.end_with(b"hello");
///     let _ = server.close();
/// })?;
/// # let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
/// # Socket::connect(&env, ConnectOptions::addr(address), Print)?;
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
#[derive(Clone)]
pub struct Server(pub(crate) Rc<ServerState>);

pub(crate) struct ServerState {
    pub(crate) env: Environment,
    pub(crate) options: ServerOptions,
    source: Rc<dyn ListenSource>,
    max_connections: Cell<Option<usize>>,
    /// The connections that are open, those of an earlier `listen` included.
    pub(crate) connections: Cell<usize>,
    pub(crate) unreferenced: Cell<bool>,
    /// The last `listen`, for as long as anything of it is left.
    listening: RefCell<Weak<Listening>>,
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
            source,
            max_connections: Cell::new(options.max_connections),
            options,
            connections: Cell::new(0),
            unreferenced: Cell::new(false),
            listening: RefCell::default(),
        }))
    }

    /// Starts listening; `handler` is called from the loop and dropped once the server is closed.
    ///
    /// Unlike Node, what is known at once is returned at once. What is learned later, in a cluster worker, comes to
    /// `on_error`. After [`close`](Self::close) a server may listen again at once: the connections that are still open
    /// stay with the handler that got them, which hears of its `on_close` when they are gone.
    ///
    /// # Errors
    /// `ServerAlreadyListen`, `InvalidArgument` for options that contradict each other, and the system's refusal with
    /// the address that was asked for. The handler is dropped then.
    pub fn listen(&self, options: ListenOptions, handler: impl ServerHandler + 'static) -> Result<()> {
        let _down = LAYER.down("Server::listen", Facts::default);
        if self.0.in_force().is_some() {
            return Err(Error::new(ErrorCode::ServerAlreadyListen, "listen: the server listens already"));
        }
        options.check()?;
        // Its address may be the one that is wanted.
        if let Some(draining) = self.0.draining() {
            draining.end_draining();
        }
        let listening = Listening::new(self, options.backlog, Box::new(handler));
        *self.0.listening.borrow_mut() = Rc::downgrade(&listening);
        match self.get_handle(options, &listening) {
            Ok(None) => Ok(()),
            Ok(Some(handle)) => listening.start(handle),
            Err(error) => {
                listening.give_up();
                Err(error)
            }
        }
    }

    /// Like [`listen`](Self::listen), with a closure for [`ServerHandler::on_connection`]. Errors go to `log`, where they
    /// are lost unless the program has set up a logger.
    ///
    /// # Errors
    /// As for `listen`.
    pub fn listen_with(
        &self,
        options: ListenOptions,
        on_connection: impl FnMut(&Self, Socket) + 'static,
    ) -> Result<()> {
        self.listen(options, on_connection)
    }

    /// A listening handle: of the source, or around a socket that the program has already.
    fn get_handle(
        &self,
        options: ListenOptions,
        listening: &Rc<Listening>,
    ) -> Result<Option<Box<dyn ListenHandle>>> {
        let env = &self.0.env;
        let query = match options.target {
            Target::Adopted(fd) => {
                let bound = Bound::adopt(env.loop_handle(), fd, &self.0.options).map_err(not_adopted)?;
                return Ok(Some(Box::new(PlainHandle::new(env, bound))));
            }
            Target::New(ref target) => options.query(target.clone(), &self.0.options),
        };
        let is_exclusive = options.exclusive || options.reuse_port;
        let source = if is_exclusive { &PlainSource } else { &*self.0.source };
        let listening = Rc::clone(listening);
        source.get_handle(env, query, Box::new(move |answer| listening.answered(answer)))
    }

    /// Stops listening at once; `on_close` comes when the last connection is gone. As in Node the kernel resets connections
    /// that it has not handed over yet: see [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen.
    pub fn close(&self) -> Result<()> {
        let _down = LAYER.down("Server::close", Facts::default);
        self.running("close: the server does not listen")?.close();
        Ok(())
    }

    /// Like [`close`](Self::close), and calls `on_closed` after the handler's `on_close`.
    ///
    /// # Errors
    /// As for `close`; `on_closed` is not called then.
    pub fn close_with(&self, on_closed: impl FnOnce() + 'static) -> Result<()> {
        let _down = LAYER.down("Server::close", Facts::default);
        let listening = self.running("close: the server does not listen")?;
        listening.when_closed(Box::new(on_closed));
        listening.close();
        Ok(())
    }

    /// Stops listening without losing a connection: those that the kernel has completed are taken in the next turn of the
    /// loop, as many as the backlog allows, and then it is as [`close`](Self::close). In a cluster's worker the primary
    /// has them, and hands them over first.
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen, or is shut down already.
    pub fn shutdown(&self) -> Result<()> {
        let _down = LAYER.down("Server::shutdown", Facts::default);
        self.running("shutdown: the server does not listen")?.shut_down();
        Ok(())
    }

    /// Like [`shutdown`](Self::shutdown), and calls `on_closed` after the handler's `on_close`; also of a server that is
    /// being shut down, or is closed and waits for its connections.
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen; `on_closed` is not called then.
    pub fn shutdown_with(&self, on_closed: impl FnOnce() + 'static) -> Result<()> {
        let _down = LAYER.down("Server::shutdown_with", Facts::default);
        if let Some(ending) = self.0.ending() {
            ending.when_closed(Box::new(on_closed));
            return Ok(());
        }
        let listening = self.running("shutdown: the server does not listen")?;
        listening.when_closed(Box::new(on_closed));
        listening.shut_down();
        Ok(())
    }

    fn running(&self, refusal: &'static str) -> Result<Rc<Listening>> {
        self.0.in_force().ok_or_else(|| Error::new(ErrorCode::ServerNotRunning, refusal))
    }

    /// Whether the server listens.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.0.in_force().is_some_and(|listening| listening.is_open())
    }

    /// Where the server listens; `None` before and after.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.0.in_force().and_then(|listening| listening.with_handle(|handle| handle.address())).flatten()
    }

    /// The connections that are open (`getConnections`).
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections.get()
    }

    /// Sets the limit of connections; `None` for none, and zero to drop all.
    pub fn set_max_connections(&self, limit: Option<usize>) {
        self.0.max_connections.set(limit);
        self.0.tell_room();
    }

    /// Lets the server keep its loop alive while it listens. Remembered before `listen`.
    pub fn ref_(&self) {
        self.0.unreferenced.set(false);
        self.0.in_force().and_then(|listening| listening.with_handle(|handle| handle.ref_()));
    }

    /// Lets the loop end although the server listens. Remembered before `listen`.
    pub fn unref(&self) {
        self.0.unreferenced.set(true);
        self.0.in_force().and_then(|listening| listening.with_handle(|handle| handle.unref()));
    }

    /// The environment that the server runs in.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }
}

impl ServerState {
    /// The `listen` that was asked for and is neither refused nor closed.
    fn in_force(&self) -> Option<Rc<Listening>> {
        self.listening.borrow().upgrade().filter(|listening| listening.is_in_force())
    }

    /// The `listen` that is being shut down and takes what waits.
    fn draining(&self) -> Option<Rc<Listening>> {
        self.listening.borrow().upgrade().filter(|listening| listening.is_draining())
    }

    /// The `listen` that is being shut down, or is closed and has connections.
    fn ending(&self) -> Option<Rc<Listening>> {
        self.listening.borrow().upgrade().filter(|listening| listening.is_ending())
    }

    /// How many connections more are allowed.
    pub(crate) fn room(&self) -> usize {
        self.max_connections.get().map_or(usize::MAX, |limit| limit.saturating_sub(self.connections.get()))
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.set(self.connections.get() - 1);
        if self.max_connections.get().is_some() {
            self.tell_room();
        }
    }

    fn tell_room(&self) {
        if self.room() > 0
            && let Some(listening) = self.in_force()
        {
            listening.with_handle(|handle| handle.has_room());
        }
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
