//! One `listen`, from the call to its close: the handler, the listening handle, and its connections. Mirrors
//! `setupListenHandle`, `onconnection` and `_emitCloseIfDrained`.
//!
//! Only the loop owns it: through the pending reply of the source, the [`Acceptor`] of the listener, the towers of the
//! connections, and the ticks that call the handler. So the handler is dropped when no further call can reach it, even
//! if the loop is dropped in between, and even if the handler keeps its own server.

use crate::names::Asked;
use crate::query::set_connection_options;
use crate::source::{ListenHandle, ListenQueue};
use crate::upcall::ServerHandler;
use crate::{Address, Dropped, LAYER, Result, Server, Socket};
use async_wrap::layer::trace::Facts;
use async_wrap::layer::{HandlerCell, OnUnwind};
use async_wrap::upcall::OnConnection;
use async_wrap::{AsyncId, AsyncStream};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How long a draining server waits for handshakes that have begun: longer than a round trip between neighbouring data
/// centres. A deadline lets a poll phase pass, so a late loop accepts the completed connections too.
const HANDSHAKE_TIME: Duration = Duration::from_millis(5);

pub(crate) struct Listening {
    server: Server,
    backlog: u32,
    handler: HandlerCell<Box<dyn ServerHandler>>,
    handle: RefCell<Option<Box<dyn ListenHandle>>>,
    /// The server's id, once it has a handle: the trigger of the handler's calls.
    id: Cell<AsyncId>,
    phase: Cell<Phase>,
    /// The look-up of the host to listen on.
    asked: Cell<Option<Asked>>,
    /// Called after the handler's `on_close`.
    on_closed: Cell<Vec<Box<dyn FnOnce()>>>,
    /// The number of open connections that this `listen` has accepted.
    connections: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The source has been asked and has not answered.
    Asking,
    Open,
    /// The server closes once it has accepted the connections in the kernel's queue.
    Draining,
    /// Closed, with open connections or a pending `on_close`.
    Closing,
    /// The `listen` failed, or `on_close` has been called.
    Over,
}

impl Listening {
    pub(crate) fn new(server: &Server, backlog: u32, handler: Box<dyn ServerHandler>) -> Rc<Self> {
        let listening = Self {
            server: server.clone(),
            backlog,
            handler: HandlerCell::empty(),
            handle: RefCell::new(None),
            id: Cell::default(),
            phase: Cell::new(Phase::Asking),
            asked: Cell::default(),
            on_closed: Cell::default(),
            connections: Cell::new(0),
        };
        listening.handler.set(handler);
        Rc::new(listening)
    }

    /// Whether the server listens, or is starting to.
    pub(crate) fn is_in_force(&self) -> bool {
        matches!(self.phase.get(), Phase::Asking | Phase::Open)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase.get() == Phase::Draining
    }

