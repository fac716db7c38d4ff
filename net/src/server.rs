//! A server: its limits and its current `listen`. Mirrors `net.Server`.

use crate::admission::{DropReason, Drops, Places};
use crate::listen::Target;
use crate::listening::Listening;
use crate::names::look_up_to_listen;
use crate::source::{Bound, ListenHandle, ListenSource, ListenTarget, PlainHandle, PlainSource};
use crate::upcall::ServerHandler;
use crate::{Address, Error, ErrorCode, LAYER, ListenOptions, Result, ServerOptions, Socket};
use async_wrap::Environment;
use async_wrap::layer::Place;
use async_wrap::layer::trace::Facts;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

/// What `listen` says of a descriptor that it cannot use.
fn not_adopted(error: crate::uv_core::Error) -> crate::uv_core::Error {
    crate::uv_core::Error::new("listen", error.errno()).noting("the descriptor is no socket to listen on")
}

/// A connection that was accepted and closed instead of being passed to the program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// This side's address.
    pub local: Option<Address>,
    /// The peer's address.
    pub remote: Option<Address>,
    /// Why it was closed.
    pub reason: DropReason,
}

/// A server (`net.Server`). Clones share it.
///
/// Its handler belongs to the loop, not to the server: a handler may keep a clone of its own server, and is still
/// dropped when the server has closed, or with the loop.
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
pub struct Server(pub(crate) Rc<ServerInner>);

pub(crate) struct ServerInner {
    pub(crate) env: Environment,
    pub(crate) options: ServerOptions,
    source: Rc<dyn ListenSource>,
    max_connections: Cell<Option<usize>>,
    /// The number of open connections, including those of an earlier `listen`.
    pub(crate) connections: Cell<usize>,
    /// Where they are from, if that is limited.
    pub(crate) places: RefCell<Places>,
    pub(crate) drops: Cell<Drops>,
    pub(crate) unreferenced: Cell<bool>,
    pub(crate) is_paused: Cell<bool>,
    /// The latest `listen`, as long as a part of it is alive.
    listening: RefCell<Weak<Listening>>,
}

impl Server {
    /// Creates a server that binds its own sockets. [`listen`](Self::listen) reports invalid options.
    #[must_use]
    pub fn new(env: &Environment, options: ServerOptions) -> Self {
        Self::with_source(env, options, Rc::new(PlainSource))
    }

    /// Creates a server that gets its listening handles from `source`, unless it listens exclusively.
    #[must_use]
    pub fn with_source(env: &Environment, options: ServerOptions, source: Rc<dyn ListenSource>) -> Self {
        Self(Rc::new(ServerInner {
            env: env.clone(),
            source,
            max_connections: Cell::new(options.max_connections),
            options,
            connections: Cell::new(0),
            places: RefCell::default(),
            drops: Cell::default(),
            unreferenced: Cell::new(false),
            is_paused: Cell::new(false),
            listening: RefCell::default(),
        }))
    }

    /// Starts listening. The loop calls `handler`, which is dropped when the server has closed.
    ///
    /// Unlike in Node, errors that are known immediately are returned. Later errors, in a cluster worker, are reported
    /// to `on_error`. After [`close`](Self::close) a server may listen again immediately: connections that are still
    /// open belong to the handler that got them, and its `on_close` is called when they have closed.
    ///
    /// # Errors
    /// `ServerAlreadyListen`; `InvalidArgument` for options that contradict each other, or as
    /// [`ServerOptions::check`]; any error of the system calls with the requested address. The handler is dropped then.
    #[track_caller]
    pub fn listen(&self, mut options: ListenOptions, handler: impl ServerHandler + 'static) -> Result<()> {
        let _down = LAYER.down("Server::listen", Facts::default);
        let _place = Place::caller().mark();
        if self.0.in_force().is_some() {
            return Err(Error::new(ErrorCode::ServerAlreadyListen, "listen: the server listens already"));
        }
        self.0.options.check()?;
        options.check()?;
        // The new `listen` may want the draining server's address.
        if let Some(draining) = self.0.draining() {
            draining.end_draining();
        }
        let listening = Listening::new(self, options.backlog, Box::new(handler));
        if let Some(admit) = options.admit.take() {
            listening.ask_before(admit);
        }
        *self.0.listening.borrow_mut() = Rc::downgrade(&listening);
        if let Some(abort) = &options.abort {
            listening.end_with_abort(abort);
            if abort.is_aborted() {
                return Ok(());
            }
        }
        match self.get_handle(options, &listening) {
            Ok(None) => Ok(()),
            Ok(Some(handle)) => listening.start(handle),
            Err(error) => {
                listening.give_up();
                Err(error)
            }
        }
    }

