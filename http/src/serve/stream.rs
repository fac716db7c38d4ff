//! Responses from a stream. Mirrors `stream.pipeline(readable, response)` of Node.

use super::{Failure, Waiting};
use crate::{Error, Response};
use async_wrap::task::Wait;
use bytes::Bytes;
use futures_core::Stream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Pieces that are written in one poll: a stream that is always ready, to a client as fast, leaves its task's turn to others after
/// them.
const PIECES_PER_POLL: u32 = 32;

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
        waiting.until(|wait, context| self.poll_send((&waiting, wait), stream.as_mut(), context)).await
    }

    fn poll_send<E: Into<Failure>>(
        &self,
        (waiting, wait): (&Waiting, &Wait),
        mut stream: Pin<&mut impl Stream<Item = Result<Bytes, E>>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        for _ in 0..PIECES_PER_POLL {
            if let Poll::Ready(room) = waiting.poll_room(self, wait, context) {
                room?;
            } else {
                return Poll::Pending;
            }
            if self.drops_body() {
                return Poll::Ready(self.end(b"").map_err(Failure::from));
            }
            match stream.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => _ = self.write_bytes(piece)?,
                Poll::Ready(Some(Err(error))) => {
                    self.break_off_begun();
                    return Poll::Ready(Err(error.into()));
                }
                Poll::Ready(None) => return Poll::Ready(self.end(b"").map_err(Failure::from)),
                Poll::Pending => {
                    // A client that leaves ends the wait.
                    waiting.wait(wait, context);
                    return self
                        .flush_headers()
                        .map_or_else(|error| Poll::Ready(Err(error.into())), |()| Poll::Pending);
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
