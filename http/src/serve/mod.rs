//! Handlers that are async functions: the future of a request, and what becomes of it.
//!
//! [`Server::serve`](crate::Server::serve) calls one with each request, [`Serving`] is the same as a handler for
//! [`Server::listen`](crate::Server::listen), and [`Serving::with_upgrades`] takes WebSockets and tunnels. An [`OwnedRequest`] may be
//! kept; its body is awaited as pieces or whole, as a `Stream` or as an `AsyncRead`. A [`Response`] is written as from any other
//! handler; [`Response::drained`] and [`Response::closed`] wait for it, and [`Response::send`] takes its body from a stream.
//!
//! A request is a task of its own. It begins at once, as the call of an async function does in Node: a handler that awaits
//! nothing has responded when [`RequestHandler::on_request`] returns.
//!
//! With the cargo feature `json`, which is off by default, `OwnedRequest::json(limit)` reads a body as a value of serde, and
//! `Response::send_json(&value)` responds with one. [`guide`](crate::guide) shows how requests share state, and have ids.
//!
//! # What ends a handler
//!
//! | what happens | what becomes of the handler, and of its response |
//! |---|---|
//! | it fails or panics, and the head is not sent | 500; 413 for [`Error::BodyTooLong`]; what [`Error::refused`] names |
//! | it fails or panics later, or returns without an end | the response is broken off, and its client sees that |
//! | its client closes or resets the connection | it is dropped at its `.await`, unless it is [detached](Response::detach) |
//! | its client ends its side only | it has three seconds to respond, as the client may wait; as long as it likes with [`allow_half_open`](crate::ServerOptions#structfield.allow_half_open) |
//! | [`Server::shutdown`](crate::Server::shutdown) | it goes on until the time of grace is over; then it is dropped |
//!
//! # What it costs
//!
//! One allocation for each request, which is the handler's future, and a copy of the head into memory that is used again: 1.02
//! times the CPU time of the same with a callback in the benchmark `http/keep-alive`.
//!
//! # Server-sent events
//!
//! They need no more than an interval and a write. The handler is dropped at its `.await` when the client leaves.
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use http::serve::{Failure, OwnedRequest};
//! use std::time::Duration;
//!
//! async fn events(_: OwnedRequest, response: Response) -> Result<(), Failure> {
//!     response.set_header("Content-Type", "text/event-stream")?.set_header("Cache-Control", "no-store")?;
//!     response.flush_headers()?;
//!     let mut every_second = response.environment().interval(Duration::from_secs(1));
//!     for number in 1.. {
//!         every_second.tick().await;
//!         // What many clients get is made once, and shared by `write_bytes`.
//!         if !response.write_bytes(Bytes::from(format!("id: {number}\ndata: tick\n\n")))? {
//!             response.drained().await?;
//!         }
//!     }
//!     Ok(())
//! }
//! ```

mod body;
#[cfg(feature = "json")]
mod json;
mod request;
mod stream;
mod upgrade;
mod waiting;

use crate::proto::{OwnedHead, RequestHead};
use crate::upcall::RequestHandler;
use crate::{Error, Request, Response};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub use body::BodyReader;
pub use request::OwnedRequest;
pub(crate) use request::SpareHeads;
pub use upgrade::{Upgrade, Upgrading};
pub(crate) use waiting::{Notifier, Waiting};

/// Why a handler has failed: an error of any kind, which is told to the crate `log` with the request's method and path. The client gets 500; for [`Error::refused`] the status that it
/// names, and for [`Error::BodyTooLong`] 413, which are not logged. A response that has begun is broken off.
pub type Failure = Box<dyn std::error::Error>;

/// A [`RequestHandler`] that calls an async function with each request: see [`Server::serve`](crate::Server::serve).
pub struct Serving<F>(F);

impl<F, R> Serving<F>
where
    F: FnMut(OwnedRequest, Response) -> R + 'static,
    R: Future<Output = Result<(), Failure>> + 'static,
{
    /// A handler that calls `serve`.
    pub fn new(serve: F) -> Self {
        Self(serve)
    }
}

impl<F, R> RequestHandler for Serving<F>
where
    F: FnMut(OwnedRequest, Response) -> R + 'static,
    R: Future<Output = Result<(), Failure>> + 'static,
{
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        let (connection, number) = (request.connection(), request.number());
        let request = OwnedRequest::new(request);
        let head = request.shared_head();
        let future = (self.0)(request, response.clone());
        if let Some(task) = connection.core.env.start_detached(Handling { future, response, head }) {
            connection.note_task(number, task);
        }
    }
}

impl<F> fmt::Debug for Serving<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a request.
    struct Handling<R> {
        #[pin]
        future: R,
        // What the future leaves open ends with this handle: 500, or a connection that is broken off.
        response: Response,
        // For what is logged.
        head: Rc<OwnedHead>,
    }
}

impl<R: Future<Output = Result<(), Failure>>> Future for Handling<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        poll_caught(this.future, context).map(|result| match result {
            Ok(()) => {}
            Err(failure) => fail(this.response, &this.head.head(), failure),
        })
    }
}

/// Polls the future of a handler. `Err(None)` is a panic, after which it may only be dropped.
fn poll_caught<R: Future<Output = Result<(), Failure>>>(
    future: Pin<&mut R>,
    context: &mut Context<'_>,
) -> Poll<Result<(), Option<Failure>>> {
    let Ok(polled) = catch_unwind(AssertUnwindSafe(|| future.poll(context))) else {
        return Poll::Ready(Err(None));
    };
    polled.map(|result| result.map_err(Some))
}

/// The failure as an error of this crate, also if `AsyncRead` has brought it.
fn own_error<'a>(failure: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let read = || failure.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref();
    failure.downcast_ref().or_else(read)
}

/// The response that the error of a handler stands for. `None` if it stands for none.
fn refusal_of(error: &Error) -> Option<(u16, Cow<'_, str>)> {
    match error {
        Error::BodyTooLong(_) => Some((413, format!("{error}\n").into())),
        Error::Refused { status, text } => Some((*status, text.into())),
        _ => None,
    }
}

#[cold]
fn fail(response: &Response, request: &RequestHead<'_>, failure: Option<Failure>) {
    if let Some(failure) = &failure
        && let Some(error) = own_error(&**failure)
    {
        // Else the client has disconnected, or was answered.
        let refused = refusal_of(error).map(|(status, text)| response.refuse(status, &text));
        if refused.is_some_and(|refused| refused.is_ok()) || *error == Error::Closed {
            return;
        }
    }
    log_failure(log::Level::Error, request, failure);
    response.give_up();
}

/// Tells why the handler of a request has failed; without a failure it has panicked.
fn log_failure(level: log::Level, request: &RequestHead<'_>, failure: Option<Failure>) {
    // The query may have secrets.
    let (method, path) = (request.method, if request.is_connect() { request.target } else { request.path() });
    match failure {
        Some(failure) => {
            log::log!(target: "http", level, "{method} {path}: the handler has failed: {failure}");
        }
        None => log::error!(target: "http", "{method} {path}: the handler has panicked"),
    }
}
