//! Bodies of requests from a stream. Mirrors `stream.pipeline(readable, request)` of Node.

use super::arrived::Arrived;
use crate::client::{ClientRequest, Error, ErrorKind, RequestBuilder};
use crate::pour::{self, Outlet};
use crate::serve::Failure;
use async_wrap::layer::{OnDrop, OnUnwind};
use async_wrap::task::Wait;
use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The body of a request, piece by piece.
pub(crate) type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>>>>;

impl RequestBuilder {
    /// Sends what `stream` yields as the body, at the server's pace: while much output waits the stream is not polled. The body is
    /// chunked unless a `Content-Length` is set.
    ///
    /// A task of its own fills the body, while the response is awaited and after that, since a server may respond early. An error of
    /// the stream aborts the request. The request is not sent a second time.
    ///
    /// ```
    /// use http::client::{Client, Error};
    /// use http::serve::{Failure, OwnedRequest};
    /// use http::Response;
    ///
    /// /// Passes a request's body on, and the response back, each piece when it comes.
    /// async fn relay(client: Client, mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    ///     let answer = client.post("http://localhost:8080/").body_stream(request.take_reader()).await?;
    ///     response.set_status(answer.status())?;
    ///     response.send(answer).await
    /// }
    /// ```
    pub fn body_stream<E: Into<Failure>>(
        mut self,
        stream: impl Stream<Item = Result<Bytes, E>> + 'static,
    ) -> Self {
        self.awaited.stream = Some(Box::pin(Pieces { stream }));
        self
    }
}

pin_project! {
    /// A stream whose errors are of any kind.
    struct Pieces<S> {
        #[pin]
        stream: S,
    }
}

impl<S: Stream<Item = Result<Bytes, E>>, E: Into<Failure>> Stream for Pieces<S> {
    type Item = Result<Bytes, Failure>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().stream.poll_next(context).map(|piece| piece.map(|piece| piece.map_err(Into::into)))
    }
}

/// Fills the body of a request in a task of its own, which ends with the request.
pub(super) fn start(request: &ClientRequest, arrived: &Rc<Arrived>, mut stream: BodyStream) {
    let (request, arrived) = (request.clone(), Rc::clone(arrived));
    request.environment().clone().spawn_detached(async move {
        let wait = Wait::default();
        let _left = OnDrop::new(|| arrived.uploads.leave(&wait));
        // A stream that panics takes its request with it.
        let broken = OnUnwind::new(|| request.abort());
        let body = Body { request: &request, arrived: &arrived, wait: &wait, has_failed: Cell::new(false) };
        let poured = poll_fn(|context| pour::poll(&body, stream.as_mut(), context)).await;
        broken.disarm();
        // A server that takes no more of the body may respond all the same.
        if let Err(failure) = poured
            && body.has_failed.get()
        {
            arrived.upload_failure.set(Some(Error::because(ErrorKind::BodyStream, &failure)));
            request.abort();
        }
    });
}

/// The body of a request, and the future that fills it.
struct Body<'a> {
    request: &'a ClientRequest,
    arrived: &'a Arrived,
    wait: &'a Wait,
    /// The stream has.
    has_failed: Cell<bool>,
}

impl Outlet for Body<'_> {
    fn poll_room(&self, context: &Context<'_>) -> Poll<Result<(), Failure>> {
        if self.arrived.is_over.get() {
            return Poll::Ready(Err(Error::new(ErrorKind::Aborted).into()));
        }
        if !self.arrived.needs_drain.get() {
            return Poll::Ready(Ok(()));
        }
        self.watch(context);
        Poll::Pending
    }

    fn watch(&self, context: &Context<'_>) {
        self.arrived.uploads.wait(self.wait, context);
    }

    fn drops_body(&self) -> bool {
        false
    }

    fn write(&self, piece: Bytes) -> Result<(), Failure> {
        self.arrived.needs_drain.set(!self.request.write_bytes(piece)?);
        Ok(())
    }

    fn flush(&self) -> Result<(), Failure> {
        Ok(self.request.flush_headers()?)
    }

    fn end(&self) -> Result<(), Failure> {
        Ok(self.request.end(b"")?)
    }

    fn break_off(&self) {
        self.has_failed.set(true);
    }
}
