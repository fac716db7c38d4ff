//! One connection: what it remembers between its socket's upcalls, and how it ends. Mirrors the per-socket state of
//! Node's `connectionListenerInternal`, `resOnFinish` and `socketOnEnd`.
//!
//! Requests come in through `input.rs` and become exchanges; answers go out through `output.rs` in the order of the
//! requests. An exchange whose answer is written leaves the list, and with the last one the connection is idle: it then
//! holds no buffer.

mod calls;
mod client_end;
pub(crate) mod deferred;
pub(crate) mod exchange;
mod input;
mod output;
mod pipeline;

use crate::connection::deferred::{Over, Pending};
use crate::connection::exchange::Exchange;
use crate::proto::Decoder;
use crate::server::{Core, SharedHandler};
use crate::{Body, LAYER, Response};
use net::Socket;
use net::upcall::SocketHandler;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Connection {
    pub(crate) core: Rc<Core>,
    pub(crate) handler: SharedHandler,
    pub(crate) socket: Socket,
    pub(crate) decoder: Cell<Decoder>,
    /// Requests that are not answered yet, the oldest first.
    pub(crate) exchanges: Cell<Option<Box<Exchange>>>,
    flags: Cell<u32>,
    /// The number of the newest exchange.
    pub(crate) newest: Cell<u32>,
    /// How many exchanges are in the list.
    pub(crate) outstanding: Cell<u32>,
    /// Bytes of answers that wait for their turn.
    pub(crate) held: Cell<usize>,
    /// When the state that a timeout limits began, on the loop's clock.
    pub(crate) since: Cell<Duration>,
    pub(crate) pending: Cell<Option<Box<Pending>>>,
}

// What an idle connection costs in this layer: there may be very many.
const _: () = assert!(size_of::<Connection>() <= 128);

/// Requests of one connection that may wait for their answers; more of them stay undecoded. Each is a record of a few
/// hundred bytes that a client gets for twenty.
const MAX_PIPELINED: u32 = 64;

/// An answer that is sent at once as a whole, whatever the peer's window is: of this size or less.
const SHORT: u64 = 2048;

/// Input is being decoded: output is collected, and sent together at the end of the turn.
pub(crate) const CORKED: u32 = 1;
/// The application paused the body that is being received.
pub(crate) const BODY_PAUSED: u32 = 1 << 1;
/// The socket holds more output than it should.
pub(crate) const BLOCKED: u32 = 1 << 2;
/// Decoding stands still and the socket is paused.
pub(crate) const STALLED: u32 = 1 << 3;
/// No further request is taken: the answer that ends the connection is written, or decided.
pub(crate) const LAST: u32 = 1 << 4;
/// The connection is to be ended when the turn is over.
pub(crate) const ENDING: u32 = 1 << 5;
/// The client expects the end.
const EXPECTED: u32 = 1 << 6;
/// This side has ended; what still comes is thrown away until the client ends too.
pub(crate) const LINGERING: u32 = 1 << 7;
/// Input followed the last request.
pub(crate) const TRAILING: u32 = 1 << 8;
/// The client has ended its side.
pub(crate) const PEER_ENDED: u32 = 1 << 9;
/// A request's first byte has come and its last has not: `since` counts for it.
pub(crate) const RECEIVING: u32 = 1 << 10;
/// The head of a message was decoded, and its end was not.
pub(crate) const IN_MESSAGE: u32 = 1 << 11;
/// The socket belongs to somebody else now.
pub(crate) const UPGRADED: u32 = 1 << 12;
/// The response whose handler is being called was ended meanwhile.
pub(crate) const FINISH_OWED: u32 = 1 << 14;
/// A request was received: from now on silence is idleness, not slowness.
pub(crate) const SERVED: u32 = 1 << 13;
/// The answer that was written last is not whole, and only a reset can tell.
pub(crate) const CUT: u32 = 1 << 15;
/// There is something in `pending`.
pub(crate) const PENDING: u32 = 1 << 16;
/// The application holds the body that is being received, and has not said who takes it.
pub(crate) const BODY_HELD: u32 = 1 << 17;
/// The client has ended its side behind what is not read.
pub(crate) const UNREAD_END: u32 = 1 << 18;

