//! One request through its phases: what it sends, what has come of its response, and how it ends. Mirrors what Node keeps in a
//! `ClientRequest` and its `IncomingMessage`.
//!
//! A record serves one request after another, unless the program keeps a handle of one. It is over once: by the end of its
//! response, by an upgrade, or by an error. From then on no call has an effect, and the handler is told from the loop.

use super::clock::Clock;
use super::error::{Error, ErrorKind};
use super::options::{Phase, TimeLimits};
use super::place::{Place, place};
use super::upload::Upload;
use super::{ClientRequest, Connection, Shared};
use crate::agent::{Core, Keep, Origin};
use crate::proto::{EncodeError, ResponseDecoder};
use crate::trace::up;
use crate::upcall::ClientHandler;
use crate::{Error as CallError, Result};
use async_wrap::layer::{ColdCell, HandlerCell, OnUnwind};
use async_wrap::{AsyncContext, AsyncId, Provider, Timeout};
use bytes::Bytes;
use net::abort::{Abort, AbortHandle, Registration};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How much of a response is read for the sake of its connection although no handler wants it.
const DISCARDED_BYTES: u64 = 64 * 1024;

pub(crate) struct Exchange {
    pub(crate) core: Rc<Core>,
    handler: HandlerCell<Box<dyn Place>>,
    context: Cell<AsyncContext>,
    facts: Cell<Facts>,
    pub(crate) limits: Cell<TimeLimits>,
    pub(crate) clock: Clock,
    pub(crate) upload: RefCell<Upload>,
    pub(crate) origin: RefCell<Origin>,
    pub(crate) decoder: Cell<ResponseDecoder>,
    connection: RefCell<Option<Rc<Connection>>>,
    /// What the agent knows the request by, while it waits.
    pub(crate) ticket: Cell<u32>,
    /// Its place among the requests that are under way.
    pub(super) key: Cell<usize>,
    /// Bytes of the response's body so far.
    received: Cell<u64>,
    rare: ColdCell<Rare>,
}

/// What is true of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) is_over: bool,
    /// The final head has come.
    pub(crate) has_response: bool,
    /// A byte of a response has come.
    pub(crate) is_answered: bool,
    /// Another request may follow, as far as the server goes.
    pub(crate) server_keeps: bool,
    /// For how many seconds the server says that it keeps the connection.
    pub(crate) hint: Option<u32>,
    pub(crate) is_paused: bool,
    pub(crate) is_discarded: bool,
    /// A write has returned `false`.
    pub(crate) needs_drain: bool,
    /// All of the request is written, which the handler is to be told.
    pub(crate) finish_due: bool,
    /// The handler is, or will be, told that.
    pub(crate) is_finished: bool,
    /// The server takes no more of the body.
    pub(crate) is_refused: bool,
    /// The connection had served another request.
    pub(crate) is_reused: bool,
    pub(crate) was_retried: bool,
    /// A limit of time is too short for the looks at all requests.
    pub(super) has_fine_limits: bool,
}

/// What few requests have.
#[derive(Default)]
pub(super) struct Rare {
    /// Input that waits since the response is paused.
    pub(super) stash: Vec<u8>,
    /// Why the connection broke, until its close is told.
    pub(super) cause: Option<net::Error>,
    /// When the limit of time passes that has a timer.
    pub(super) timer: Option<(Duration, Timeout)>,
    /// What aborts the request, before it begins.
    pub(super) abort: Option<AbortHandle>,
    abortable: Option<Registration>,
}

impl Exchange {
    pub(crate) fn new(core: &Rc<Core>) -> Self {
        Self {
            core: Rc::clone(core),
            handler: HandlerCell::empty(),
            context: Cell::default(),
            facts: Cell::default(),
            limits: Cell::default(),
            clock: Clock::default(),
            upload: RefCell::default(),
            origin: RefCell::default(),
            decoder: Cell::default(),
            connection: RefCell::default(),
            ticket: Cell::default(),
            key: Cell::new(usize::MAX),
            received: Cell::default(),
            rare: ColdCell::empty(),
        }
    }

