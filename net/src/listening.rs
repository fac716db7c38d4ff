//! One `listen`, from the call to its close: the handler, the listening handle, and the number of its connections. Mirrors
//! `setupListenHandle` and `_emitCloseIfDrained`.
//!
//! Only the loop owns it: through the pending reply of the source, the [`Acceptor`] of the listener, the towers of the
//! connections, and the ticks that call the handler. So the handler is dropped when no further call can reach it, even
//! if the loop is dropped in between, and even if the handler keeps its own server.

use crate::abort::{Abort, AbortHandle, Registration};
use crate::acceptor::Acceptor;
use crate::admission::{Admit, Place};
use crate::names::Asked;
use crate::source::{ListenHandle, ListenQueue};
use crate::upcall::ServerHandler;
use crate::{Address, LAYER, Result, Server};
use async_wrap::layer::HandlerCell;
use async_wrap::layer::trace::Facts;
use async_wrap::{AsyncId, Timeout};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How long a draining server waits for handshakes that have begun: longer than a round trip between neighbouring data
/// centres. A deadline lets a poll phase pass, so a late loop accepts the completed connections too.
const HANDSHAKE_TIME: Duration = Duration::from_millis(5);

/// How long a draining server waits for the memory that it needs to accept the last connections: ten of the longest pauses
/// of a listener. Their clients wait for an answer, and other processes for the end of this one.
const SHORTAGE_TIME: Duration = Duration::from_secs(5);

pub(crate) struct Listening {
    server: Server,
    backlog: u32,
    handler: HandlerCell<Box<dyn ServerHandler>>,
    admit: HandlerCell<Admit>,
    has_admit: Cell<bool>,
    /// Whether a decision about a connection needs its peer's address.
    asks_for_address: Cell<bool>,
    handle: RefCell<Option<Box<dyn ListenHandle>>>,
    /// The server's id, once it has a handle: the trigger of the handler's calls.
    id: Cell<AsyncId>,
    phase: Cell<Phase>,
    /// The look-up of the host to listen on.
    asked: Cell<Option<Asked>>,
    /// Ends a step of the drain.
    drain_timer: Cell<Option<Timeout>>,
    /// Where an abort finds it.
    abort: Cell<Option<Registration>>,
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
        let options = &server.0.options;
        let has_limits = options.block_list.is_some() || options.max_connections_per_address.is_some();
        let listening = Self {
            server: server.clone(),
            backlog,
            handler: HandlerCell::empty(),
            admit: HandlerCell::empty(),
            has_admit: Cell::new(false),
            asks_for_address: Cell::new(has_limits),
            handle: RefCell::new(None),
            id: Cell::default(),
            phase: Cell::new(Phase::Asking),
            asked: Cell::default(),
            drain_timer: Cell::default(),
            abort: Cell::default(),
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
    pub(crate) fn takes(&self) -> bool {
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
        if let Err(error) = handle.listen(self.backlog, Acceptor::new(Rc::clone(self))) {
            self.give_up();
            return Err(error);
        }
        if self.server.0.unreferenced.get() {
            handle.unref();
        }
        if self.server.0.is_paused.get() {
            handle.set_accepting(false);
        }
        *self.handle.borrow_mut() = Some(handle);
        self.phase.set(Phase::Open);
        let listening = Rc::clone(self);
        self.later(move || {
            // A server that was closed meanwhile does not report that it listens.
            if listening.is_open() {
                let _up = LAYER.up("ServerHandler::on_listening", Facts::default);
                listening.call(|handler, server| handler.on_listening(server));
            }
        });
        Ok(())
    }

    /// Lets an abort close the server, or closes it if that was before.
    pub(crate) fn end_with_abort(self: &Rc<Self>, handle: &AbortHandle) {
        if handle.is_aborted() {
            return self.close();
        }
        let this = Rc::downgrade(self);
        self.abort.set(Some(handle.register(this)));
    }

    /// Ends a failed `listen`: the server may listen again.
    pub(crate) fn give_up(&self) {
        drop(self.abort.take());
        self.phase.set(Phase::Over);
    }

    /// Closes after accepting the connections that the kernel has completed: their clients know that the server
    /// accepted them, and a close would reset them.
    ///
    /// A listener reports that it has accepted all connections in the kernel, even if it has to pause before. If the socket
    /// is in another process, that process reports when all connections have been passed on.
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
        self.drain_within(HANDSHAKE_TIME, Self::drain_kernel);
    }

    /// Handshakes have had their time: the connections that are completed now are the last ones.
    fn drain_kernel(self: &Rc<Self>) {
        if !self.is_draining() {
            return;
        }
        match self.with_handle(|handle| handle.drain()) {
            Some(true) => self.drain_within(SHORTAGE_TIME, Self::end_draining),
            _ => self.close(),
        }
    }

    fn drain_within(self: &Rc<Self>, time: Duration, then: fn(&Rc<Self>)) {
        let listening = Rc::clone(self);
        // The first step is begun by the program, the second one by the timer of the first.
        let _place = self.drain_timer.take().map(|timer| timer.place().mark());
        let timer = self.server.0.env.set_deadline(time, move |_| then(&listening));
        self.drain_timer.set(Some(timer));
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
        drop(self.abort.take());
        if let Some(timer) = self.drain_timer.take() {
            timer.clear();
        }
        let handle = self.handle.take();
        if let Some(handle) = handle {
            handle.close();
        }
        self.close_if_drained();
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Asks the program about each connection.
    pub(crate) fn ask_before(&self, admit: Admit) {
        self.admit.set(admit);
        self.has_admit.set(true);
        self.asks_for_address.set(true);
    }

    pub(crate) fn has_admit(&self) -> bool {
        self.has_admit.get()
    }

    pub(crate) fn asks_for_address(&self) -> bool {
        self.asks_for_address.get()
    }

    /// Asks the program about a connection.
    pub(crate) fn ask(&self, peer: &Address) -> bool {
        let mut is_admitted = false;
        self.admit.call(|Admit(decide)| is_admitted = decide(peer));
        is_admitted
    }

    /// Calls the handler, unless it has had its last call.
    pub(crate) fn call(&self, call: impl FnOnce(&mut dyn ServerHandler, &Server)) {
        self.handler.call(|handler| call(&mut **handler, &self.server));
    }

    pub(crate) fn connection_opened(&self, id: AsyncId, place: Option<Place>) {
        self.connections.set(self.connections.get() + 1);
        self.server.0.connections.set(self.server.0.connections.get() + 1);
        if let Some(place) = place {
            self.server.0.places.borrow_mut().enter(id, place);
        }
    }

    pub(crate) fn connection_closed(self: &Rc<Self>, id: AsyncId) {
        self.connections.set(self.connections.get() - 1);
        if self.server.0.options.max_connections_per_address.is_some() {
            self.server.0.places.borrow_mut().leave(id);
        }
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

impl Abort for Listening {
    fn abort(self: Rc<Self>) {
        if self.is_in_force() || self.is_draining() {
            self.close();
        }
    }
}