impl Connection {
    pub(crate) fn new(core: Rc<Core>, handler: SharedHandler, socket: Socket) -> Self {
        let since = core.now();
        Self {
            core,
            handler,
            socket,
            decoder: Cell::default(),
            exchanges: Cell::new(None),
            flags: Cell::new(0),
            newest: Cell::new(0),
            outstanding: Cell::new(0),
            since: Cell::new(since),
            pending: Cell::new(None),
            held: Cell::new(0),
        }
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn set(&self, flag: u32) {
        self.flags.set(self.flags.get() | flag);
    }

    pub(crate) fn clear(&self, flag: u32) {
        self.flags.set(self.flags.get() & !flag);
    }

    /// Whether nothing is going on, but for the flags of `expected`, and no request waits for its answer.
    #[inline]
    pub(crate) fn is_plain(&self, expected: u32) -> bool {
        !self.has(!(CORKED | SERVED | RECEIVING | expected)) && self.outstanding.get() == 0
    }

    /// The message at hand is received.
    #[inline]
    pub(crate) fn end_message(&self) {
        self.flags.set(self.flags.get() & !(IN_MESSAGE | RECEIVING | BODY_PAUSED | BODY_HELD) | SERVED);
    }

    /// Everything that came is answered.
    pub(crate) fn become_idle(self: &Rc<Self>) {
        self.since.set(self.core.now());
        if self.has(PEER_ENDED) {
            self.end(true);
        }
    }

    /// Whether the request of this number is the one that is being received.
    pub(crate) fn is_receiving(&self, number: u32) -> bool {
        self.has(IN_MESSAGE) && self.newest.get() == number
    }

    /// Whether nothing that may still come is of interest.
    pub(crate) fn is_deaf(&self) -> bool {
        self.has(LINGERING) || (self.has(LAST) && !self.has(IN_MESSAGE))
    }

    /// Whether nothing can be answered any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.has(ENDING | LINGERING) || self.socket.is_destroyed()
    }

    /// Ends the connection once what is written is sent. `expected`: the client asked for it, and has said its last
    /// when the message at hand is over.
    pub(crate) fn end(self: &Rc<Self>, expected: bool) {
        self.set(LAST | ENDING | if expected { EXPECTED } else { 0 });
        if !self.has(CORKED) {
            self.end_now();
        }
    }

    /// The turn is over, or there was none.
    ///
    /// A close while the client may still be sending would answer that with a reset, which can destroy the answer on
    /// its way, in the kernel too (RFC 9112, 9.6). So this side ends first and reads on until the client ends too, or has
    /// everything: see [`net::Linger`]. If the client asked for the close, nothing more is to come, and the answer is
    /// short, that costs too much: then the close follows the FIN at once. One that sends more all the same is answered
    /// with a reset, but that comes behind the answer and its end.
    pub(crate) fn end_now(&self) {
        if !self.has(ENDING) || self.has(LINGERING) {
            return;
        }
        if self.has(CUT) {
            return self.break_off();
        }
        let is_quiet = !self.has(IN_MESSAGE | TRAILING | STALLED);
        if self.has(EXPECTED) && is_quiet && self.socket.buffered() == 0 {
            if self.has(PEER_ENDED) {
                return self.socket.destroy();
            }
            if self.socket.bytes_written() <= SHORT {
                return self.socket.destroy_with_fin();
            }
        }
        self.set(LINGERING);
        self.clear(STALLED | BODY_PAUSED | BODY_HELD | BLOCKED);
        drop(self.take_leftover());
        self.since.set(self.core.now());
        self.socket.end();
        self.socket.resume();
    }

    /// Breaks the connection at once: with a reset if its end would pass for that of an answer, one that is complete here
    /// and of which some is not sent included.
    pub(crate) fn break_off(&self) {
        let list = self.exchanges.take();
        let is_open = list.as_ref().is_some_and(|first| first.is_open_ended());
        self.exchanges.set(list);
        let needs_reset = is_open || self.has(CUT) || self.socket.buffered() > 0;
        // Only TCP knows a reset.
        if !needs_reset || self.socket.reset_and_destroy().is_err() {
            self.socket.destroy();
        }
    }

