//! A request's body: who takes it, and how fast. Mirrors the flow of `http.IncomingMessage`.

use crate::connection::{BODY_PAUSED, Connection};
use crate::upcall::BodyHandler;
use std::fmt;
use std::rc::Rc;

/// A handle to a request's body. A cheap clone; stale once the body is complete, when all of it does nothing.
#[derive(Clone)]
pub struct Body {
    connection: Rc<Connection>,
    number: u32,
}

impl Body {
    pub(crate) fn new(connection: &Rc<Connection>, number: u32) -> Self {
        Self { connection: Rc::clone(connection), number }
    }

    /// Sets who takes the body, to its end even if the response is ended before. Without it the body is thrown away.
    pub fn set_handler(&self, handler: impl BodyHandler + 'static) {
        if !self.is_current() {
            return;
        }
        let mut handler: Option<Box<dyn BodyHandler>> = Some(Box::new(handler));
        let old = self.connection.with_exchange(self.number, |exchange, _| {
            exchange.wants_body = true;
            exchange.is_bare = false;
            std::mem::replace(&mut exchange.body_handler, handler.take())
        });
        drop(old);
    }

    /// Stops the body: the client's bytes stay with the kernel, and after a while with the client. Pipelined requests
    /// behind it wait as well.
    pub fn pause(&self) {
        if self.is_current() {
            self.connection.set(BODY_PAUSED);
        }
    }

    /// Lets the body come again.
    pub fn resume(&self) {
        if self.is_current() && self.connection.has(BODY_PAUSED) {
            self.connection.clear(BODY_PAUSED);
            self.connection.socket.notify();
        }
    }

    /// Whether this is the body that is being received.
    fn is_current(&self) -> bool {
        self.connection.is_receiving(self.number)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("current", &self.is_current()).finish_non_exhaustive()
    }
}
