//! A body that is awaited, on either side: the pieces that have come, and the task that waits for more.

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

/// Bytes that wait to be read, before the body is paused.
const WAITING_MAX: usize = 64 * 1024;

/// What a piece takes beyond its bytes, as a part of those: a peer may send chunks of one byte.
const PIECE: usize = 64;

/// What the handler of a body and its reader share.
pub(crate) struct Pieces<E> {
    pieces: RefCell<VecDeque<Bytes>>,
    /// The memory that `pieces` take.
    waiting: Cell<usize>,
    is_paused: Cell<bool>,
    /// The reader was dropped: what still comes is discarded.
    is_unwanted: Cell<bool>,
    /// How the body has ended, until the reader knows it.
    end: Cell<Option<Result<(), E>>>,
    is_read: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl<E> Pieces<E> {
    /// Keeps what has come. Returns whether the body is to be paused, since much waits.
    #[must_use]
    pub(crate) fn put(&self, data: &[u8]) -> bool {
        if self.is_unwanted.get() {
            return false;
        }
        self.pieces.borrow_mut().push_back(Bytes::copy_from_slice(data));
        self.waiting.set(self.waiting.get() + data.len() + PIECE);
        let is_much = self.waiting.get() >= WAITING_MAX;
        self.is_paused.set(self.is_paused.get() || is_much);
        self.wake();
        is_much
    }

    /// Nothing more will come.
    pub(crate) fn end(&self, end: Result<(), E>) {
        self.end.set(Some(end));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The next piece, or so much of it; `None` at the end. `resume` is called if the body is paused and there is room again.
    pub(crate) fn poll(
        &self,
        most: usize,
        resume: impl FnOnce(),
        context: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, E>>> {
        if let Some(piece) = self.take(most) {
            if self.waiting.get() < WAITING_MAX && self.is_paused.take() {
                resume();
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(end) = self.end.take() {
            self.is_read.set(true);
            return Poll::Ready(end.err().map(Err));
        }
        if self.is_read.get() {
            return Poll::Ready(None);
        }
        self.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Takes the first piece, or so much of it.
    fn take(&self, most: usize) -> Option<Bytes> {
        let mut pieces = self.pieces.borrow_mut();
        let first = pieces.front_mut()?;
        let (piece, place) =
            if first.len() > most { (first.split_to(most), 0) } else { (pieces.pop_front()?, PIECE) };
        self.waiting.set(self.waiting.get() - piece.len() - place);
        Some(piece)
    }

    /// The reader is dropped. Returns whether the body is paused, which nothing would resume.
    #[must_use]
    pub(crate) fn discard(&self) -> bool {
        self.is_unwanted.set(true);
        drop((self.waker.take(), self.pieces.take()));
        self.is_paused.take()
    }
}

impl<E> Default for Pieces<E> {
    fn default() -> Self {
        Self {
            pieces: RefCell::default(),
            waiting: Cell::default(),
            is_paused: Cell::default(),
            is_unwanted: Cell::default(),
            end: Cell::new(None),
            is_read: Cell::default(),
            waker: Cell::default(),
        }
    }
}

/// All that comes; `too_long` is the error if that is more than `limit` bytes.
pub(crate) async fn all<E>(
    limit: usize,
    too_long: impl FnOnce() -> E,
    mut poll_next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, E>>>,
) -> Result<Bytes, E> {
    let Some(first) = poll_fn(&mut poll_next).await.transpose()? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(too_long());
    }
    // Most bodies come in one piece.
    let Some(second) = poll_fn(&mut poll_next).await.transpose()? else { return Ok(first) };
    let mut all = Vec::with_capacity((first.len() + second.len()).min(limit));
    let mut piece = Some(second);
    all.extend_from_slice(&first);
    while let Some(data) = piece {
        if all.len() + data.len() > limit {
            return Err(too_long());
        }
        all.extend_from_slice(&data);
        piece = poll_fn(&mut poll_next).await.transpose()?;
    }
    Ok(all.into())
}

/// A piece as the result of `AsyncRead::poll_read`, whose buffer it fits in.
pub(crate) fn read_into<E>(piece: Option<Result<Bytes, E>>, buffer: &mut [u8]) -> io::Result<usize>
where
    io::Error: From<E>,
{
    let piece = piece.transpose()?.unwrap_or_default();
    buffer[..piece.len()].copy_from_slice(&piece);
    Ok(piece.len())
}
