//! Responses from a stream. Mirrors `stream.pipeline(readable, response)` of Node.

use super::{Failure, Waiting};
use crate::pour::{self, Outlet};
use crate::{Error, Response};
use async_wrap::task::Wait;
use bytes::Bytes;
use futures_core::Stream;
use std::pin::pin;
use std::task::{Context, Poll};

impl Response {
    /// Sends what `stream` yields, at the client's pace, and ends the response. While much output waits the stream is not
    /// polled; where a response has no body (`HEAD`, 204, 304) not at all.
    ///
    /// The head is sent with the first piece, or as soon as the stream makes it wait. An error of the stream after that breaks the
    /// response off, since no client must take it for a whole one; an error before leaves it as it was. Dropping the future drops
    /// the stream, and leaves the response where it is.
    ///
    /// Sets a handler of its own, in place of the one before.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Response;
    /// use http::serve::{Failure, OwnedRequest};
    ///
    /// /// Sends the body back, each piece when it comes.
    /// async fn echo(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    ///     response.send(request.body()).await
    /// }
    /// ```
    ///
    /// # Errors
    /// The stream's error; [`Error::Closed`] if the response is over, as it is when the client has left; as for
    /// [`write`](Self::write) and [`end`](Self::end).
    pub async fn send<E: Into<Failure>>(
        &self,
        stream: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<(), Failure> {
        if self.is_ended() {
            return Err(Error::Closed.into());
        }
        let waiting = self.waiting();
        let mut stream = pin!(stream);
        waiting
            .until(|wait, context| {
                pour::poll(&Body { response: self, waiting: &waiting, wait }, stream.as_mut(), context)
            })
            .await
    }
}

/// The body of a response, and the future that fills it.
struct Body<'a> {
    response: &'a Response,
    waiting: &'a Waiting,
    wait: &'a Wait,
}

impl Outlet for Body<'_> {
    fn poll_room(&self, context: &Context<'_>) -> Poll<Result<(), Failure>> {
        self.waiting.poll_room(self.response, self.wait, context).map_err(Failure::from)
    }

    fn watch(&self, context: &Context<'_>) {
        // A client that leaves ends the wait.
        self.waiting.wait(self.wait, context);
    }

    fn drops_body(&self) -> bool {
        self.response.drops_body()
    }

    fn write(&self, piece: Bytes) -> Result<(), Failure> {
        Ok(self.response.write_bytes(piece).map(drop)?)
    }

    fn flush(&self) -> Result<(), Failure> {
        Ok(self.response.flush_headers()?)
    }

    fn end(&self) -> Result<(), Failure> {
        Ok(self.response.end(b"")?)
    }

    fn break_off(&self) {
        self.response.break_off_begun();
    }
}
