//! A request's body that is awaited. Mirrors the async iterator of `http.IncomingMessage`.

use crate::proto::Fields;
use crate::upcall::BodyHandler;
use crate::{Body, Error, Result};
use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Bytes that wait to be read, before the body is paused.
const WAITING_MAX: usize = 64 * 1024;

/// What a piece takes beyond its bytes, as a part of those: a client may send chunks of one byte.
const PIECE: usize = 64;

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
    Reading(Body, Rc<Arrived>),
}

/// What the handler and the reader share.
#[derive(Default)]
struct Arrived {
    pieces: RefCell<VecDeque<Bytes>>,
    /// The memory that `pieces` take.
    waiting: Cell<usize>,
    is_paused: Cell<bool>,
    /// The reader was dropped: what still comes is discarded.
    is_unwanted: Cell<bool>,
    /// How the body has ended.
    end: Cell<Option<Result<()>>>,
    waker: Cell<Option<Waker>>,
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
        let Some(first) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        let too_long = |len: usize| if len > limit { Err(Error::BodyTooLong(limit)) } else { Ok(()) };
        too_long(first.len())?;
        // Most bodies come in one piece.
        let Some(second) = self.next().await.transpose()? else { return Ok(first) };
        let mut all = Vec::with_capacity((first.len() + second.len()).min(limit));
        let mut piece = Some(second);
        all.extend_from_slice(&first);
        while let Some(data) = piece {
            too_long(all.len() + data.len())?;
            all.extend_from_slice(&data);
            piece = self.next().await.transpose()?;
        }
        Ok(all.into())
    }

    /// Lets the body come, if it was not asked for yet.
    fn arrived(&mut self) -> Option<(&Body, &Rc<Arrived>)> {
        if let Source::Unread(body) = &self.0 {
            let (body, arrived) = (body.clone(), Rc::new(Arrived::default()));
            body.set_handler(Collect(Rc::clone(&arrived)));
            self.0 = Source::Reading(body, arrived);
        }
        match &self.0 {
            Source::Reading(body, arrived) => Some((body, arrived)),
            _ => None,
        }
    }

    /// The next piece, or so much of it.
    fn poll_piece(&mut self, context: &Context<'_>, most: usize) -> Poll<Option<Result<Bytes>>> {
        let Some((body, arrived)) = self.arrived() else { return Poll::Ready(None) };
        if let Some(piece) = arrived.take(most) {
            if arrived.is_paused.get() && arrived.waiting.get() < WAITING_MAX {
                arrived.is_paused.set(false);
                body.resume();
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        match arrived.end.take() {
            Some(end) => {
                self.0 = Source::Empty;
                Poll::Ready(end.err().map(Err))
            }
            None => {
                // Now, since the response may begin before the handler returns.
                body.ask_for_it();
                arrived.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Arrived {
    /// Takes the first piece, or so much of it.
    fn take(&self, most: usize) -> Option<Bytes> {
        let mut pieces = self.pieces.borrow_mut();
        let first = pieces.front_mut()?;
        let (piece, place) =
            if first.len() > most { (first.split_to(most), 0) } else { (pieces.pop_front()?, PIECE) };
        self.waiting.set(self.waiting.get() - piece.len() - place);
        Some(piece)
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
        self.poll_piece(context, buffer.len()).map(|piece| {
            let piece = piece.transpose()?.unwrap_or_default();
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        })
    }
}

/// A body that stayed paused behind its response would hold the client back until its connection times out.
impl Drop for BodyReader {
    fn drop(&mut self) {
        if let Source::Reading(body, arrived) = &self.0 {
            arrived.is_unwanted.set(true);
            drop((arrived.waker.take(), arrived.pieces.take()));
            if arrived.is_paused.get() {
                body.resume();
            }
        }
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").finish_non_exhaustive()
    }
}

/// Keeps what comes, and pauses the body when that is much.
struct Collect(Rc<Arrived>);

impl Collect {
    fn end(&self, end: Result<()>) {
        self.0.end.set(Some(end));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl BodyHandler for Collect {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        let Self(arrived) = self;
        if arrived.is_unwanted.get() {
            return;
        }
        arrived.pieces.borrow_mut().push_back(Bytes::copy_from_slice(data));
        arrived.waiting.set(arrived.waiting.get() + data.len() + PIECE);
        if arrived.waiting.get() >= WAITING_MAX {
            arrived.is_paused.set(true);
            body.pause();
        }
        self.wake();
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        self.end(Ok(()));
    }

    fn on_abort(&mut self, _: &Body) {
        self.end(Err(Error::Closed));
    }
}
