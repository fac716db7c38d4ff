//! A request's body: which handler receives it, and how fast. Mirrors the flow of `http.IncomingMessage`.

use crate::connection::{BodyPlace, Connection, place};
use crate::trace::up_within;
use crate::upcall::BodyHandler;
use async_wrap::layer::trace::Facts;
use std::fmt;
use std::rc::Rc;

/// A handle to a request's body; cheap to clone. Once the body is complete a handle has no effect, except that a handler
/// which is set too late gets `on_abort`.
///
/// The body waits while there is a handle and no handler: the handle may be moved into a task or a timer, and the handler
/// set there. Without a handle the body is discarded, and so is what is left of it once the response is complete.
///
/// ```
/// use http::proto::Fields;
/// use http::upcall::{BodyHandler, ResponseHandler};
/// use http::{Body, Request, Response};
///
/// /// Sends the body back, and pauses it while the client does not read.
/// struct Echo(Response);
/// struct Resume(Body);
///
/// impl BodyHandler for Echo {
///     fn on_data(&mut self, body: &Body, data: &[u8]) {
///         if let Ok(false) = self.0.write(data) {
///             body.pause();
///         }
///     }
///
///     fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
///         let _ = self.0.end(b"");
///     }
/// }
///
/// impl ResponseHandler for Resume {
///     fn on_drain(&mut self, _: &Response) {
///         self.0.resume();
///     }
/// }
///
/// fn echo(request: &Request<'_>, response: Response) {
///     let body = request.body();
///     response.set_handler(Resume(body.clone()));
///     body.set_handler(Echo(response));
/// }
/// ```
pub struct Body {
    connection: Rc<Connection>,
    number: u32,
}

impl Body {
    /// The handle of a program. A body with a handle and without a handler waits.
    pub(crate) fn new(connection: &Rc<Connection>, number: u32) -> Self {
        let body = Self::counted(connection, number);
        let wants_body = connection.pipeline.with(number, |exchange, _| exchange.extra().wants_body);
        if wants_body == Some(false) && body.is_current() {
            connection.state.hold_body();
        }
        body
    }

    /// A handle to lend to a handler's call. A body without one stays as it is.
    pub(crate) fn counted(connection: &Rc<Connection>, number: u32) -> Self {
        connection.pipeline.with(number, |exchange, _| exchange.extra_mut().bodies += 1);
        Self { connection: Rc::clone(connection), number }
    }

    /// Sets the handler that receives the body, to its end even if the response ends before. `on_end` or `on_abort` is
    /// called last, unless another handler takes its place. A handler that is set too late gets `on_abort`: the connection
    /// is closed, or the body, even an empty one, was discarded behind its response or went to another handler.
    pub fn set_handler(&self, handler: impl BodyHandler + 'static) {
        self.set_place(&Self::place(handler));
    }

    /// The place of a handler, which one body after another may have.
    pub(crate) fn place(handler: impl BodyHandler + 'static) -> BodyPlace {
        let place = place(handler);
        Rc::new(move |call| place(&mut |handler| call(handler)))
    }

    /// Whether both are handles of one body.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.connection, &other.connection) && self.number == other.number
    }

    /// Sets the handler by its place.
    pub(crate) fn set_place(&self, place: &BodyPlace) {
        let mut handler = Some(place);
        if self.is_current() {
            let old = self.connection.pipeline.with(self.number, |exchange, _| {
                let extra = exchange.extra_mut();
                extra.wants_body = true;
                (std::mem::replace(&mut extra.body_handler, handler.take().map(Rc::clone)), exchange.context)
            });
            if let Some((_, context)) = &old {
                // Behind the borrow, since values may do anything when they are dropped.
                self.connection.core.env.keep_values(context.async_id());
            }
            drop(old);
        }
        match handler {
            None if self.connection.state.claim_body() => self.on_flowing(),
            None => {}
            Some(handler) => self.refuse_handler(Rc::clone(handler)),
        }
    }

    /// Pauses the body: the client's bytes stay in the kernel's buffers, and when those are full with the client. Pipelined
    /// requests behind it wait as well.
    ///
    /// A pause does not outlast the response: a body that is paused when the response is complete, and of which no data was
    /// delivered, is discarded with an `on_abort`; pausing a discarded body has no effect, as in Node. A body of which data
    /// was delivered, and which stays paused behind its response, ends its connection after the keep-alive timeout.
    pub fn pause(&self) {
        // What is left behind its response has no exchange any more: nothing would resume it.
        if self.is_current() && self.connection.pipeline.with(self.number, |_, _| ()).is_some() {
            self.connection.state.pause_body();
        }
    }

    /// Resumes the body; without a handler it is discarded.
    pub fn resume(&self) {
        if self.is_current() && self.connection.state.resume_body() {
            self.on_flowing();
        }
    }

    /// The reasons why the body stood still are over.
    fn on_flowing(&self) {
        let Connection { state, pipeline, socket, .. } = &*self.connection;
        if state.is_stalled() {
            socket.notify();
        }
        if pipeline.with(self.number, |exchange, _| exchange.extra().continue_at_claim) == Some(true) {
            self.connection.send_continue(self.number);
        }
    }

    /// Tells a client that waits for it to send the body.
    pub(crate) fn ask_for_it(&self) {
        self.connection.send_continue(self.number);
    }

    /// A handler came too late, and is told: a task may wait for one of its calls.
    #[cold]
    fn refuse_handler(&self, handler: BodyPlace) {
        // In a tick, since the socket may have no further upcall.
        let body = self.clone();
        self.connection.core.env.next_tick(move || {
            up_within("BodyHandler::on_abort", Facts::default, || {
                handler(&mut |handler| handler.on_abort(&body));
            });
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
        let is_unclaimed = self.connection.pipeline.with(self.number, |exchange, _| {
            let extra = exchange.extra_mut();
            extra.bodies -= 1;
            extra.bodies == 0 && !extra.wants_body
        });
        if is_unclaimed == Some(true) {
            // Without a handle it can neither be claimed nor resumed.
            self.resume();
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("current", &self.is_current()).finish_non_exhaustive()
    }
}
