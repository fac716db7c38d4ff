//! A request's body that is awaited. Mirrors the async iterator of `http.IncomingMessage`.

use crate::pieces::{self, Pieces};
use crate::proto::Fields;
use crate::upcall::BodyHandler;
use crate::{Body, Error, Result};
use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The body of a request, piece by piece or whole. It is also a [`Stream`] and an [`AsyncRead`].
///
/// A body that is not read waits, and its client with it. What is left of it when the reader is dropped, with its request, is
/// discarded, and likewise when the response has ended and nothing of it was read: see [`Body::pause`].
///
/// ```
/// use http::serve::{Failure, OwnedRequest};
/// use http::Response;
///
/// async fn count(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
///     let mut len = 0;
///     while let Some(data) = request.body().next().await {
///         len += data?.len();
///     }
///     response.end(len.to_string().as_bytes())?;
///     Ok(())
/// }
/// ```
pub struct BodyReader(Source);

enum Source {
    /// No body, or all of it is read.
    Empty,
    /// Not asked for yet: the client waits.
    Unread(Body),
    Reading(Body, Rc<Pieces<Error>>),
}

impl BodyReader {
    pub(super) fn new(body: Option<Body>) -> Self {
        Self(body.map_or(Source::Empty, Source::Unread))
    }

    pub(super) fn take(&mut self) -> Option<Body> {
        match std::mem::replace(&mut self.0, Source::Empty) {
            Source::Unread(body) => Some(body),
            other => {
                self.0 = other;
                None
            }
        }
    }

    /// The next piece, as it came; `None` at the end.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// `Closed` if the rest does not come: the connection is lost, the client has broken the protocol, or the response has ended.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// All that is not read yet. Dropping the future drops what it has read.
    ///
    /// # Errors
    /// `BodyTooLong` if that is more than `limit` bytes; what was read is dropped. As for [`next`](Self::next).
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes> {
        let too_long = || Error::BodyTooLong(limit);
        pieces::all(limit, too_long, |context| self.poll_piece(context, usize::MAX)).await
    }

    /// Lets the body come, if it was not asked for yet.
    fn pieces(&mut self) -> Option<(&Body, &Rc<Pieces<Error>>)> {
        if let Source::Unread(body) = &self.0 {
            let (body, pieces) = (body.clone(), Rc::new(Pieces::default()));
            body.set_handler(Collect(Rc::clone(&pieces)));
            self.0 = Source::Reading(body, pieces);
        }
        match &self.0 {
            Source::Reading(body, pieces) => Some((body, pieces)),
            _ => None,
        }
    }

    /// The next piece, or so much of it.
    fn poll_piece(&mut self, context: &Context<'_>, most: usize) -> Poll<Option<Result<Bytes>>> {
        let Some((body, pieces)) = self.pieces() else { return Poll::Ready(None) };
        let piece = pieces.poll(most, || body.resume(), context);
        match &piece {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(_) => self.0 = Source::Empty,
            // Now, since the response may begin before the handler returns.
            Poll::Pending => body.ask_for_it(),
        }
        piece
    }
}

impl Stream for BodyReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.poll_piece(context, usize::MAX)
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_piece(context, buffer.len()).map(|piece| pieces::read_into(piece, buffer))
    }
}

/// A body that stayed paused behind its response would hold the client back until its connection times out.
impl Drop for BodyReader {
    fn drop(&mut self) {
        if let Source::Reading(body, pieces) = &self.0
            && pieces.discard()
        {
            body.resume();
        }
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").finish_non_exhaustive()
    }
}

/// Keeps what comes, and pauses the body when that is much.
struct Collect(Rc<Pieces<Error>>);

impl BodyHandler for Collect {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        if self.0.put(data) {
            body.pause();
        }
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.0.end(Ok(()));
    }

    fn on_abort(&mut self, _: &Body) {
        self.0.end(Err(Error::Closed));
    }
}
