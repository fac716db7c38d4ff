//! The server: what its connections share, and how it starts and stops. Mirrors `http.Server`.

mod ends;
mod heads;
mod options;
mod overload;
mod timeouts;
mod tower;

pub use options::ServerOptions;

#[cfg(feature = "codings")]
use crate::codings::Coders;
use crate::connection::{Connection, Pool};
use crate::proto::{FieldTable, HeadCache};
use crate::serve::{Failure, OwnedRequest, Serving, SpareHeads};
use crate::upcall::RequestHandler;
use crate::{Request, Response, Result};
use async_wrap::layer::{HandlerCell, Place};
use async_wrap::{Environment, Timeout};
use ends::Ends;
use heads::Heads;
use net::source::{ListenSource, PlainSource};
use net::{Address, ListenOptions};
use overload::Overload;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use timeouts::{Activity, DRAIN_IDLE, close_if_idle};
use tower::ServerTower;

/// An HTTP/1.1 server. A cheap clone.
///
/// ```
/// use http::async_wrap::Environment;
/// use http::net::ListenOptions;
/// use http::{Server, ServerOptions};
///
/// let env = Environment::with_new_loop()?;
/// let server = Server::new(&env, ServerOptions::default())?;
/// # let ending = server.clone();
/// server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), move |request, response| {
///     // An error means that the client has closed the connection.
///     let _ = response.end(request.path().as_bytes());
/// #     let _ = ending.close();
/// })?;
/// # let mut client = std::net::TcpStream::connect(server.address().and_then(|a| a.as_tcp()).expect("it listens"))?;
/// # std::io::Write::write_all(&mut client, b"GET /here HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
/// env.run_to_end()?;
/// # let response = std::io::read_to_string(&mut client)?;
/// # assert!(response.ends_with("\r\n\r\n/here"), "{response}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Server {
    net: net::Server,
    core: Rc<Core>,
}

/// The handler of one `listen`: shared by its connections, which stay with it when the server listens again.
pub(crate) type SharedHandler = Rc<HandlerCell<Box<dyn RequestHandler>>>;

/// What the connections of a server share.
pub(crate) struct Core {
    pub(crate) env: Environment,
    pub(crate) options: ServerOptions,
    pub(crate) pool: Pool,
    /// For requests that async functions handle.
    pub(crate) spare_heads: SpareHeads,
    /// The decoders' table between turns of input, unless a panic took it down. In a box, since it moves at every turn.
    pub(crate) table: Cell<Option<Box<FieldTable>>>,
    /// Output of the turn that is going on, and behind it what is sent at once.
    pub(crate) output: RefCell<Vec<u8>>,
    pub(crate) heads: Heads,
    /// Those that left HTTP stay until they are closed.
    connections: RefCell<Slab<Rc<Connection>>>,
    checking: RefCell<Option<Timeout>>,
    /// When something happened on each connection, if a timeout limits that.
    activity: RefCell<Activity>,
    pub(crate) overload: Overload,
    #[cfg(feature = "codings")]
    pub(crate) coders: Coders,
    /// A `shutdown` is going on.
    pub(crate) draining: Cell<bool>,
    /// Requests of a connection, from its first one on, that the fast path may serve.
    pub(crate) fast_requests: Cell<u32>,
    /// The timers of a `shutdown`. The last one keeps the loop alive, which a connection that stands still does not.
    grace: RefCell<Vec<Timeout>>,
    /// `listen`s of which something is left: each lasts as long as its connections.
    towers: Cell<usize>,
    ends: Ends,
}

impl Server {
    /// A server that binds its own sockets.
    ///
    /// # Errors
    /// `InvalidOptions` if `headers_timeout` is set longer than `request_timeout`, or if `checking_interval`,
    /// `limits.max_header_size` or `limits.max_headers` is zero; `Net` as [`net::ServerOptions::check`].
    pub fn new(env: &Environment, options: ServerOptions) -> Result<Self> {
        Self::with_source(env, options, Rc::new(PlainSource))
    }

