//! What a client's end does to the answers that are due. Mirrors `socketOnEnd`, `abortIncoming` and `httpAllowHalfOpen`.
//!
//! A client that ends its side is gone, or it waits for its answer: a FIN does not tell which. As in Node it is taken for
//! gone unless [`allow_half_open`](crate::ServerOptions::allow_half_open) says otherwise, and handlers hear `on_close`. Unlike
//! Node, which cuts the connection there and then, it still gets the answers that have begun, as RFC 9112, 9.6 has it, and
//! those that come all the same; but only for so long as nobody has to wait for them.
//!
//! A connection that stands still does not come to the FIN, which lies behind what is unread. The socket tells of it all the
//! same. Where only other answers are waited for it then counts as read, as Node would have read it. Where a handler
//! does not want the body yet it does not, since the body may be there to its last byte: but a handler that never goes on
//! would keep a connection whose client is gone, so it is told, and has the same time.

use crate::connection::deferred::Call;
use crate::connection::exchange::Phase;
use crate::connection::{
    BLOCKED, BODY_HELD, BODY_PAUSED, Connection, ENDING, LAST, LINGERING, PEER_ENDED, STALLED, UNREAD_END,
    UPGRADED,
};
use std::rc::Rc;
use std::time::Duration;

/// How long something may be waited for although the client has ended: not long, since most such clients are gone.
const LIMIT_AFTER_END: Duration = Duration::from_secs(3);

impl Connection {
    /// The client has ended its side, and all that it sent was read.
    pub(crate) fn client_ended(self: &Rc<Self>) {
        self.set(PEER_ENDED);
        if self.has(LINGERING) {
            // The socket closes itself when both sides have ended.
            return;
        }
        if !self.is_deaf() {
            self.end_of_input();
        }
        if self.has(ENDING) {
            // It ended inside of a request, and nothing was due before.
        } else if self.outstanding.get() > 0 {
            self.since.set(self.core.now());
            self.tell_client_end(true);
        } else if !self.has(LAST) {
            self.end(true);
        }
    }

    /// The client has ended its side, and what it sent before is not read, since the connection stands still.
    pub(crate) fn client_ended_unread(self: &Rc<Self>) {
        self.set(UNREAD_END);
        self.judge_unread_end();
    }

    /// Decides again about a client that has ended behind what is not read.
    pub(crate) fn judge_unread_end(self: &Rc<Self>) {
        if self.has(UNREAD_END) && self.has(STALLED) && !self.has(LINGERING | UPGRADED) {
            self.tell_client_end(!self.has(BLOCKED) && !self.holds_body_back());
        }
    }

    /// A handler is new, or another one's: if the client has ended already it is told so, from the loop.
    pub(crate) fn tell_later_of_client_end(&self) {
        if self.has(PEER_ENDED | UNREAD_END) {
            self.socket.notify();
        }
    }

    /// Tells the handlers that are new since the client's end.
    pub(crate) fn tell_late_handlers(self: &Rc<Self>) {
        if self.has(PEER_ENDED) && !self.has(LINGERING | UPGRADED) {
            self.tell_client_end(true);
        } else {
            self.judge_unread_end();
        }
    }

    /// Whether some of a body is unread because its handler does not want it now.
    fn holds_body_back(&self) -> bool {
        if !self.has(BODY_PAUSED | BODY_HELD) {
            return false;
        }
        let decoder = self.decoder.take();
        let is_whole = decoder.is_at_end();
        self.decoder.set(decoder);
        !is_whole
    }

    /// Tells the handlers of all answers that are due, each once: where the end counts, that they are too late unless they
    /// have begun.
    fn tell_client_end(self: &Rc<Self>, counts: bool) {
        let counts = counts && !self.core.options().allow_half_open;
        let list = self.exchanges.take();
        let first = list.as_ref().map(|first| first.number);
        self.exchanges.set(list);
        let Some(first) = first else { return };
        let newest = self.newest.get();
        for number in (0..=newest.wrapping_sub(first)).map(|index| first.wrapping_add(index)) {
            let is_to_be_told = self.with_exchange(number, |exchange, _| {
                if exchange.handler.is_none() || exchange.phase == Phase::Ended {
                    return false;
                }
                if counts && exchange.phase == Phase::Head {
                    if let Some(handler) = exchange.handler.take() {
                        self.owe(exchange.context, exchange.number, Call::Close(handler));
                    }
                    return false;
                }
                !std::mem::replace(&mut exchange.knows_end, true)
            });
            if is_to_be_told == Some(true) {
                self.call_response_handler(number, "ResponseHandler::on_client_end", |handler, response| {
                    handler.on_client_end(response);
                });
            }
        }
    }

    /// Whether nothing but handlers is waited for although the client has ended, and for how long that may be.
    fn limit_after_end(&self) -> Option<Duration> {
        let has_ended = self.has(PEER_ENDED) || (self.has(UNREAD_END) && self.has(STALLED));
        let waits = self.outstanding.get() > 0 && self.socket.buffered() == 0;
        if !has_ended || !waits {
            return None;
        }
        match self.core.options() {
            options if !options.allow_half_open => Some(LIMIT_AFTER_END),
            // A handler may take its time, but not with what is in the way of the next one.
            options if self.has(BODY_PAUSED | BODY_HELD) => Some(options.request_timeout),
            _ => None,
        }
    }

    /// Whether handlers were waited for too long; `None` if that is not all that goes on.
    pub(crate) fn is_forsaken(&self, now: Duration) -> Option<bool> {
        if let Some(limit) = self.limit_after_end() {
            return Some(self.is_over(now, limit));
        }
        let is_paused = self.has(STALLED) && self.has(BODY_PAUSED) && !self.has(BLOCKED);
        let is_answered = |connection: &Self| {
            let is_it = connection.with_exchange(connection.newest.get(), |exchange, first| {
                first && exchange.phase == Phase::Ended
            });
            is_it == Some(true)
        };
        if is_paused && is_answered(self) {
            // A body that stays paused although its answer is complete. Node arms the keep-alive timeout there.
            let limit = self.idle_limit();
            return Some(
                self.is_over(now, if limit.is_zero() { self.core.options().request_timeout } else { limit }),
            );
        }
        None
    }
}
