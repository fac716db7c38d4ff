//! Requests that are awaited: the future of a response, and the response with its body. Mirrors `fetch`, on the streams of
//! `http.ClientRequest`.
//!
//! A future is an adaptor over a [`ClientHandler`](crate::upcall::ClientHandler), which keeps what comes until it is asked for.

mod arrived;
#[cfg(feature = "json")]
mod json;
mod response;
mod upload;

use super::{ClientRequest, Error, ErrorKind, RequestBuilder};
use crate::proto::IncomingResponse;
use arrived::{Arrived, Collect, OnInformation};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub use response::ClientResponse;
use upload::BodyStream;

/// What only a request that is awaited can have.
#[derive(Default)]
pub(super) struct Awaited {
    stream: Option<BodyStream>,
    on_information: Option<OnInformation>,
}

impl Awaited {
    /// Refuses what a request with a handler of the program's own cannot have.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.stream {
            Some(_) => Err(Error::because(ErrorKind::BodyStream, &"a request that has one is to be awaited")),
            None => Ok(()),
        }
    }
}

impl RequestBuilder {
    /// Calls a closure with each informational response before the final one, such as 103, if the request is awaited.
    pub fn on_information(mut self, on_information: impl FnMut(&IncomingResponse<'_>) + 'static) -> Self {
        self.awaited.on_information = Some(Box::new(on_information));
        self
    }
}

/// The future of a response, which is ready when its head has come: `client.get(url).await`.
///
/// Nothing is sent before its first poll. Dropping it aborts the request.
#[must_use = "a future does nothing unless it is awaited"]
pub struct ResponseFuture(State);

enum State {
    Unsent(Box<RequestBuilder>),
    Sent(Exchange),
    Over,
}

impl IntoFuture for RequestBuilder {
    type Output = Result<ClientResponse, Error>;
    type IntoFuture = ResponseFuture;

    fn into_future(self) -> ResponseFuture {
        ResponseFuture(State::Unsent(Box::new(self)))
    }
}

impl Future for ResponseFuture {
    type Output = Result<ClientResponse, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let exchange = match std::mem::replace(&mut self.0, State::Over) {
            State::Unsent(builder) => Exchange::begin(*builder)?,
            State::Sent(exchange) => exchange,
            // Polled again after its end: there is nothing to wait for.
            State::Over => return Poll::Pending,
        };
        match exchange.arrived.poll_head(context) {
            Poll::Ready(head) => Poll::Ready(head.map(|head| ClientResponse::new(exchange, head))),
            Poll::Pending => {
                self.0 = State::Sent(exchange);
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// A request that was sent, with what has arrived of its response. Dropping it aborts the request; if the head of the response
/// was taken, the rest is discarded.
struct Exchange {
    request: ClientRequest,
    arrived: Rc<Arrived>,
}

impl Exchange {
    fn begin(mut builder: RequestBuilder) -> Result<Self, Error> {
        let arrived = Rc::new(Arrived::default());
        let Awaited { stream, on_information } = std::mem::take(&mut builder.awaited);
        let handler = Collect::new(Rc::clone(&arrived), on_information);
        let request = match stream {
            Some(stream) => {
                let request = builder.begin(handler)?;
                upload::start(&request, &arrived, stream);
                request
            }
            None => builder.send(handler)?,
        };
        Ok(Self { request, arrived })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.arrived.give_up(&self.request);
    }
}
