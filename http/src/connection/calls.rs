//! A response's handler during its own call: out of its exchange, which the call may end, abandon or give another handler.
//! Mirrors what `HandlerCell` does for towers, for handlers whose place may be gone when they return.

use crate::connection::deferred::Call;
use crate::connection::{Connection, FINISH_OWED};
use crate::upcall::ResponseHandler;
use crate::{LAYER, Response};
use async_wrap::AsyncContext;
use std::rc::Rc;

/// Gives the handler back when dropped, also by a panic, after which it is not called again.
struct Lent<'a> {
    connection: &'a Rc<Connection>,
    number: u32,
    context: AsyncContext,
    handler: Option<Box<dyn ResponseHandler>>,
    /// Dropped last: if the call let go of all others, the response is abandoned with its handler in place to be told.
    response: Response,
}

impl Connection {
    pub(crate) fn call_response_handler(
        self: &Rc<Self>,
        number: u32,
        name: &'static str,
        call: impl FnOnce(&mut dyn ResponseHandler, &Response),
    ) {
        let taken = self.with_exchange(number, |exchange, _| {
            let handler = exchange.handler.take()?;
            exchange.handler_is_out = true;
            exchange.handles += 1;
            Some((handler, exchange.context))
        });
        let Some((handler, context)) = taken.flatten() else { return };
        self.clear(FINISH_OWED);
        let response = Response::first(self, number);
        let mut lent = Lent { connection: self, number, context, handler: Some(handler), response };
        self.core.env().make_callback(context, || {
            let _up = LAYER.up(name, || context.facts());
            if let Some(handler) = &mut lent.handler {
                call(&mut **handler, &lent.response);
            }
        });
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Self { connection, number, context, handler, .. } = self;
        if std::thread::panicking() {
            drop(handler.take());
        }
        // Put back, unless it was replaced or the exchange is over.
        let found = connection.with_exchange(*number, |exchange, _| {
            if std::mem::take(&mut exchange.handler_is_out) {
                exchange.handler = handler.take();
            }
        });
        if !connection.has(FINISH_OWED) {
            return;
        }
        if let Some(handler) = handler.take() {
            connection.owe(*context, *number, Call::Finish(handler));
        }
        if found.is_none() {
            connection.end_context(context);
        }
    }
}
