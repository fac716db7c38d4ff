//! Calls of the handlers of responses and bodies, made at once or [deferred](super::Deferred). Mirrors the events that Node
//! emits on a `ServerResponse` and an `IncomingMessage`.

use super::Connection;
use super::exchange::Exchange;
use crate::trace::{up, up_within};
use crate::upcall::{BodyHandler, ResponseHandler};
use crate::{Body, Response};
use async_wrap::AsyncContext;
use async_wrap::layer::OnUnwind;
use async_wrap::layer::trace::Facts;
use std::cell::Cell;
use std::rc::Rc;

/// A handler's place, which an exchange shares with its calls.
type Place<H> = Rc<dyn Fn(&mut dyn FnMut(&mut H))>;

pub(crate) type ResponsePlace = Place<dyn ResponseHandler>;
pub(crate) type BodyPlace = Place<dyn BodyHandler>;

/// A place for a handler. During its own call, which may end the exchange or set another handler, the handler is outside
/// of it, and it does not return if it panics.
pub(crate) fn place<H>(handler: H) -> impl Fn(&mut dyn FnMut(&mut H)) {
    let cell = Cell::new(Some(handler));
    move |call| {
        if let Some(mut handler) = cell.take() {
            call(&mut handler);
            cell.set(Some(handler));
        }
    }
}

/// A method of a response's handler: its name, and its call.
pub(super) type ResponseEvent = (&'static str, fn(&mut dyn ResponseHandler, &Response));

pub(super) const DRAIN: ResponseEvent =
    ("ResponseHandler::on_drain", |handler, response| handler.on_drain(response));
pub(super) const CLIENT_END: ResponseEvent =
    ("ResponseHandler::on_client_end", |handler, response| handler.on_client_end(response));
pub(super) const FINISH: ResponseEvent =
    ("ResponseHandler::on_finish", |handler, response| handler.on_finish(response));
pub(super) const CLOSE: ResponseEvent =
    ("ResponseHandler::on_close", |handler, response| handler.on_close(response));

/// A call in the context of an exchange, which may be over.
pub(super) struct Call {
    context: AsyncContext,
    number: u32,
    what: What,
}

enum What {
    Response(ResponseEvent, ResponsePlace),
    Abort(BodyPlace),
    /// No handler is called: the context ends.
    Destroy,
}

impl Call {
    fn new(exchange: &Exchange, what: What) -> Self {
        Self { context: exchange.context, number: exchange.number, what }
    }

    /// Tells the response's handler of an event, if it has one.
    pub(super) fn of_response(exchange: &Exchange, event: ResponseEvent) -> Option<Self> {
        let handler = exchange.extra().handler.clone()?;
        Some(Self::new(exchange, What::Response(event, handler)))
    }

    /// The same for the last event.
    pub(super) fn of_last(exchange: &mut Exchange, event: ResponseEvent) -> Option<Self> {
        let call = Self::of_response(exchange, event)?;
        exchange.extra_mut().handler = None;
        Some(call)
    }

    /// Tells the body's handler, if it has one, that the rest does not come.
    pub(super) fn of_abort(exchange: &mut Exchange) -> Option<Self> {
        let handler = exchange.extra().body_handler.clone()?;
        exchange.extra_mut().body_handler = None;
        Some(Self::new(exchange, What::Abort(handler)))
    }

    pub(super) fn of_end(context: AsyncContext) -> Self {
        Self { context, number: 0, what: What::Destroy }
    }

    /// Whether it ends a context, which it has to do even if no handler is called any more.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.what, What::Destroy)
    }

    pub(super) fn make(self, connection: &Rc<Connection>) {
        let Self { context, number, what } = self;
        let Connection { core, pipeline, .. } = &**connection;
        match what {
            What::Response((name, tell), handler) => {
                let response = Response::counted(connection, number);
                // A handler that panicked will not write on.
                let is_it = |place: &mut ResponsePlace| Rc::ptr_eq(place, &handler);
                let panicked = OnUnwind::new(|| {
                    pipeline.with(number, |exchange, _| exchange.extra_mut().handler.take_if(is_it));
                });
                up(&core.env, context, name, || handler(&mut |handler| tell(handler, &response)));
                panicked.disarm();
            }
            What::Abort(handler) => {
                let (name, body) = ("BodyHandler::on_abort", Body::counted(connection, number));
                up(&core.env, context, name, || handler(&mut |handler| handler.on_abort(&body)));
            }
            What::Destroy => core.env.emit_destroy(context.async_id()),
        }
    }
}

/// Hands some of the body at hand to its handler, if it has one.
pub(super) fn call_on_data(connection: &Rc<Connection>, data: &[u8]) {
    let number = connection.pipeline.newest();
    let found = connection.pipeline.with(number, |exchange, _| {
        let handler = exchange.extra().body_handler.clone()?;
        exchange.extra_mut().body_begun = true;
        Some((handler, exchange.context))
    });
    let Some((handler, context)) = found.flatten() else { return };
    let body = Body::counted(connection, number);
    let facts = || Facts::default().bytes(data.len());
    let call = || handler(&mut |handler| handler.on_data(&body, data));
    connection.core.env.make_callback(context, || up_within("BodyHandler::on_data", facts, call));
}
