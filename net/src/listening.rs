//! One `listen`, from the call to its close: the handler, the listening handle, the connections that it brought. Mirrors
//! `setupListenHandle`, `onconnection` and `_emitCloseIfDrained`.
//!
//! Only the loop holds it: the source's answer while it is awaited, the [`Acceptor`] while there is a listener, the
//! towers of the connections, and the ticks that report to the handler. So the handler is dropped when nobody is left
//! who could call it, also when the loop is dropped in the middle, and also if the handler holds its own server.

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

pub(crate) struct Listening {
    server: Server,
    backlog: u32,
    handler: HandlerCell<Box<dyn ServerHandler>>,
    handle: RefCell<Option<Box<dyn ListenHandle>>>,
    /// The server's id, once it has a handle: the cause of what is reported.
    id: Cell<AsyncId>,
    phase: Cell<Phase>,
    /// Called after the handler's `on_close`.
    on_closed: Cell<Vec<Box<dyn FnOnce()>>>,
    /// Connections accepted by this `listen` that are open.
    connections: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The source was asked and has not answered.
    Asking,
    Open,
    /// To be closed once it has taken what the kernel's queue holds.
    Draining,
    /// Closed, with connections or the report still to come.
    Closing,
    /// Refused, or closed and reported.
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
            on_closed: Cell::default(),
            connections: Cell::new(0),
        };
        listening.handler.set(handler);
        Rc::new(listening)
    }

    /// Whether the server listens, or is about to.
    pub(crate) fn is_in_force(&self) -> bool {
        matches!(self.phase.get(), Phase::Asking | Phase::Open)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase.get() == Phase::Draining
    }

    /// Whether it is to close, or closed, and has not reported that.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase.get(), Phase::Draining | Phase::Closing)
    }

    /// Whether its connections are still taken.
    fn takes(&self) -> bool {
        matches!(self.phase.get(), Phase::Open | Phase::Draining)
    }

    pub(crate) fn with_handle<R>(&self, work: impl FnOnce(&dyn ListenHandle) -> R) -> Option<R> {
        self.handle.borrow().as_deref().map(work)
    }

    /// The source answered later.
    pub(crate) fn answered(self: Rc<Self>, answer: Result<Box<dyn ListenHandle>>) {
        if self.phase.get() != Phase::Asking {
            // Closed meanwhile: nobody wants the handle any more.
            if let Ok(handle) = answer {
                handle.close();
            }
            return;
        }
        if let Err(error) = answer.and_then(|handle| self.start(handle)) {
            self.give_up();
            let listening = Rc::clone(&self);
            self.later(move || {
                // Out of its slot for good: nothing follows.
                if let Some(mut handler) = listening.handler.take() {
                    let _up = LAYER.up("ServerHandler::on_error", Facts::default);
                    handler.on_error(&listening.server, error);
                }
            });
        }
    }

    /// `setupListenHandle`.
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
            // A server closed meanwhile has nothing to say.
            if listening.is_open() {
                let _up = LAYER.up("ServerHandler::on_listening", Facts::default);
                listening.handler.call(|handler| handler.on_listening(&listening.server));
            }
        });
        Ok(())
    }

    /// Refused: the server may listen again.
    pub(crate) fn give_up(&self) {
        self.phase.set(Phase::Over);
    }

    /// Closes once the connections are taken that the kernel has completed: those have been promised that somebody
    /// listens, and a close would reset them.
    ///
    /// All of the kernel's are announced by the next poll phase, after which come immediates: the first may be of the
    /// iteration that goes on, whose poll phase is over. Where another process has the socket, it says when that was all.
    pub(crate) fn shut_down(self: &Rc<Self>) {
        // The kernel keeps one more than it is told.
        let queue = self.backlog.saturating_add(1);
        let waits = self.with_handle(|handle| handle.take_queue(queue)).unwrap_or(ListenQueue::Nothing);
        if waits == ListenQueue::Nothing {
            return self.close();
        }
        self.phase.set(Phase::Draining);
        if waits == ListenQueue::Elsewhere {
            return;
        }
        let (env, listening) = (self.server.0.env.clone(), Rc::clone(self));
        self.server.0.env.set_immediate(move || {
            env.set_immediate(move || listening.end_draining());
        });
    }

    /// Closes a server that drains.
    pub(crate) fn end_draining(self: &Rc<Self>) {
        if self.is_draining() {
            self.close();
        }
    }

    /// Has `on_closed` called too.
    pub(crate) fn when_closed(&self, on_closed: Box<dyn FnOnce()>) {
        let mut all = self.on_closed.take();
        all.push(on_closed);
        self.on_closed.set(all);
    }

    pub(crate) fn close(self: &Rc<Self>) {
        self.phase.set(Phase::Closing);
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

    /// Reports in a tick of which the server is the cause, whoever executes now (`defaultTriggerAsyncIdScope`).
    fn later(&self, report: impl FnOnce() + 'static) {
        let env = &self.server.0.env;
        match self.id.get() {
            AsyncId::NONE => env.next_tick(report),
            id => env.with_default_trigger(id, || env.next_tick(report)),
        }
    }

    fn report_close(&self) {
        self.phase.set(Phase::Over);
        // Out of its slot for good: it is dropped after its last call.
        if let Some(mut handler) = self.handler.take() {
            let _up = LAYER.up("ServerHandler::on_close", Facts::default);
            handler.on_close(&self.server);
        }
        let mut all = self.on_closed.take().into_iter();
        let first = all.next();
        // In ticks of their own: the one before may panic.
        all.for_each(|on_closed| self.server.0.env.next_tick(on_closed));
        if let Some(on_closed) = first {
            on_closed();
        }
    }
}

