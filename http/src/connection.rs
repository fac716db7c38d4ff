//! One connection: what it remembers between its socket's upcalls, and how it ends. Mirrors the per-socket state of
//! Node's `connectionListenerInternal`, `resOnFinish` and `socketOnEnd`.
//!
//! Requests come in through `decoding.rs` and become exchanges; answers go out through `output.rs` in the order of the
//! requests. An exchange whose answer is written leaves the list, and with the last one the connection is idle: it then
//! holds no buffer.

use crate::exchange::{Exchange, Phase};
use crate::proto::Decoder;
use crate::server::Core;
use crate::upcall::ResponseHandler;
use net::Socket;
use net::upcall::SocketHandler;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Connection {
    pub(crate) core: Rc<Core>,
    pub(crate) socket: Socket,
    pub(crate) decoder: Cell<Decoder>,
    /// Requests that are not answered yet, the oldest first.
    pub(crate) exchanges: Cell<Option<Box<Exchange>>>,
    flags: Cell<u16>,
    /// The number of the newest exchange.
    pub(crate) newest: Cell<u32>,
    /// How many exchanges are in the list.
    pub(crate) outstanding: Cell<u32>,
    /// When the state that a timeout limits began, on the loop's clock.
    pub(crate) since: Cell<Duration>,
    rare: Cell<Option<Box<Rare>>>,
}

/// What few connections need, and those only for a while.
#[derive(Default)]
struct Rare {
    /// Input that waits until answers went out or a body is wanted again.
    leftover: Vec<u8>,
    /// Handlers to be told that their responses were ended.
    finished: Vec<Box<dyn ResponseHandler>>,
}

/// Input is being decoded: output is collected, and sent together at the end of the turn.
pub(crate) const CORKED: u16 = 1;
/// The application paused the body that is being received.
pub(crate) const BODY_PAUSED: u16 = 1 << 1;
/// The socket holds more output than it should.
pub(crate) const BLOCKED: u16 = 1 << 2;
/// Decoding stands still and the socket is paused.
pub(crate) const STALLED: u16 = 1 << 3;
/// No further request is taken: the answer that ends the connection is written, or decided.
pub(crate) const LAST: u16 = 1 << 4;
/// The connection is to be ended when the turn is over.
const ENDING: u16 = 1 << 5;
/// The end may be a plain close: the client expects it and has nothing more to say.
const AT_ONCE: u16 = 1 << 6;
/// This side has ended; what still comes is thrown away until the client ends too.
pub(crate) const LINGERING: u16 = 1 << 7;
/// Input followed the last request.
pub(crate) const TRAILING: u16 = 1 << 8;
/// The client has ended its side.
const PEER_ENDED: u16 = 1 << 9;
/// A request's first byte has come and its last has not: `since` counts for it.
pub(crate) const RECEIVING: u16 = 1 << 10;
/// The head of the message being received was decoded.
pub(crate) const IN_MESSAGE: u16 = 1 << 11;
/// The socket belongs to somebody else now.
pub(crate) const UPGRADED: u16 = 1 << 12;
/// A request was received: from now on silence is idleness, not slowness.
pub(crate) const SERVED: u16 = 1 << 13;