    /// Like [`listen`](Self::listen), with a closure for [`ServerHandler::on_connection`]. Errors are logged with
    /// `log`; without a logger they are lost.
    ///
    /// # Errors
    /// As for `listen`.
    #[track_caller]
    pub fn listen_with(
        &self,
        options: ListenOptions,
        on_connection: impl FnMut(&Self, Socket) + 'static,
    ) -> Result<()> {
        self.listen(options, on_connection)
    }

    /// A listening handle, from the source or for an existing socket.
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
            Target::Host(..) => {
                self.look_up_host(options, listening);
                return Ok(None);
            }
        };
        let is_exclusive = options.exclusive || options.reuse_port;
        let source = if is_exclusive { &PlainSource } else { &*self.0.source };
        let listening = Rc::clone(listening);
        source.get_handle(env, query, Box::new(move |answer| listening.answered(answer)))
    }

    /// Looks up the host to listen on, and then gets a listening handle for its address.
    fn look_up_host(&self, mut options: ListenOptions, listening: &Rc<Listening>) {
        let Target::Host(host, port) = &options.target else { return };
        let ((host, port), resolver) = ((host.clone(), *port), options.resolver.clone());
        let (server, answered, place) = (self.clone(), Rc::clone(listening), Place::marked());
        let asked = look_up_to_listen(&self.0.env, &resolver, (&host, port), move |found| {
            let mark = place.mark();
            let handle = found.map_err(Error::from).and_then(|addr| {
                options.target = Target::New(ListenTarget::Addr(addr));
                options.check()?;
                server.get_handle(options, &answered)
            });
            drop(mark);
            if let Some(answer) = handle.transpose() {
                answered.answered(answer);
            }
        });
        listening.keep_look_up(asked);
    }

    /// Stops listening immediately. `on_close` is called when the last connection has closed. As in Node the kernel
    /// resets connections that have not been accepted: see [`shutdown`](Self::shutdown), which this cuts short.
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen.
    pub fn close(&self) -> Result<()> {
        let _down = LAYER.down("Server::close", Facts::default);
        self.closable()?.close();
        Ok(())
    }

    /// Like [`close`](Self::close), and calls `on_closed` after the handler's `on_close`.
    ///
    /// # Errors
    /// As for `close`; `on_closed` is not called then.
    pub fn close_with(&self, on_closed: impl FnOnce() + 'static) -> Result<()> {
        let _down = LAYER.down("Server::close", Facts::default);
        let listening = self.closable()?;
        listening.when_closed(Box::new(on_closed));
        listening.close();
        Ok(())
    }

    /// Stops listening without losing a connection: for 5 ms, which handshakes in progress need, the server goes on as
    /// before; then it accepts every connection that the kernel has completed, and closes as by [`close`](Self::close). In a
    /// cluster worker the primary may have these connections, and passes them on first.
    ///
    /// Meanwhile the kernel does not answer new clients (a client of TCP repeats its SYN after a second, and is then
    /// refused, or served by the next process that listens on the port), since it would reset those that connect just
    /// before the close. It also resets a client whose handshake has begun and takes longer than 5 ms.
    ///
    /// A server that cannot accept because the system lacks memory retries, for up to 5 s; after that the kernel resets the
    /// connections that still wait. Without a descriptor left it closes connections unserved, as it does at any time.
    ///
    /// A socket that other processes may have too, adopted by [`ListenOptions::fd`] or shared by workers, goes on for
    /// them. So the kernel answers its clients to the end; the close of the last copy can reset some of them.
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen or is shut down already.
    #[track_caller]
    pub fn shutdown(&self) -> Result<()> {
        let _down = LAYER.down("Server::shutdown", Facts::default);
        let _place = Place::caller().mark();
        self.running("shutdown: the server does not listen")?.shut_down();
        Ok(())
    }

    /// Like [`shutdown`](Self::shutdown), and calls `on_closed` after the handler's `on_close`. Also allowed while the
    /// server is shutting down, or is closed and waits for its connections.
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen; `on_closed` is not called then.
    #[track_caller]
    pub fn shutdown_with(&self, on_closed: impl FnOnce() + 'static) -> Result<()> {
        let _down = LAYER.down("Server::shutdown_with", Facts::default);
        let _place = Place::caller().mark();
        if let Some(ending) = self.0.ending() {
            ending.when_closed(Box::new(on_closed));
            return Ok(());
        }
        let listening = self.running("shutdown: the server does not listen")?;
        listening.when_closed(Box::new(on_closed));
        listening.shut_down();
        Ok(())
    }

    fn closable(&self) -> Result<Rc<Listening>> {
        self.0.draining().map_or_else(|| self.running("close: the server does not listen"), Ok)
    }

    fn running(&self, refusal: &'static str) -> Result<Rc<Listening>> {
        self.0.in_force().ok_or_else(|| Error::new(ErrorCode::ServerNotRunning, refusal))
    }

    /// Whether the server listens.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.0.in_force().is_some_and(|listening| listening.is_open())
    }

    /// The address on which the server listens; `None` if it does not listen.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.0.in_force().and_then(|listening| listening.with_handle(|handle| handle.address())).flatten()
    }

    /// The number of open connections (`getConnections`).
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections.get()
    }

    /// Accepts no connection until [`resume`](Self::resume), for a server that has too much to do: connections wait in the
    /// kernel, up to the backlog, and beyond it the kernel lets clients repeat their SYN. Other processes that share the
    /// socket, or the cluster's other workers, take them. May be called before `listen`. A [`shutdown`](Self::shutdown)
    /// accepts those that wait. Node has no such call.
    pub fn pause(&self) {
        self.set_accepting(false);
    }

    /// Accepts again after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.set_accepting(true);
    }

    /// Whether the server is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.is_paused.get()
    }

    fn set_accepting(&self, on: bool) {
        if self.0.is_paused.replace(!on) == on {
            self.0.in_force().and_then(|listening| listening.with_handle(|handle| handle.set_accepting(on)));
            self.0.tell_room();
        }
    }

    /// How many connections were closed instead of being passed to the program, since the server was created.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.0.drops.get()
    }

    /// Sets the limit of connections: `None` for no limit, zero to drop all.
    pub fn set_max_connections(&self, limit: Option<usize>) {
        self.0.max_connections.set(limit);
        self.0.tell_room();
    }

    /// Makes the server keep its loop alive while it listens. May be called before `listen`. This is the default.
    pub fn ref_(&self) {
        self.0.unreferenced.set(false);
        self.0.in_force().and_then(|listening| listening.with_handle(|handle| handle.ref_()));
    }

    /// Lets the loop end while the server listens. May be called before `listen`.
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

impl ServerInner {
    /// The `listen` that has not failed or been closed.
    fn in_force(&self) -> Option<Rc<Listening>> {
        self.listening.borrow().upgrade().filter(|listening| listening.is_in_force())
    }

    /// The `listen` that is draining.
    fn draining(&self) -> Option<Rc<Listening>> {
        self.listening.borrow().upgrade().filter(|listening| listening.is_draining())
    }

    /// The `listen` that is draining, or is closed with open connections.
    fn ending(&self) -> Option<Rc<Listening>> {
        self.listening.borrow().upgrade().filter(|listening| listening.is_ending())
    }

    /// The number of further connections within the limit.
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
            && !self.is_paused.get()
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
