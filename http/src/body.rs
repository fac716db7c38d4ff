//! A request's body: who takes it, and how fast. Mirrors the flow of `http.IncomingMessage`.

use crate::LAYER;
use crate::connection::{BODY_HELD, BODY_PAUSED, Connection, STALLED};
use crate::upcall::BodyHandler;
use async_wrap::layer::trace::Facts;
use std::fmt;
use std::rc::Rc;

/// A handle to a request's body. A cheap clone; stale once the body is complete, when it does nothing but tell a handler
/// that comes too late.
///
/// While there is a handle and nobody was named who takes the body, it stands still: it may be carried into a task or a
/// timer and claimed there. Without a handle it is thrown away, and so is what is left of it once its answer is complete.
pub struct Body {
    connection: Rc<Connection>,
    number: u32,
}

impl Body {
    pub(crate) fn new(connection: &Rc<Connection>, number: u32) -> Self {
        let body = Self { connection: Rc::clone(connection), number };
        let is_unclaimed = body.connection.with_exchange(number, |exchange, _| {
            exchange.is_bare = false;
            exchange.bodies += 1;
            !exchange.wants_body
        });
        if is_unclaimed == Some(true) && body.is_current() {
            body.connection.set(BODY_HELD);
        }
        body
    }

    /// A handle that the exchange counts already.
    pub(crate) fn first(connection: &Rc<Connection>, number: u32) -> Self {
        Self { connection: Rc::clone(connection), number }
    }

    /// A further handle of a body that is claimed, counted if its exchange is not over.
    pub(crate) fn counted(connection: &Rc<Connection>, number: u32) -> Self {
        connection.with_exchange(number, |exchange, _| exchange.bodies += 1);
        Self::first(connection, number)
    }

    /// Sets who takes the body, to its end even if the response is ended before. It hears `on_end` or `on_abort` unless
    /// another one takes its place: one that comes too late hears `on_abort`, be it that the connection is gone or that
    /// the body, even an empty one, was thrown away behind its answer or went to another handler.
    pub fn set_handler(&self, handler: impl BodyHandler + 'static) {
        let mut handler: Option<Box<dyn BodyHandler>> = Some(Box::new(handler));
        if self.is_current() {
            let old = self.connection.with_exchange(self.number, |exchange, _| {
                exchange.wants_body = true;
                exchange.is_bare = false;
                std::mem::replace(&mut exchange.body_handler, handler.take())
            });
            drop(old);
        }
        match handler {
            None => self.connection.let_body_come(self.number, BODY_HELD),
            Some(handler) => self.refuse(handler),
        }
    }

    /// Stops the body: the client's bytes stay with the kernel, and after a while with the client. Pipelined requests
    /// behind it wait as well.
    ///
    /// It does not outlast the answer: what is paused when that is complete, and was not begun to be taken, is thrown away
    /// with an `on_abort`, and to pause what is thrown away already does nothing, as in Node. One that is still taken, and
    /// paused later, ends its connection after the keep-alive timeout.
    pub fn pause(&self) {
        // What is left behind its answer has no exchange any more: nothing would let it come again.
        if self.is_current() && self.connection.with_exchange(self.number, |_, _| ()).is_some() {
            self.connection.set(BODY_PAUSED);
        }
    }

    /// Lets the body come again; one that nobody takes is thrown away.
    pub fn resume(&self) {
        if self.is_current() {
            self.connection.let_body_come(self.number, BODY_PAUSED | BODY_HELD);
        }
    }

    /// Reports to a handler that came too late: a task may wait for one of its calls.
    #[cold]
    fn refuse(&self, mut handler: Box<dyn BodyHandler>) {
        let body = self.clone();
        // In a tick, since the socket may have no further upcall.
        self.connection.core.env().next_tick(move || {
            let _up = LAYER.up("BodyHandler::on_abort", Facts::default);
            handler.on_abort(&body);
        });
    }

    /// Whether this is the body that is being received.
    fn is_current(&self) -> bool {
        self.connection.is_receiving(self.number)
    }
}

impl Clone for Body {
    fn clone(&self) -> Self {
        Self::counted(&self.connection, self.number)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let is_unclaimed = self.connection.with_exchange(self.number, |exchange, _| {
            exchange.bodies -= 1;
            exchange.bodies == 0 && !exchange.wants_body
        });
        if is_unclaimed == Some(true) && self.is_current() {
            // Nobody can claim it any more, nor let it come again.
            self.connection.let_body_come(self.number, BODY_PAUSED | BODY_HELD);
        }
    }
}

impl Connection {
    /// The reasons `why` the body at hand stood still are gone.
    fn let_body_come(&self, number: u32, why: u32) {
        if !self.has(why) {
            return;
        }
        self.clear(why);
        if self.has(STALLED) {
            self.socket.notify();
        }
        if self.with_exchange(number, |exchange, _| exchange.continue_is_owed) == Some(true) {
            self.send_continue(number);
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("current", &self.is_current()).finish_non_exhaustive()
    }
}