    /// Whether the server is draining, or closed with a pending `on_close`.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase.get(), Phase::Draining | Phase::Closing)
    }

    /// Whether connections are still accepted.
    fn takes(&self) -> bool {
        matches!(self.phase.get(), Phase::Open | Phase::Draining)
    }

    pub(crate) fn with_handle<R>(&self, work: impl FnOnce(&dyn ListenHandle) -> R) -> Option<R> {
        self.handle.borrow().as_deref().map(work)
    }

    /// Keeps the look-up of the host to listen on, which a close ends.
    pub(crate) fn keep_look_up(&self, asked: Asked) {
        self.asked.set(Some(asked));
    }

    /// Handles a later answer of the source.
    pub(crate) fn answered(self: Rc<Self>, answer: Result<Box<dyn ListenHandle>>) {
        if self.phase.get() != Phase::Asking {
            // The server was closed meanwhile, so the handle is closed too.
            if let Ok(handle) = answer {
                handle.close();
            }
            return;
        }
        if let Err(error) = answer.and_then(|handle| self.start(handle)) {
            self.give_up();
            let listening = Rc::clone(&self);
            self.later(move || {
                // Taken out of its cell for good: no call follows.
                if let Some(mut handler) = listening.handler.take() {
                    let _up = LAYER.up("ServerHandler::on_error", Facts::default);
                    handler.on_error(&listening.server, error);
                }
            });
        }
    }

    /// Starts listening (`setupListenHandle`).
    pub(crate) fn start(self: &Rc<Self>, handle: Box<dyn ListenHandle>) -> Result<()> {
        self.id.set(handle.async_id().unwrap_or_else(|| self.server.0.env.new_async_id()));
        if let Err(error) =
            handle.listen(self.backlog, Acceptor { listening: Rc::clone(self), prepared: Cell::new(false) })
        {
            self.give_up();
            return Err(error);
        }
        if self.server.0.unreferenced.get() {
            handle.unref();
        }
        *self.handle.borrow_mut() = Some(handle);
        self.phase.set(Phase::Open);
        let listening = Rc::clone(self);
        self.later(move || {
            // A server that was closed meanwhile does not report that it listens.
            if listening.is_open() {
                let _up = LAYER.up("ServerHandler::on_listening", Facts::default);
                listening.handler.call(|handler| handler.on_listening(&listening.server));
            }
        });
        Ok(())
    }

    /// Ends a failed `listen`: the server may listen again.
    pub(crate) fn give_up(&self) {
        self.phase.set(Phase::Over);
    }

    /// Closes after accepting the connections that the kernel has completed: their clients know that the server
    /// accepted them, and a close would reset them.
    ///
    /// The poll phases until then announce all connections in the kernel. If the socket is in another process, that
    /// process reports when all connections have been passed on.
    pub(crate) fn shut_down(self: &Rc<Self>) {
        // The kernel queues one connection more than the backlog.
        let queue = self.backlog.saturating_add(1);
        let waits = self.with_handle(|handle| handle.take_queue(queue)).unwrap_or(ListenQueue::Nothing);
        if waits == ListenQueue::Nothing {
            return self.close();
        }
        self.phase.set(Phase::Draining);
        if waits == ListenQueue::Elsewhere {
            return;
        }
        let listening = Rc::clone(self);
        self.server.0.env.set_deadline(HANDSHAKE_TIME, move |_| listening.end_draining());
    }

    /// Closes a draining server.
    pub(crate) fn end_draining(self: &Rc<Self>) {
        if self.is_draining() {
            self.close();
        }
    }

    /// Adds a callback for after the handler's `on_close`.
    pub(crate) fn when_closed(&self, on_closed: Box<dyn FnOnce()>) {
        let mut all = self.on_closed.take();
        all.push(on_closed);
        self.on_closed.set(all);
    }

    pub(crate) fn close(self: &Rc<Self>) {
        self.phase.set(Phase::Closing);
        drop(self.asked.take());
        let handle = self.handle.take();
        if let Some(handle) = handle {
            handle.close();
        }
        self.close_if_drained();
    }

    fn connection_opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.server.0.connections.set(self.server.0.connections.get() + 1);
    }

    pub(crate) fn connection_closed(self: &Rc<Self>) {
        self.connections.set(self.connections.get() - 1);
        self.server.0.connection_closed();
        self.close_if_drained();
    }

    fn close_if_drained(self: &Rc<Self>) {
        if self.phase.get() == Phase::Closing && self.connections.get() == 0 {
            let listening = Rc::clone(self);
            self.later(move || listening.report_close());
        }
    }

    /// Calls `report` in a tick whose trigger is the server, whatever callback is executing
    /// (`defaultTriggerAsyncIdScope`).
    fn later(&self, report: impl FnOnce() + 'static) {
        let env = &self.server.0.env;
        match self.id.get() {
            AsyncId::NONE => env.next_tick(report),
            id => env.with_default_trigger(id, || env.next_tick(report)),
        }
    }

    fn report_close(&self) {
        self.phase.set(Phase::Over);
        // Taken out of its cell for good: it is dropped after its last call.
        if let Some(mut handler) = self.handler.take() {
            let _up = LAYER.up("ServerHandler::on_close", Facts::default);
            handler.on_close(&self.server);
        }
        let mut all = self.on_closed.take().into_iter();
        let first = all.next();
        // Each in a tick of its own, because an earlier callback may panic.
        all.for_each(|on_closed| self.server.0.env.next_tick(on_closed));
        if let Some(on_closed) = first {
            on_closed();
        }
    }
}