impl Connection {
    pub(crate) fn new(core: Rc<Core>, socket: Socket) -> Self {
        let since = core.now();
        Self {
            core,
            socket,
            decoder: Cell::default(),
            exchanges: Cell::new(None),
            flags: Cell::new(0),
            newest: Cell::new(0),
            outstanding: Cell::new(0),
            since: Cell::new(since),
            rare: Cell::new(None),
        }
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn set(&self, flag: u16) {
        self.flags.set(self.flags.get() | flag);
    }

    pub(crate) fn clear(&self, flag: u16) {
        self.flags.set(self.flags.get() & !flag);
    }

    /// Works on the exchange of this number, if it is still in the list; `first` tells whether it is its turn to be
    /// answered. `work` calls nobody.
    pub(crate) fn with_exchange<R>(
        &self,
        number: u32,
        work: impl FnOnce(&mut Exchange, bool) -> R,
    ) -> Option<R> {
        let mut list = self.exchanges.take();
        let mut first = true;
        let mut at = &mut list;
        let mut result = None;
        while let Some(exchange) = at {
            if exchange.number == number {
                result = Some(work(exchange, first));
                break;
            }
            first = false;
            at = &mut exchange.next;
        }
        self.exchanges.set(list);
        result
    }

    /// Appends an exchange to the list.
    pub(crate) fn push(&self, mut exchange: Box<Exchange>) {
        let number = self.newest.get().wrapping_add(1);
        exchange.number = number;
        self.newest.set(number);
        self.outstanding.set(self.outstanding.get() + 1);
        let mut list = self.exchanges.take();
        let mut end = &mut list;
        while let Some(exchange) = end {
            end = &mut exchange.next;
        }
        *end = Some(exchange);
        self.exchanges.set(list);
    }

    /// Lets go of every exchange whose answer is written, and lets the next one write.
    pub(crate) fn advance(self: &Rc<Self>) {
        while let Some(mut first) = self.exchanges.take() {
            if !first.waiting.is_empty() {
                self.send_waiting(&mut first.waiting);
                if first.needs_drain {
                    self.socket.notify();
                }
            }
            if first.phase != Phase::Ended {
                self.exchanges.set(Some(first));
                break;
            }
            self.exchanges.set(first.next.take());
            self.outstanding.set(self.outstanding.get() - 1);
            let (keep_alive, at_once) = (first.keep_alive, first.client_closes && first.received);
            self.retire(first);
            if !keep_alive {
                self.end(at_once);
                break;
            }
        }
        if self.outstanding.get() == 0 && !self.has(LAST) {
            self.since.set(self.core.now());
            if self.has(PEER_ENDED) {
                self.end(true);
            }
        }
        if self.has(STALLED) {
            self.socket.notify();
        }
    }

    fn retire(&self, mut exchange: Box<Exchange>) {
        self.core.env().emit_destroy(exchange.context.async_id());
        if let Some(handler) = exchange.handler.take() {
            self.with_rare(|rare| rare.finished.push(handler));
            self.socket.notify();
        }
        self.core.pool.give(exchange);
    }

    /// Ends the connection once what is written is sent. `at_once`: the client expects it and has said its last.
    fn end(self: &Rc<Self>, at_once: bool) {
        self.set(LAST | ENDING | if at_once { AT_ONCE } else { 0 });
        if !self.has(CORKED) {
            self.end_now();
        }
    }

    /// The turn is over, or there was none.
    ///
    /// A close while the client may still be sending would answer that with a reset, which can destroy the answer on
    /// its way (RFC 9112, 9.6). So this side ends first and reads on until the client ends too; unless the client
    /// asked for the close and nothing more is to come, when one system call does.
    pub(crate) fn end_now(&self) {
        if !self.has(ENDING) || self.has(LINGERING) {
            return;
        }
        if self.has(AT_ONCE) && !self.has(TRAILING) && self.socket.buffered() == 0 {
            return self.socket.destroy();
        }
        self.set(LINGERING);
        self.clear(STALLED | BODY_PAUSED | BLOCKED);
        self.since.set(self.core.now());
        self.socket.end();
        self.socket.resume();
    }

    /// Whether nothing is received and nothing is to be answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.get() == 0 && !self.has(RECEIVING | LINGERING | UPGRADED)
    }

    fn with_rare<R>(&self, work: impl FnOnce(&mut Rare) -> R) -> R {
        let mut rare = self.rare.take().unwrap_or_default();
        let result = work(&mut rare);
        let empty = rare.leftover.is_empty() && rare.finished.is_empty();
        self.rare.set((!empty).then_some(rare));
        result
    }

    fn take_rare<T>(&self, take: impl FnOnce(&mut Rare) -> T) -> Option<T> {
        let rare = self.rare.take()?;
        self.rare.set(Some(rare));
        Some(self.with_rare(take))
    }