    /// A server that gets its listening handles from `source`: in a cluster worker, from its primary.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_source(
        env: &Environment,
        options: ServerOptions,
        source: Rc<dyn ListenSource>,
    ) -> Result<Self> {
        options.check()?;
        let max = (options.max_requests_per_socket > 0).then_some(options.max_requests_per_socket.into());
        let idle_secs = options.keep_alive_timeout.as_secs();
        let heads = HeadCache::new((idle_secs > 0).then_some((idle_secs, max)));
        let net_options = options.net.clone().allow_half_open(true);
        let overload = Overload::new(env, options.max_requests_in_flight, options.max_loop_lag);
        let core = Core {
            env: env.clone(),
            options,
            pool: Pool::default(),
            spare_heads: SpareHeads::default(),
            table: Cell::default(),
            output: RefCell::default(),
            heads: Heads::new(heads),
            connections: RefCell::default(),
            checking: RefCell::default(),
            activity: RefCell::default(),
            overload,
            #[cfg(feature = "codings")]
            coders: Coders::default(),
            draining: Cell::default(),
            fast_requests: Cell::default(),
            grace: RefCell::default(),
            towers: Cell::default(),
            ends: Ends::default(),
        };
        core.set_draining(false);
        Ok(Self { net: net::Server::with_source(env, net_options, source), core: Rc::new(core) })
    }

    /// Starts listening; `handler` is called from the loop and dropped once the server is closed.
    ///
    /// After [`close`](Self::close) a server may listen again at once: the connections that are still open stay with the
    /// handler that got them, whose `on_close` is called when the last of them is closed. Listening again ends a
    /// [`shutdown`](Self::shutdown) that is going on.
    ///
    /// # Errors
    /// As [`net::Server::listen`].
    #[track_caller]
    pub fn listen(&self, options: ListenOptions, handler: impl RequestHandler + 'static) -> Result<()> {
        let core = &self.core;
        // A refusal drops the tower with its handler, and changes nothing.
        self.net.listen(options, ServerTower::new(core, Box::new(handler)))?;
        core.set_draining(false);
        stop(&core.grace);
        core.ends.listens();
        Ok(())
    }

    /// Like [`listen`](Self::listen), with a closure for
    /// [`RequestHandler::on_request`]. Errors go to `log`, where they are lost unless the program has set up a logger.
    ///
    /// # Errors
    /// As for `listen`.
    #[track_caller]
    pub fn listen_with(
        &self,
        options: ListenOptions,
        on_request: impl FnMut(&Request<'_>, Response) + 'static,
    ) -> Result<()> {
        self.listen(options, on_request)
    }

    /// Like [`listen`](Self::listen), with an async function that handles each request: see [`serve`](crate::serve).
    ///
    /// It begins at once, in the call of [`RequestHandler::on_request`], and is dropped at its `.await` when the client goes away
    /// before the response has ended, unless [`Response::detach`] was called. If it fails or panics before the head is sent, the
    /// client gets 500, or 413 for a body that is too long; afterwards the connection is broken off.
    ///
    /// ```
    /// use http::net::ListenOptions;
    /// use http::serve::{Failure, OwnedRequest};
    /// use http::{Response, Server, ServerOptions};
    /// use http::async_wrap::Environment;
    /// use std::time::Duration;
    ///
    /// async fn hello(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    ///     let env = response.environment().clone();
    ///     env.sleep(Duration::from_millis(10)).await;
    ///     Ok(response.end(format!("you have waited for {}", request.path()).as_bytes())?)
    /// }
    ///
    /// let env = Environment::with_new_loop()?;
    /// let server = Server::new(&env, ServerOptions::default())?;
    /// server.serve(ListenOptions::port(0), hello)?;
    /// # server.close()?;
    /// env.run_to_end()?;
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// What requests share is cloned for each: the future may not borrow from the closure, as that of an `async move` closure with
    /// captures does.
    ///
    /// ```
    /// # use http::net::ListenOptions;
    /// # use http::{Server, ServerOptions};
    /// # use http::async_wrap::Environment;
    /// # use std::cell::Cell;
    /// # use std::rc::Rc;
    /// # let env = Environment::with_new_loop()?;
    /// # let server = Server::new(&env, ServerOptions::default())?;
    /// let visits = Rc::new(Cell::new(0));
    /// server.serve(ListenOptions::port(0), move |_, response| {
    ///     let visits = Rc::clone(&visits);
    ///     async move {
    ///         visits.set(visits.get() + 1);
    ///         Ok(response.end(visits.get().to_string().as_bytes())?)
    ///     }
    /// })?;
    /// # server.close()?;
    /// # env.run_to_end()?;
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for `listen`.
    pub fn serve<R>(
        &self,
        options: ListenOptions,
        handler: impl FnMut(OwnedRequest, Response) -> R + 'static,
    ) -> Result<()>
    where
        R: Future<Output = Result<(), Failure>> + 'static,
    {
        self.listen(options, Serving::new(handler))
    }

    /// Stops listening and closes idle connections; `on_close` is called when the last connection is closed.
    ///
    /// As in Node, connections that are being served may go on to be used: see [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen.
    pub fn close(&self) -> Result<()> {
        self.net.close()?;
        self.close_idle_connections();
        self.core.ends.stops();
        Ok(())
    }

    /// Ends in an orderly way: takes the connections that wait in the kernel, within `grace`, and stops listening, serves the requests
    /// that came with `Connection: close`, closes connections that stay idle for half a second, and after `grace` all others, those
    /// that left HTTP included. `on_close` is called when the last one is closed; until then the loop stays alive.
    ///
    /// # Errors
    /// `ServerNotRunning` if the server does not listen.
    #[track_caller]
    pub fn shutdown(&self, grace: Duration) -> Result<()> {
        let _place = Place::caller().mark();
        self.net.shutdown()?;
        self.core.set_draining(true);
        let core = Rc::downgrade(&self.core);
        let idle = self.core.later(DRAIN_IDLE.min(grace), close_if_idle);
        idle.unref();
        let net = self.net.clone();
        let last = self.core.env.set_deadline(grace, move |_| {
            // A connection that is accepted later would outlast the grace.
            let _ = net.close();
            core.upgrade().iter().for_each(|core| core.each(Connection::break_off));
        });
        self.core.grace.replace(vec![idle, last]);
        self.core.ends.stops();
        Ok(())
    }

    /// Closes connections on which nothing is going on.
    pub fn close_idle_connections(&self) {
        self.core.each(close_if_idle);
    }

    /// Closes all connections at once, but those that left HTTP.
    pub fn close_all_connections(&self) {
        self.core.each(|connection| {
            if !connection.state.is_raw() {
                connection.break_off();
            }
        });
    }

    /// The connections that are open, those that left HTTP included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.net.connections()
    }

    /// Where the server listens; `None` before and after.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.net.address()
    }

    /// The server beneath: for its limits and references.
    #[must_use]
    pub fn net(&self) -> &net::Server {
        &self.net
    }
}

