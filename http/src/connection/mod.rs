//! One connection: what it remembers between its socket's upcalls, and how it ends. Mirrors the per-socket state of
//! Node's `connectionListenerInternal`, `resOnFinish` and `socketOnEnd`.
//!
//! # Theory of operation
//!
//! A connection is composed of parts, a file each:
//!
//! ```text
//!  socket ──bytes──▶ input ──head──▶ pipeline of exchanges ──response──▶ output ──bytes──▶ socket
//!                      │                    │                              │
//!                      └─────── state ──────┴────────── deferred ──────────┘
//! ```
//!
//! - `state.rs` is the machine, with its table: what the next byte means, how far the end is, what stands still
//! - `input.rs` decodes a turn of input and calls the request's handler; `fast_path.rs` does both for most requests
//! - `pipeline.rs` has the requests whose responses are due, in their order; `exchange.rs` is one of them
//! - `output.rs` writes responses: during a turn into one buffer that is sent at its end, else at once
//! - `file.rs` ends a response with a file; `coding.rs`, with the feature `codings`, codes the bodies of others
//! - `calls.rs` calls the handlers of responses and bodies; `deferred.rs` has the calls and the input that wait
//! - `client_end.rs` decides what a client's FIN means for the responses that are due
//!
//! This file composes them: it moves the pipeline on when a response is written ([`advance`](Connection::advance)),
//! stalls and unstalls decoding, and ends the connection. A response that is written leaves the pipeline, and with the
//! last one the connection is idle: it then holds no buffer. A close has two steps: [`end`](Connection::end) decides it,
//! [`end_now`](Connection::end_now) carries it out once the turn of input is over.

mod calls;
mod client_end;
#[cfg(feature = "codings")]
mod coding;
mod deferred;
mod exchange;
pub(crate) mod fast_path;
mod file;
mod input;
mod output;
mod pipeline;
mod state;

pub(crate) use calls::{BodyPlace, ResponsePlace, place};
pub(crate) use deferred::Deferred;
pub(crate) use exchange::{Exchange, Extra, Phase, Pool};
pub(crate) use state::{ClientSide, Closing, Reading};

use crate::proto::Decoder;
use crate::server::Core;
use crate::server::SharedHandler;
use async_wrap::layer::OnUnwind;
use async_wrap::task::TaskHandle;
use async_wrap::{AsyncContext, Provider};
use calls::{CLOSE, Call, DRAIN, FINISH};
use net::Socket;
use net::upcall::SocketHandler;
use pipeline::Pipeline;
use state::State;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Connection {
    pub(crate) core: Rc<Core>,
    pub(crate) handler: SharedHandler,
    pub(crate) socket: Socket,
    decoder: Cell<Decoder>,
    pub(crate) state: State,
    /// Requests whose responses are due.
    pub(crate) pipeline: Pipeline,
    pub(crate) deferred: Deferred,
    /// When the state that a timeout limits began, on the loop's clock.
    pub(crate) since: Cell<Duration>,
}

// What an idle connection costs in this layer: there may be very many.
const _: () = assert!(size_of::<Connection>() <= 128);

/// A response that is sent at once as a whole, whatever the peer's window is: of this size or less.
const SHORT: u64 = 2048;

impl Connection {
    pub(crate) fn new(core: Rc<Core>, handler: SharedHandler, socket: Socket) -> Self {
        let since = Cell::new(core.now());
        Self {
            core,
            handler,
            socket,
            decoder: Cell::default(),
            state: State::new(),
            pipeline: Pipeline::default(),
            deferred: Deferred::default(),
            since,
        }
    }

    fn with_decoder<R>(&self, look: impl FnOnce(&Decoder) -> R) -> R {
        let decoder = self.decoder.take();
        let result = look(&decoder);
        self.decoder.set(decoder);
        result
    }

    /// Starts the time that a timeout limits.
    #[inline]
    fn restart_clock(&self) {
        self.since.set(self.core.now());
    }

    /// Whether the request of this number is being received.
    pub(crate) fn is_receiving(&self, number: u32) -> bool {
        self.state.is_in_message() && self.pipeline.newest() == number
    }

