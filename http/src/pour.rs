//! A stream as the body of a message, on either side: at the pace of the peer. Mirrors `stream.pipeline(readable, writable)` of Node.

use crate::serve::Failure;
use bytes::Bytes;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Pieces that are written in one poll: a stream that is always ready, to a peer as fast, leaves its task's turn to others after
/// them.
const PIECES_PER_POLL: u32 = 32;

/// A message whose body a stream fills.
pub(crate) trait Outlet {
    /// Whether more is welcome. Fails if the message is over.
    fn poll_room(&self, context: &Context<'_>) -> Poll<Result<(), Failure>>;

    /// Has the end of the message wake the task, which waits for the stream.
    fn watch(&self, context: &Context<'_>);

    /// Whether the message has no body: the stream is not polled.
    fn drops_body(&self) -> bool;

    fn write(&self, piece: Bytes) -> Result<(), Failure>;

    /// Sends what is prepared, since the stream may take its time.
    fn flush(&self) -> Result<(), Failure>;

    fn end(&self) -> Result<(), Failure>;

    /// Breaks the message off, since the stream has failed.
    fn break_off(&self);
}

/// Moves what there is.
pub(crate) fn poll<E: Into<Failure>>(
    outlet: &impl Outlet,
    mut stream: Pin<&mut (impl Stream<Item = Result<Bytes, E>> + ?Sized)>,
    context: &mut Context<'_>,
) -> Poll<Result<(), Failure>> {
    for _ in 0..PIECES_PER_POLL {
        ready!(outlet.poll_room(context))?;
        if outlet.drops_body() {
            return Poll::Ready(outlet.end());
        }
        match stream.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(piece))) => outlet.write(piece)?,
            Poll::Ready(Some(Err(error))) => {
                outlet.break_off();
                return Poll::Ready(Err(error.into()));
            }
            Poll::Ready(None) => return Poll::Ready(outlet.end()),
            Poll::Pending => {
                outlet.watch(context);
                return outlet.flush().map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending);
            }
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}