/// The receiver of a listening handle's connections, which passes them to the server.
pub struct Acceptor {
    listening: Rc<Listening>,
    /// The connections inherit their options from the listener.
    prepared: Cell<bool>,
}

impl Acceptor {
    /// The server.
    #[must_use]
    pub fn server(&self) -> Server {
        self.listening.server.clone()
    }

    /// How many more connections the server wants. A distributor of connections should give further ones to another
    /// server until [`ListenHandle::has_room`]. A server with `drop_max_connection` always accepts, a closed server
    /// never.
    #[must_use]
    pub fn room(&self) -> usize {
        let server = &self.listening.server.0;
        match self.listening.is_in_force() || self.listening.is_draining() {
            false => 0,
            true if server.options.drop_max_connection => usize::MAX,
            true => server.room(),
        }
    }

    /// Reports that all connections waiting [elsewhere](ListenQueue::Elsewhere) when the server began to close have
    /// been passed on; the server closes now. Does nothing unless the server is draining.
    pub fn queue_taken(&self) {
        self.listening.end_draining();
    }

    /// How many connections to announce in one turn.
    #[must_use]
    pub fn accept_batch(&self) -> u32 {
        self.listening.server.0.options.accept_batch
    }

    /// Sets the options of all connections (`no_delay`, `keep_alive`) on the listener, from which they inherit them on
    /// Linux: this saves system calls for each connection. Does nothing for a listener that is not a TCP stream.
    ///
    /// # Errors
    /// Any error of the system calls.
    pub fn prepare_listener(&self, listener: &AsyncStream) -> Result<()> {
        self.set_options(listener)?;
        self.prepared.set(cfg!(target_os = "linux"));
        Ok(())
    }

    /// Tells the acceptor that connections have their options already, because their listener in another process has
    /// them.
    pub fn expect_prepared(&self) {
        self.prepared.set(true);
    }

    fn set_options(&self, stream: &AsyncStream) -> Result<()> {
        let options = &self.listening.server.0.options;
        if stream.is_tcp() {
            set_connection_options(stream, options.no_delay, options.keep_alive)?;
        }
        Ok(())
    }

    /// Passes a connection to the server, inside a callback scope, or reports that accepting failed (`onconnection`).
    /// For a handle without a listening stream in this process.
    pub fn accept(&self, connection: Result<AsyncStream, crate::uv_core::Error>) {
        let listening = &self.listening;
        match connection {
            // A source may have passed a connection on when the server closed.
            Ok(stream) if !listening.takes() => stream.close(),
            Ok(stream) if listening.server.0.room() == 0 => {
                let dropped = Dropped { local: Address::local(&stream), remote: Address::peer(&stream) };
                stream.close();
                let _up = LAYER.up("ServerHandler::on_drop", Facts::default);
                listening.handler.call(|handler| handler.on_drop(&listening.server, dropped));
            }
            Ok(stream) => self.take(stream),
            Err(error) if listening.takes() => {
                let _up = LAYER.up("ServerHandler::on_error", Facts::default);
                listening.handler.call(|handler| handler.on_error(&listening.server, error.into()));
            }
            Err(_) => {}
        }
    }

    fn take(&self, stream: AsyncStream) {
        let listening = &self.listening;
        if !self.prepared.get() {
            // As in Node an error is ignored: for a connection that is closed already, the read reports it.
            let _ = self.set_options(&stream);
        }
        listening.connection_opened();
        let socket = Socket::accepted(stream, &listening.server.0.options, listening);
        // Destroys the connection if the handler panics, or returns without setting a handler or keeping a handle.
        let unhandled = OnUnwind::new(|| socket.destroy_unless_handled());
        {
            let _up = LAYER.up("ServerHandler::on_connection", || socket.facts());
            listening.handler.call(|handler| handler.on_connection(&listening.server, socket.clone()));
        }
        unhandled.disarm();
        socket.destroy_unless_held(1);
    }
}

impl OnConnection for Acceptor {
    fn on_connection(&mut self, _: &AsyncStream, connection: Result<AsyncStream, crate::uv_core::Error>) {
        self.accept(connection);
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("room", &self.room()).finish_non_exhaustive()
    }
}