    /// Whether nothing is received and nothing is to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        let is_quiet = !matches!(self.state.get().reading, Reading::Head | Reading::Body | Reading::Raw);
        is_quiet && !self.state.is_lingering() && self.pipeline.is_empty() && self.socket.buffered() == 0
    }

    /// Has a handler called from the loop, since its exchange is over.
    fn defer(&self, call: Option<Call>) {
        if let Some(call) = call {
            self.deferred.push(call);
            self.socket.notify();
        }
    }

    /// The context of a request. The connection has caused it, although the end of an earlier response may be what lets it be
    /// decoded now: it has none of that one's values.
    #[inline]
    fn new_request_context(&self) -> AsyncContext {
        self.core.env.new_context_of(Provider::HttpIncomingMessage, self.socket.async_id())
    }

    /// Ends an exchange's context, behind the calls that are deferred in it.
    #[inline]
    fn end_context(&self, context: &AsyncContext) {
        if self.deferred.has_calls() {
            self.defer(Some(Call::of_end(*context)));
        } else {
            self.core.env.emit_destroy(context.async_id());
        }
    }

    /// Removes every exchange whose response is written, and lets the next one write.
    pub(crate) fn advance(&self) {
        while let Some(closing) = self.pipeline.with_oldest(|oldest| self.after_response(oldest)).flatten()
            && let Some(exchange) = self.pipeline.pop()
        {
            self.retire(exchange);
            self.end(closing);
            if closing != Closing::Open {
                break;
            }
        }
        self.look_around();
    }

    /// Lets the oldest exchange write what it held. If it then leaves the pipeline, because its response is complete and no
    /// handler waits for the rest of its body, returns what that means for the connection.
    fn after_response(&self, oldest: &mut Exchange) -> Option<Closing> {
        if !oldest.extra().held.is_empty() {
            if self.is_over() {
                // An earlier response has ended the connection. Its close tells the handlers.
                return None;
            }
            self.pipeline.release(oldest, |held| self.send_data(held));
            self.release_file(oldest);
        }
        // It may have asked for a drain while it waited for those before it, without having written anything.
        if oldest.extra().needs_drain {
            self.socket.notify();
        }
        if oldest.phase != Phase::Ended || oldest.extra().file.is_some() {
            return None;
        }
        let closing = oldest.closing();
        // As in Node what was not begun to be taken is not waited for.
        let Extra { wants_body, body_begun, .. } = *oldest.extra();
        let is_wanted = wants_body && (body_begun || !self.state.is_body_stopped());
        if !is_wanted || !self.is_receiving(oldest.number) {
            return Some(closing);
        }
        self.defer(Call::of_last(oldest, FINISH));
        if self.state.is_stalled() {
            self.restart_clock();
        }
        self.end(closing);
        None
    }

    /// Has both handlers told that their exchange is over, and gives its record back.
    fn retire(&self, mut exchange: Box<Exchange>) {
        self.defer(Call::of_last(&mut exchange, FINISH));
        self.defer(Call::of_abort(&mut exchange));
        if self.is_receiving(exchange.number) {
            // What is left of the body is thrown away, also if it was paused.
            self.state.resume_body();
        }
        self.end_context(&exchange.context);
        self.core.count_out(&mut exchange);
        self.core.pool.give(exchange);
    }

    /// The future that handles a request waits: it is dropped with the connection.
    pub(crate) fn note_task(&self, number: u32, task: TaskHandle) {
        self.pipeline.with(number, |exchange, _| {
            // Else the response is written, and what the future does now is its own affair.
            if exchange.phase != Phase::Ended && !exchange.extra().is_detached {
                exchange.extra_mut().task = Some(task);
            }
        });
    }

    /// Goes on after an exchange left the pipeline or a message ended: the connection may be idle, or decode again.
    #[inline(never)]
    fn look_around(&self) {
        if self.pipeline.is_empty() && self.state.is_open() && !self.state.is_in_message() {
            self.restart_clock();
            if self.state.has_client_ended() {
                self.end(Closing::ForClient);
            }
        }
        if self.state.is_stalled() {
            self.socket.notify();
        }
    }

    /// Whether decoding has to stand still: a body that is paused or held, too many requests that wait for their
    /// responses or too much in those, or a client that does not read them.
    fn must_stall(&self) -> bool {
        self.state.is_body_stopped()
            || self.state.get().socket_full
            || self.pipeline.is_full()
            || self.pipeline.held() > self.socket.high_water_mark()
    }

    /// Decodes what was stashed, if the reason for standing still is over.
    fn unstall(self: &Rc<Self>) {
        if !self.state.is_stalled() {
            return;
        }
        if self.must_stall() {
            return client_end::tell_handlers(self);
        }
        self.state.set_stalled(false);
        // Also if nothing was stashed: the end of a message may still have to be told.
        self.deferred.unstash(|undecoded| input::feed(self, undecoded));
        if !self.state.is_stalled() && !self.state.is_raw() {
            self.socket.resume();
        }
    }

    /// Tells the response that may write that more is welcome, if it asked for that.
    fn report_drain(self: &Rc<Self>) {
        let is_room = self.is_room(self.socket.buffered());
        let drained = self.pipeline.with_oldest(|oldest| {
            if !is_room || !oldest.extra().needs_drain {
                return None;
            }
            oldest.extra_mut().needs_drain = false;
            Call::of_response(oldest, DRAIN)
        });
        if let Some(call) = drained.flatten() {
            call.make(self);
        }
    }

    /// Ends the connection once what is written is sent, unless it stays open.
    pub(crate) fn end(&self, closing: Closing) {
        if closing == Closing::Open {
            return;
        }
        self.state.close(closing);
        if !self.state.get().in_turn {
            self.end_now();
        }
    }

    /// The turn is over, or there was none.
    ///
    /// A close while the client may still be sending would meet that with a reset, which can destroy the response on
    /// its way, in the kernel too (RFC 9112, 9.6). So this side ends first and reads on until the client ends too, or has
    /// everything: see [`net::Linger`]. If the client asked for the close, nothing more is to come, and the response is
    /// short, that costs too much: then the close follows the FIN at once. A client that sends more all the same gets a
    /// reset, but that comes behind the response and its end.
    fn end_now(&self) {
        let is_expected = match self.state.get().closing {
            Closing::Lingering => return,
            Closing::Truncated => return self.break_off(),
            closing => closing == Closing::ForClient && self.state.is_at_end() && self.socket.buffered() == 0,
        };
        if is_expected && self.state.has_client_ended() {
            return self.socket.destroy();
        }
        if is_expected && self.socket.bytes_written() <= SHORT {
            return self.socket.destroy_with_fin();
        }
        self.state.close(Closing::Lingering);
        self.deferred.unstash(|_| 0);
        self.restart_clock();
        self.socket.end();
        self.socket.resume();
    }

    /// Breaks the connection at once: with a reset if the client would take its end for the end of a response, even of a
    /// complete one of which some is not sent.
    pub(crate) fn break_off(&self) {
        let is_open = self.pipeline.with_oldest(|oldest| oldest.is_open_ended()) == Some(true);
        let needs_reset =
            is_open || self.state.get().closing == Closing::Truncated || self.socket.buffered() > 0;
        // Only TCP has a reset.
        if !needs_reset || self.socket.reset_and_destroy().is_err() {
            self.socket.destroy();
        }
    }

    /// The socket is closed: the handlers that still wait are told. If one panics the contexts of the others end when the
    /// tower is dropped.
    fn on_closed(self: &Rc<Self>) {
        self.state.close(Closing::Lingering);
        while let Some(mut exchange) = self.pipeline.pop() {
            self.defer(Call::of_abort(&mut exchange));
            self.defer(Call::of_last(&mut exchange, CLOSE));
            let task = exchange.take_task();
            self.retire(exchange);
            // Its response is over, so its end changes nothing here.
            task.iter().for_each(TaskHandle::abort);
        }
        self.deferred.run(self);
    }

    /// The tower is dropped, and with it everything that could be told. Handlers often hold responses, which hold the
    /// connection: this breaks the circle.
    fn on_dropped(self: &Rc<Self>) {
        self.state.close(Closing::Lingering);
        while let Some(mut exchange) = self.pipeline.pop() {
            self.core.env.emit_destroy(exchange.context.async_id());
            let task = exchange.take_task();
            self.core.count_out(&mut exchange);
            self.core.pool.give(exchange);
            task.iter().for_each(TaskHandle::abort);
        }
        self.deferred.clear(self);
    }
}

