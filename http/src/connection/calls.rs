//! Handlers of responses and bodies during their own calls: out of their exchange, which the call may end, abandon or give
//! another handler. Mirrors what `HandlerCell` does for towers, for handlers whose place may be over when they return.

use super::Connection;
use crate::trace::{up, up_with};
use crate::upcall::{BodyHandler, ResponseHandler};
use crate::{Body, Response};
use async_wrap::layer::trace::Facts;
use std::rc::Rc;

/// The handler of a response during its call. It goes back into its exchange, or to the call that was deferred when the
/// response ended.
struct Lent<'a> {
    connection: &'a Connection,
    number: u32,
    handler: Option<Box<dyn ResponseHandler>>,
    has_returned: bool,
    /// Dropped last: if the call drops all others, the response is abandoned with its handler in place to be told.
    response: Response,
}

/// Calls the handler of the response of this number, if it has one.
pub(super) fn call_response_handler(
    connection: &Rc<Connection>,
    number: u32,
    name: &'static str,
    call: impl FnOnce(&mut dyn ResponseHandler, &Response),
) {
    let taken = connection.pipeline.with(number, |exchange, _| {
        let extra = exchange.extra_mut();
        let handler = extra.handler.take()?;
        extra.is_handler_out = true;
        exchange.handles += 1;
        Some((handler, exchange.context))
    });
    let Some((handler, context)) = taken.flatten() else { return };
    let response = Response::first(connection, number);
    let mut lent = Lent { connection, number, handler: Some(handler), has_returned: false, response };
    up(connection.core.env(), context, name, || {
        if let Some(handler) = &mut lent.handler {
            call(&mut **handler, &lent.response);
        }
    });
    lent.has_returned = true;
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.has_returned {
            // A handler that panicked is not called again.
            self.handler = None;
        }
        let handler = &mut self.handler;
        self.connection.pipeline.with(self.number, |exchange, _| {
            if exchange.extra().is_handler_out {
                let extra = exchange.extra_mut();
                (extra.is_handler_out, extra.handler) = (false, handler.take());
            }
        });
        self.connection.deferred.return_handler(handler);
    }
}

/// Hands some of the body at hand to its handler, if it has one.
pub(super) fn call_on_data(connection: &Rc<Connection>, data: &[u8]) {
    let number = connection.pipeline.newest();
    let taken = connection.pipeline.with(number, |exchange, _| {
        exchange.extra().body_handler.as_ref()?;
        let extra = exchange.extra_mut();
        extra.body_begun = true;
        extra.bodies += 1;
        Some((extra.body_handler.take()?, exchange.context))
    });
    let Some((mut handler, context)) = taken.flatten() else { return };
    let body = Body::first(connection, number);
    let facts = || Facts::default().bytes(data.len());
    up_with(connection.core.env(), context, "BodyHandler::on_data", facts, || handler.on_data(&body, data));
    let mut handler: Option<Box<dyn BodyHandler>> = Some(handler);
    connection.pipeline.with(number, |exchange, _| {
        let place = &mut exchange.extra_mut().body_handler;
        if place.is_none() {
            *place = handler.take();
        }
    });
}
