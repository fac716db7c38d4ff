//! The exchanges of a connection: the requests that are not answered yet, the oldest first, and how they leave.
//!
//! Answers go out in the order of the requests, so only the first exchange writes; what later ones write waits in them.
//! Most requests are alone, and answered before the next one is looked at: for those the list is one place.

use crate::connection::deferred::Call;
use crate::connection::exchange::{Exchange, Phase};
use crate::connection::{BODY_HELD, BODY_PAUSED, CUT, Connection, FINISH_OWED, IN_MESSAGE, LAST, STALLED};
use std::rc::Rc;

impl Connection {
    /// Works on the exchange of this number, if it is still in the list; `first` tells whether it is its turn to be
    /// answered. `work` calls nobody.
    pub(crate) fn with_exchange<R>(
        &self,
        number: u32,
        work: impl FnOnce(&mut Exchange, bool) -> R,
    ) -> Option<R> {
        if self.outstanding.get() == 0 {
            return None;
        }
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

    /// Makes an exchange the only one; returns its number.
    #[inline]
    pub(crate) fn push_first(&self, mut exchange: Box<Exchange>) -> u32 {
        let number = self.newest.get().wrapping_add(1);
        exchange.number = number;
        self.newest.set(number);
        self.outstanding.set(1);
        let before = self.exchanges.replace(Some(exchange));
        debug_assert!(before.is_none(), "{} exchanges are one too many", self.outstanding.get());
        number
    }

    /// Appends an exchange to the list; returns its number.
    pub(crate) fn push(&self, mut exchange: Box<Exchange>) -> u32 {
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
        number
    }

    /// Lets go of every exchange whose answer is written, and lets the next one write.
    pub(crate) fn advance(self: &Rc<Self>) {
        if let Some(first) = self.exchanges.take() {
            self.advance_from(first);
        }
    }

    /// The same, with the first exchange out of the list.
    pub(crate) fn advance_from(self: &Rc<Self>, mut first: Box<Exchange>) {
        loop {
            if !first.waiting.is_empty() {
                self.release(&mut first);
            }
            if first.phase != Phase::Ended {
                self.exchanges.set(Some(first));
                break;
            }
            if !self.leave(first) {
                break;
            }
            match self.exchanges.take() {
                Some(next) => first = next,
                None => break,
            }
        }
        self.have_left();
    }

    /// Lets go of an exchange that was the only one, and whose answer was ordinary.
    #[inline(always)]
    pub(crate) fn leave_ordinary(self: &Rc<Self>, mut exchange: Box<Exchange>) {
        self.outstanding.set(0);
        // What is left of the body is thrown away, also if it was paused.
        self.clear(BODY_PAUSED | BODY_HELD);
        self.end_context(&exchange.context);
        exchange.reset_ordinary();
        self.core.pool.give_as_new(exchange);
        if !self.has(IN_MESSAGE) || self.has(STALLED) {
            self.have_left();
        }
    }

    /// Goes on after exchanges left the list.
    #[inline(never)]
    fn have_left(self: &Rc<Self>) {
        if self.outstanding.get() == 0 && !self.has(LAST | IN_MESSAGE) {
            self.become_idle();
        }
        if self.has(STALLED) {
            self.socket.notify();
        }
    }

    /// Lets go of the first exchange, whose answer is written, unless its body still comes. Returns whether it is the
    /// next one's turn.
    fn leave(self: &Rc<Self>, mut first: Box<Exchange>) -> bool {
        // An answer that is like most neither outlasts its request's body nor ends the connection.
        let (stays, ends) = if first.is_bare { (false, None) } else { self.look_back(&mut first) };
        if stays {
            self.exchanges.set(Some(first));
        } else {
            self.exchanges.set(first.next.take());
            self.outstanding.set(self.outstanding.get() - 1);
            self.retire(first);
        }
        if let Some(client_closes) = ends {
            self.end(client_closes);
        }
        !stays && ends.is_none()
    }

    /// Whether an exchange stays although its answer is written, since the rest of the body still goes to its handler; and
    /// whether it ends the connection, then with whose wish that was.
    fn look_back(&self, exchange: &mut Exchange) -> (bool, Option<bool>) {
        // As in Node what was not begun to be taken is not waited for.
        let is_wanted = exchange.wants_body && (exchange.body_begun || !self.has(BODY_PAUSED));
        let body_goes_on = is_wanted && self.is_receiving(exchange.number);
        if body_goes_on {
            self.owe_finish(exchange);
            if self.has(STALLED) {
                self.since.set(self.core.now());
            }
        }
        if exchange.is_cut() {
            self.set(CUT);
        }
        (body_goes_on, (!exchange.keep_alive).then_some(exchange.client_closes))
    }

    /// Sends what an exchange held until its turn.
    fn release(&self, exchange: &mut Exchange) {
        self.held.set(self.held.get() - exchange.waiting.len());
        self.send_waiting(&mut exchange.waiting);
        if exchange.needs_drain {
            self.socket.notify();
        }
    }

    /// Has output of an exchange wait until its turn.
    pub(crate) fn hold(&self, exchange: &mut Exchange, write: impl FnOnce(&Exchange, &mut Vec<u8>)) {
        exchange.is_bare = false;
        let mut waiting = std::mem::take(&mut exchange.waiting);
        let before = waiting.len();
        write(exchange, &mut waiting);
        self.held.set(self.held.get() + waiting.len() - before);
        exchange.waiting = waiting;
    }

    /// Has the response's handler told of its end. Returns whether that is left to whoever is calling it now.
    fn owe_finish(&self, exchange: &mut Exchange) -> bool {
        if let Some(handler) = exchange.handler.take() {
            self.owe(exchange.context, exchange.number, Call::Finish(handler));
        }
        let is_out = std::mem::take(&mut exchange.handler_is_out);
        if is_out {
            self.set(FINISH_OWED);
        }
        is_out
    }

    /// Has both handlers told that the exchange is over. Returns what [`owe_finish`](Self::owe_finish) does.
    fn owe_ends(&self, exchange: &mut Exchange) -> bool {
        let is_handler_out = self.owe_finish(exchange);
        if let Some(handler) = exchange.body_handler.take() {
            self.owe(exchange.context, exchange.number, Call::Abort(handler));
        }
        is_handler_out
    }

    fn retire(&self, mut exchange: Box<Exchange>) {
        let is_handler_out = !exchange.is_bare && self.owe_ends(&mut exchange);
        if self.is_receiving(exchange.number) {
            // What is left of the body is thrown away, also if it was paused.
            self.clear(BODY_PAUSED | BODY_HELD);
        }
        if !is_handler_out {
            self.end_context(&exchange.context);
        }
        self.core.pool.give(exchange);
    }
}