    /// Whether nothing is received and nothing is to be answered or sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.get() == 0
            && !self.has(RECEIVING | IN_MESSAGE | LINGERING | UPGRADED)
            && self.socket.buffered() == 0
    }

    /// Whether decoding has to stand still: a body that nobody wants to have now, too many requests waiting for their
    /// answers or too much in those, or a client that does not read them.
    pub(crate) fn must_stall(&self) -> bool {
        self.has(BODY_PAUSED | BODY_HELD | BLOCKED)
            || self.outstanding.get() >= MAX_PIPELINED
            || self.held.get() > self.socket.high_water_mark()
    }

    /// Decodes what was left over, if the reason for standing still is gone.
    fn unstall(self: &Rc<Self>) {
        if !self.has(STALLED) {
            return;
        }
        if self.must_stall() {
            return self.judge_unread_end();
        }
        self.clear(STALLED);
        // Also if nothing was left over: the end of a message may still have to be told.
        let leftover = self.take_leftover();
        let unused = self.feed_again(leftover.as_slice());
        if self.has(STALLED) {
            if unused > 0 {
                self.keep_on(leftover, unused);
            }
        } else if !self.has(UPGRADED) {
            self.socket.resume();
        }
    }

    /// Tells the response whose turn it is that it may write on.
    fn report_drain(self: &Rc<Self>) {
        let Some(first) = self.exchanges.take() else { return };
        let number = first.number;
        let owed = first.needs_drain && self.is_room(self.socket.buffered());
        self.exchanges.set(Some(first));
        if owed {
            self.with_exchange(number, |exchange, _| exchange.needs_drain = false);
            self.call_response_handler(number, "ResponseHandler::on_drain", |handler, response| {
                handler.on_drain(response);
            });
        }
    }

    /// The socket is gone: whoever still waits is told.
    fn closed(self: &Rc<Self>) {
        self.set(LAST | LINGERING);
        let mut rest = Rest { connection: self, next: self.exchanges.take() };
        self.tell_notices();
        while let Some(mut exchange) = rest.next.take() {
            rest.next = exchange.next.take();
            let (body, handler) = (exchange.body_handler.take(), exchange.handler.take());
            let over = Over { env: self.core.env(), context: exchange.context };
            self.core.env().make_callback(exchange.context, || {
                if let Some(mut body) = body {
                    let _up = LAYER.up("BodyHandler::on_abort", || exchange.context.facts());
                    body.on_abort(&Body::counted(self, exchange.number));
                }
                if let Some(mut handler) = handler {
                    let _up = LAYER.up("ResponseHandler::on_close", || exchange.context.facts());
                    handler.on_close(&Response::counted(self, exchange.number));
                }
            });
            drop(over);
            self.core.pool.give(exchange);
        }
    }

    /// Nobody will hear of anything any more: the tower is dropped. Handlers often hold responses, which hold the
    /// connection: this breaks the circle.
    fn let_go(&self) {
        self.set(LAST | LINGERING);
        let mut next = self.exchanges.take();
        while let Some(mut exchange) = next {
            next = exchange.next.take();
            self.core.env().emit_destroy(exchange.context.async_id());
            self.core.pool.give(exchange);
        }
        self.drop_pending();
    }
}

/// What a closed connection had not told yet when a handler panicked: `let_go` finds it.
struct Rest<'a> {
    connection: &'a Connection,
    next: Option<Box<Exchange>>,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.connection.exchanges.set(self.next.take());
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
}

impl Drop for ConnectionTower {
    fn drop(&mut self) {
        self.connection.let_go();
        // One that left HTTP stays in the table for the end of a `shutdown`.
        if !self.connection.has(UPGRADED) {
            self.connection.core.remove(self.key);
        }
    }
}

impl SocketHandler for ConnectionTower {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        let connection = &self.connection;
        let unused = connection.feed(data);
        if unused > 0 && connection.has(STALLED) {
            connection.keep(&data[data.len() - unused..]);
        }
    }

    fn on_end(&mut self, _: &Socket) {
        self.connection.client_ended();
    }

    fn on_unread_end(&mut self, _: &Socket) {
        self.connection.client_ended_unread();
    }

    fn on_drain(&mut self, _: &Socket) {
        self.connection.clear(BLOCKED);
        self.connection.report_drain();
        self.connection.unstall();
    }

    fn on_notify(&mut self, _: &Socket) {
        self.connection.tell_notices();
        self.connection.tell_late_handlers();
        self.connection.report_drain();
        self.connection.unstall();
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.connection.closed();
    }
}