    /// Forgets the request, and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.facts.set(Facts::default());
        self.upload.get_mut().clear();
        self.decoder.set(ResponseDecoder::new());
        self.received.set(0);
        drop(self.rare.take());
    }

    /// Begins the request that was prepared.
    pub(crate) fn begin(self: &Rc<Self>, handler: impl ClientHandler + 'static) {
        let shared = &self.core.shared;
        self.handler.set(place(self.handler.take(), handler));
        self.context.set(shared.env.new_context(Provider::HttpClientRequest));
        self.clock.start(shared.now());
        let abort = self.peek_rare(|rare| rare.abort.take());
        if abort.as_ref().is_some_and(AbortHandle::is_aborted) {
            return self.fail(Error::new(ErrorKind::Aborted));
        }
        if let Some(abort) = abort {
            let this: Weak<Self> = Rc::downgrade(self);
            self.rare(|rare| rare.abortable = Some(abort.register(this)));
        }
        self.enter(Phase::Queue);
        Shared::watch(&self.core, self);
        self.core.begin(self);
    }

    /// Does something of which the request is the cause.
    pub(crate) fn run_within<R>(&self, work: impl FnOnce() -> R) -> R {
        self.core.shared.env.run_in_context(self.context.get(), work)
    }

    pub(crate) fn async_id(&self) -> AsyncId {
        self.context.get().async_id()
    }

    #[inline]
    pub(crate) fn facts(&self) -> Facts {
        self.facts.get()
    }

    #[inline]
    pub(crate) fn change(&self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts.get();
        change(&mut facts);
        self.facts.set(facts);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.facts.get().is_over
    }

    pub(super) fn rare<R>(&self, work: impl FnOnce(&mut Rare) -> R) -> R {
        self.rare.with(work)
    }

    pub(super) fn peek_rare<R: Default>(&self, work: impl FnOnce(&mut Rare) -> R) -> R {
        self.rare.peek(work).unwrap_or_default()
    }

    /// A phase begins.
    pub(crate) fn enter(self: &Rc<Self>, phase: Phase) {
        self.clock.enter(phase, self.core.shared.now());
        if self.facts.get().has_fine_limits || phase == Phase::AwaitContinue {
            self.arm();
        }
    }

    /// The connection that carries the request, or is being made for it.
    pub(crate) fn connection(&self) -> Option<Rc<Connection>> {
        self.connection.borrow().clone()
    }

    pub(super) fn set_connection(&self, connection: Option<&Rc<Connection>>) {
        let old = self.connection.replace(connection.map(Rc::clone));
        drop(old);
    }

    /// What the response lets become of its connection, as far as both messages go.
    pub(super) fn keep(&self) -> Keep {
        let Facts { server_keeps, is_refused, hint, .. } = self.facts.get();
        if !server_keeps || is_refused || !self.upload.borrow().keep_alive() {
            return Keep::No;
        }
        hint.map_or(Keep::Yes, |seconds| Keep::For(Duration::from_secs(seconds.into())))
    }

    /// Counts some of the response's body. Returns whether the handler gets it; `None` if no more of it is worth reading.
    pub(super) fn count_received(&self, len: usize) -> Option<bool> {
        let received = self.received.get() + len as u64;
        self.received.set(received);
        let is_discarded = self.facts.get().is_discarded;
        (!is_discarded || received <= DISCARDED_BYTES).then_some(!is_discarded)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether the request can be sent from its beginning again.
    pub(crate) fn is_replayable(&self) -> bool {
        self.upload.borrow().is_replayable()
    }

    /// Whether sending it twice has the effect of once: by its method, or since the server is told which request it is.
    pub(crate) fn is_idempotent(&self) -> bool {
        let upload = self.upload.borrow();
        upload.head.is_idempotent() || upload.head.has_idempotency_key()
    }

    /// Has the request sent from its beginning.
    pub(crate) fn rewind(self: &Rc<Self>) {
        self.decoder.set(ResponseDecoder::new());
        self.upload.borrow_mut().rewind();
        self.peek_rare(|rare| rare.cause = None);
        self.change(|facts| facts.is_refused = false);
        self.enter(Phase::Queue);
    }

    /// Writes some of the body, with `last` the rest. Returns whether more is welcome.
    pub(crate) fn write(self: &Rc<Self>, data: &[u8], last: bool) -> Result<bool> {
        self.write_piece(data.len(), last, |upload, connection| match connection {
            Some(connection) => connection.send(self, upload, data, last),
            None => upload.hold(data, last),
        })
    }

    /// The same with a buffer that is shared.
    pub(crate) fn write_shared(self: &Rc<Self>, data: Bytes) -> Result<bool> {
        self.write_piece(data.len(), false, |upload, connection| match connection {
            Some(connection) => connection.send_shared(self, upload, data, false),
            None => upload.hold(&data, false),
        })
    }

    fn write_piece(
        self: &Rc<Self>,
        len: usize,
        last: bool,
        write: impl FnOnce(&mut Upload, Option<&Rc<Connection>>),
    ) -> Result<bool> {
        let mut upload = self.upload.borrow_mut();
        if self.is_over() || self.facts.get().is_refused || upload.is_ended() {
            return Err(CallError::Closed);
        }
        if let Err(error) = upload.count(len, last, self.core.keeps_alive()) {
            drop(upload);
            return Err(self.break_with(error));
        }
        let connection = self.connection().filter(|connection| connection.is_serving());
        let can_send = !upload.is_head_sent() || !upload.awaits_continue();
        write(&mut upload, connection.as_ref().filter(|_| can_send));
        let waiting = upload.waiting();
        drop(upload);
        if self.facts.get().is_refused {
            return Err(CallError::Closed);
        }
        match &connection {
            Some(connection) if last => connection.request_ended(self),
            // With the head sent a body may have to wait.
            Some(connection) => connection.request_written(self),
            None => {}
        }
        let is_full = self.is_full(waiting);
        self.change(|facts| facts.needs_drain |= is_full);
        Ok(!is_full)
    }

    /// Whether enough output waits.
    pub(super) fn is_full(&self, waiting: usize) -> bool {
        let connection = self.connection();
        let in_socket = connection.as_ref().map_or(0, |connection| connection.socket.buffered());
        let mark =
            connection.as_ref().map_or(HIGH_WATER_MARK, |connection| connection.socket.high_water_mark());
        waiting + in_socket >= mark
    }

    /// The program has written what cannot be sent: the request ends in the middle.
    fn break_with(self: &Rc<Self>, error: EncodeError) -> CallError {
        self.end_with(ErrorKind::InvalidRequest(error));
        error.into()
    }

    /// Sends the head, and waits with the body.
    pub(crate) fn flush_head(self: &Rc<Self>) -> Result<()> {
        let mut upload = self.upload.borrow_mut();
        if self.is_over() {
            return Err(CallError::Closed);
        }
        if upload.is_head_sent() {
            return Ok(());
        }
        upload.flush(self.core.keeps_alive())?;
        if let Some(connection) = self.connection().filter(|connection| connection.is_serving()) {
            connection.send(self, &mut upload, b"", false);
            drop(upload);
            connection.request_written(self);
        }
        Ok(())
    }

    /// Ends the request where it is, and breaks its connection. Nothing happens if it is over.
    pub(crate) fn end_with(self: &Rc<Self>, kind: ErrorKind) {
        if self.is_over() {
            return;
        }
        let error = Error::new(kind);
        match self.connection() {
            Some(connection) => connection.fail(self, error),
            None => {
                self.core.cancel(self);
                self.fail(error);
            }
        }
    }

    /// Ends the request with an error, of which the handler is told from the loop.
    pub(crate) fn fail(self: &Rc<Self>, error: Error) {
        if self.facts.get().is_over {
            return;
        }
        let at = self.clock.at(self.core.shared.now(), self.facts.get().is_reused);
        self.change(|facts| facts.is_over = true);
        self.set_connection(None);
        let (this, error) = (Rc::clone(self), error.at(at));
        self.core.shared.env.next_tick(move || {
            this.call("ClientHandler::on_error", |handler, request| handler.on_error(request, error));
            Self::close(this);
        });
    }

    /// The last of a request that is over.
    pub(super) fn close(this: Rc<Self>) {
        this.call("ClientHandler::on_close", |handler, request| handler.on_close(request));
        this.leave();
        Shared::give(this);
    }

    /// Nothing follows any more.
    fn leave(&self) {
        self.disarm();
        self.forget_handler();
        self.core.shared.leave(self);
        self.core.shared.env.emit_destroy(self.context.take().async_id());
    }

    /// A callback has panicked: the handler gets no further call.
    pub(super) fn give_up(&self) {
        self.change(|facts| facts.is_over = true);
        self.set_connection(None);
        self.leave();
    }

    fn forget_handler(&self) {
        if let Some(mut place) = self.handler.take() {
            place.clear();
            self.handler.set(place);
        }
    }

    /// Calls the handler in the context of the request. If it panics nothing follows any more.
    #[inline]
    pub(super) fn call(
        self: &Rc<Self>,
        name: &'static str,
        call: impl FnOnce(&mut dyn ClientHandler, &ClientRequest),
    ) {
        let request = ClientRequest::new(self);
        let panicked = OnUnwind::new(|| self.give_up());
        up(&self.core.shared.env, self.context.get(), name, || {
            self.handler.call(|place| {
                if let Some(handler) = place.handler() {
                    call(handler, &request);
                }
            });
        });
        panicked.disarm();
    }
}

impl Abort for Exchange {
    fn abort(self: Rc<Self>) {
        self.end_with(ErrorKind::Aborted);
    }
}

/// The bytes that wait for a connection from which a write returns `false`: those of a socket.
const HIGH_WATER_MARK: usize = 64 * 1024;