    /// Stops decoding with `rest` left over.
    pub(crate) fn stall(&self, rest: &[u8]) {
        self.set(STALLED);
        if !rest.is_empty() {
            self.with_rare(|rare| rare.leftover.extend_from_slice(rest));
        }
        self.socket.pause();
    }

    /// Whether decoding has to stand still: a body that nobody wants to have now, too many requests waiting for their
    /// answers, or a client that does not read them.
    pub(crate) fn must_stall(&self) -> bool {
        self.has(BODY_PAUSED | BLOCKED) || self.outstanding.get() >= self.core.max_pipelined()
    }

    /// Decodes what was left over, if the reason for standing still is gone.
    fn unstall(self: &Rc<Self>) {
        if !self.has(STALLED) || self.must_stall() || self.has(LINGERING) {
            return;
        }
        self.clear(STALLED);
        if let Some(leftover) = self.take_rare(|rare| std::mem::take(&mut rare.leftover)) {
            self.feed(&leftover);
        }
        if !self.has(STALLED | UPGRADED) {
            self.socket.resume();
        }
    }

    /// Calls the handlers whose responses were ended since.
    fn report_finished(&self) {
        let finished = self.take_rare(|rare| std::mem::take(&mut rare.finished));
        for mut handler in finished.unwrap_or_default() {
            handler.on_finish();
        }
    }

    /// Tells the response whose turn it is that it may write on.
    fn report_drain(&self) {
        let Some(first) = self.exchanges.take() else { return };
        let number = first.number;
        let owed = first.needs_drain && self.socket.buffered() < self.socket.high_water_mark();
        self.exchanges.set(Some(first));
        if owed {
            self.with_exchange(number, |exchange, _| exchange.needs_drain = false);
            self.call_response_handler(number, |handler| handler.on_drain());
        }
    }

    fn call_response_handler(&self, number: u32, call: impl FnOnce(&mut dyn ResponseHandler)) {
        let taken = self.with_exchange(number, |exchange, _| (exchange.handler.take(), exchange.context));
        let Some((Some(mut handler), context)) = taken else { return };
        self.core.env().make_callback(context, || call(&mut *handler));
        let mut handler = Some(handler);
        // Put back unless replaced meanwhile. If the response was ended meanwhile, its handler still has to hear so.
        let placed = self.with_exchange(number, |exchange, _| {
            if exchange.handler.is_none() {
                exchange.handler = handler.take();
            }
        });
        if let (None, Some(handler)) = (placed, handler) {
            self.with_rare(|rare| rare.finished.push(handler));
            self.socket.notify();
        }
    }

    /// The socket is gone: whoever still waits is told.
    fn closed(&self) {
        self.set(LAST | LINGERING);
        let mut next = self.exchanges.take();
        self.report_finished();
        while let Some(mut exchange) = next {
            next = exchange.next.take();
            if let Some(mut body) = exchange.body_handler.take().filter(|_| !exchange.received) {
                body.on_abort();
            }
            if let Some(mut handler) = exchange.handler.take() {
                handler.on_close();
            }
            self.core.env().emit_destroy(exchange.context.async_id());
            self.core.pool.give(exchange);
        }
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
        self.connection.core.remove(self.key);
    }
}

impl SocketHandler for ConnectionTower {
    fn on_data(&mut self, data: &[u8]) {
        self.connection.feed(data);
    }

    fn on_end(&mut self) {
        let connection = &self.connection;
        if connection.has(LINGERING) {
            return connection.socket.destroy();
        }
        connection.set(PEER_ENDED);
        connection.end_of_input();
        if connection.outstanding.get() == 0 && !connection.has(LAST) {
            connection.end(true);
        }
    }

    fn on_drain(&mut self) {
        self.connection.clear(BLOCKED);
        self.connection.report_drain();
        self.connection.unstall();
    }

    fn on_notify(&mut self) {
        self.connection.report_finished();
        self.connection.report_drain();
        self.connection.unstall();
    }

    fn on_close(&mut self, _: bool) {
        self.connection.closed();
    }
}