impl Core {
    /// The loop's clock.
    pub(crate) fn now(&self) -> Duration {
        self.env.loop_handle().now()
    }

    /// Whether the server listens, or has connections.
    fn is_in_use(&self) -> bool {
        self.towers.get() > 0
    }

    fn set_draining(&self, is_draining: bool) {
        self.draining.set(is_draining);
        self.renew_fast_requests();
    }

    fn renew_fast_requests(&self) {
        let ServerOptions { max_requests_per_socket: limit, slow_path_only, .. } = self.options;
        let is_none = slow_path_only || self.draining.get() || self.overload.needs_each_request();
        #[cfg(feature = "codings")]
        let is_none = is_none || self.options.codings.is_some();
        // The last request of a connection is a special one. No limit is 0, and becomes the largest number.
        self.fast_requests.set(if is_none { 0 } else { limit.wrapping_sub(1) });
    }

    /// Enters a connection into the table. The first one starts the timer that looks at them all.
    pub(crate) fn add(self: &Rc<Self>, connection: &Rc<Connection>) -> usize {
        if self.checking.borrow().is_none() {
            let (core, interval) = (Rc::downgrade(self), self.options.checking_interval);
            let timer = self.env.set_inspection(interval, move |heard| {
                core.upgrade().iter().for_each(|core| core.check(heard))
            });
            timer.unref();
            self.checking.replace(Some(timer));
        }
        self.connections.borrow_mut().insert(Rc::clone(connection))
    }

    pub(crate) fn remove(&self, key: usize) {
        let removed = self.connections.borrow_mut().try_remove(key);
        // Only now: the destructors of what a connection holds may use the table.
        drop(removed);
    }

    /// Removes the connections that left HTTP and are not `wanted`. Nothing else does, since their tower is dropped.
    fn retain_upgraded(&self, wanted: impl Fn(&Connection) -> bool) {
        let is_stale = |connection: &Connection| connection.state.is_raw() && !wanted(connection);
        let table = self.connections.borrow();
        let stale = table.iter().filter(|(_, connection)| is_stale(connection)).map(|(key, _)| key);
        let stale: Vec<usize> = stale.collect();
        drop(table);
        stale.into_iter().for_each(|key| self.remove(key));
    }

    /// Works on each of the connections as they are now: working on one may remove it.
    fn each(&self, work: impl Fn(&Connection)) {
        let all: Vec<_> =
            self.connections.borrow().iter().map(|(_, connection)| Rc::clone(connection)).collect();
        all.iter().for_each(|connection| work(connection));
    }

    /// Works on each connection at a later time.
    fn later(self: &Rc<Self>, after: Duration, work: fn(&Connection)) -> Timeout {
        let core = Rc::downgrade(self);
        self.env.set_deadline(after, move |_| core.upgrade().iter().for_each(|core| core.each(work)))
    }
}

fn stop(timers: &RefCell<impl Default + IntoIterator<Item = Timeout>>) {
    timers.take().into_iter().for_each(|timer| timer.clear());
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("net", &self.net).finish_non_exhaustive()
    }
}