/// This layer's floor of the tower: it stands on a socket and owns the connection.
pub(crate) struct ConnectionTower {
    connection: Rc<Connection>,
    /// The connection's place in the server's table.
    key: usize,
}

impl ConnectionTower {
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        let key = connection.core.add(&connection);
        Self { connection, key }
    }

    /// Does what follows from an upcall. If a handler panics the rest is done at an `on_notify`.
    fn follow(&self, work: impl FnOnce(&Rc<Connection>)) {
        let rest = OnUnwind::new(|| self.connection.socket.notify());
        work(&self.connection);
        rest.disarm();
    }
}

impl Drop for ConnectionTower {
    fn drop(&mut self) {
        self.connection.on_dropped();
        // A connection that left HTTP stays in the table for the end of a `shutdown`.
        if !self.connection.state.is_raw() {
            self.connection.core.remove(self.key);
        }
    }
}

impl SocketHandler for ConnectionTower {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        let unused = input::feed(&self.connection, data);
        if unused > 0 {
            self.connection.deferred.stash(&data[data.len() - unused..]);
        }
    }

    fn on_end(&mut self, _: &Socket) {
        self.follow(client_end::on_end);
    }

    fn on_unread_end(&mut self, _: &Socket) {
        self.follow(|connection| {
            connection.state.client_ended(true);
            client_end::tell_handlers(connection);
        });
    }

    fn on_drain(&mut self, _: &Socket) {
        self.follow(|connection| {
            connection.state.set_socket_full(false);
            connection.file_sent();
            connection.report_drain();
            connection.unstall();
        });
    }

    fn on_notify(&mut self, _: &Socket) {
        self.follow(|connection| {
            connection.deferred.run(connection);
            client_end::tell_handlers(connection);
            #[cfg(feature = "codings")]
            connection.flush_coders();
            connection.report_drain();
            connection.unstall();
        });
    }

    fn on_error(&mut self, _: &Socket, error: net::Error) {
        // A client's end is its own; what a file lacks has to be looked after.
        if error.system().is_some_and(|system| system.op() == "sendfile") {
            log::warn!(target: "http", "{error}");
        }
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.connection.on_closed();
    }
}