/// The end of a server that a listening handle is given: it takes connections.
pub struct Acceptor {
    listening: Rc<Listening>,
    /// The connections have their options already.
    prepared: Cell<bool>,
}

impl Acceptor {
    /// The server.
    #[must_use]
    pub fn server(&self) -> Server {
        self.listening.server.clone()
    }

    /// How many connections the server would rather take; whoever distributes connections should give more to somebody
    /// else, until [`ListenHandle::has_room`]. Servers with `drop_max_connection` always take them, closed ones never.
    #[must_use]
    pub fn room(&self) -> usize {
        let server = &self.listening.server.0;
        match self.listening.is_in_force() || self.listening.is_draining() {
            false => 0,
            true if server.options.drop_max_connection => usize::MAX,
            true => server.room(),
        }
    }

    /// All connections have come that waited [elsewhere](ListenQueue::Elsewhere) when the server was to close; it
    /// closes now. Nothing for a server that is not about to.
    pub fn queue_taken(&self) {
        self.listening.end_draining();
    }

    /// Connections to announce in one turn.
    #[must_use]
    pub fn accept_batch(&self) -> u32 {
        self.listening.server.0.options.accept_batch
    }

    /// Sets what all connections shall have (`no_delay`, `keep_alive`) on the listener, from which they inherit it on
    /// Linux: no system call for each of them. A listener that is no TCP stream stays as it is.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn prepare_listener(&self, listener: &AsyncStream) -> Result<()> {
        self.set_options(listener)?;
        self.prepared.set(cfg!(target_os = "linux"));
        Ok(())
    }

    /// Says that the connections come with what they shall have, as their listener, in another process, was given it.
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

    /// Gives the server a connection, inside a callback scope, or tells it that accepting failed (`onconnection`): for a
    /// handle that has no listening stream in this process.
    pub fn accept(&self, connection: Result<AsyncStream, async_wrap::Error>) {
        let listening = &self.listening;
        match connection {
            // A source may have had one on its way when the server closed.
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
            // As in Node a refusal is ignored: a connection that is gone already says so when it is read.
            let _ = self.set_options(&stream);
        }
        listening.connection_opened();
        let socket = Socket::accepted(stream, &listening.server.0.options, listening);
        // A panic leaves no connection behind, and a handler that returns none that it did not keep.
        let unclaimed = OnUnwind::new(|| socket.destroy_unless_handled());
        {
            let _up = LAYER.up("ServerHandler::on_connection", || socket.facts());
            listening.handler.call(|handler| handler.on_connection(&listening.server, socket.clone()));
        }
        unclaimed.disarm();
        socket.destroy_unless_held(1);
    }
}

impl OnConnection for Acceptor {
    fn on_connection(&mut self, _: &AsyncStream, connection: Result<AsyncStream, async_wrap::Error>) {
        self.accept(connection);
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("room", &self.room()).finish_non_exhaustive()
    }
}
