//! Calls of the handlers of responses and bodies, made at once or [deferred](super::Deferred). Mirrors the events that Node
//! emits on a `ServerResponse` and an `IncomingMessage`.

use super::Connection;
use super::exchange::Exchange;
use crate::trace::{up, up_with};
use crate::upcall::{BodyHandler, ResponseHandler};
use crate::{Body, Response};
use async_wrap::AsyncContext;
use async_wrap::layer::OnUnwind;
use async_wrap::layer::trace::Facts;
use std::cell::Cell;
use std::rc::Rc;

/// A handler's cell, which an exchange shares with its calls. During its own call, which may end the exchange or set another
/// handler, the handler is outside of the cell, and it does not return if it panics.
pub(crate) trait HandlerPlace<H: ?Sized> {
    fn call(&self, call: &mut dyn FnMut(&mut H));
}

impl<H: ResponseHandler + 'static> HandlerPlace<dyn ResponseHandler> for Cell<Option<H>> {
    fn call(&self, call: &mut dyn FnMut(&mut (dyn ResponseHandler + 'static))) {
        if let Some(mut handler) = self.take() {
            call(&mut handler);
            self.set(Some(handler));
        }
    }
}

impl<H: BodyHandler + 'static> HandlerPlace<dyn BodyHandler> for Cell<Option<H>> {
    fn call(&self, call: &mut dyn FnMut(&mut (dyn BodyHandler + 'static))) {
        if let Some(mut handler) = self.take() {
            call(&mut handler);
            self.set(Some(handler));
        }
    }
}

pub(crate) type ResponsePlace = Rc<dyn HandlerPlace<dyn ResponseHandler>>;
pub(crate) type BodyPlace = Rc<dyn HandlerPlace<dyn BodyHandler>>;

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

/// What a response's handler is told.
#[derive(Clone, Copy)]
pub(super) enum ResponseEvent {
    Drain,
    ClientEnd,
    Finish,
    Close,
}

impl Call {
    /// Tells the response's handler of an event, if it has one. After a last event it has none.
    pub(super) fn of_response(exchange: &mut Exchange, event: ResponseEvent) -> Option<Self> {
        let handler = exchange.extra().handler.clone()?;
        if let ResponseEvent::Finish | ResponseEvent::Close = event {
            exchange.extra_mut().handler = None;
        }
        Some(Self {
            context: exchange.context,
            number: exchange.number,
            what: What::Response(event, handler),
        })
    }

    /// Tells the body's handler, if it has one, that the rest does not come.
    pub(super) fn of_abort(exchange: &mut Exchange) -> Option<Self> {
        exchange.extra().body_handler.as_ref()?;
        let what = What::Abort(exchange.extra_mut().body_handler.take()?);
        Some(Self { context: exchange.context, number: exchange.number, what })
    }

    /// Ends a context.
    pub(super) fn of_end(context: AsyncContext) -> Self {
        Self { context, number: 0, what: What::Destroy }
    }

    /// Whether it ends a context, which it has to do even if no handler is called any more.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.what, What::Destroy)
    }

    pub(super) fn make(self, connection: &Rc<Connection>) {
        let Self { context, number, what } = self;
        let env = &connection.core.env;
        match what {
            What::Response(event, handler) => {
                let response = Response::counted(connection, number);
                let panicked = OnUnwind::new(|| forget_handler(connection, number, &handler));
                let (name, tell) = event.method();
                up(env, context, name, || handler.call(&mut |handler| tell(handler, &response)));
                panicked.disarm();
            }
            What::Abort(handler) => {
                let body = Body::counted(connection, number);
                let name = "BodyHandler::on_abort";
                up(env, context, name, || handler.call(&mut |handler| handler.on_abort(&body)));
            }
            What::Destroy => env.emit_destroy(context.async_id()),
        }
    }
}

/// A handler that panicked does not count as one that will write on.
fn forget_handler(connection: &Connection, number: u32, handler: &ResponsePlace) {
    connection
        .pipeline
        .with(number, |exchange, _| exchange.extra_mut().handler.take_if(|place| Rc::ptr_eq(place, handler)));
}

impl ResponseEvent {
    /// The method's name, and its call.
    fn method(self) -> (&'static str, fn(&mut dyn ResponseHandler, &Response)) {
        match self {
            Self::Drain => ("ResponseHandler::on_drain", |handler, response| handler.on_drain(response)),
            Self::ClientEnd => {
                ("ResponseHandler::on_client_end", |handler, response| handler.on_client_end(response))
            }
            Self::Finish => ("ResponseHandler::on_finish", |handler, response| handler.on_finish(response)),
            Self::Close => ("ResponseHandler::on_close", |handler, response| handler.on_close(response)),
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
    up_with(&connection.core.env, context, "BodyHandler::on_data", facts, || {
        handler.call(&mut |handler| handler.on_data(&body, data));
    });
}
