//! What waits behind the frames that a channel's pipe has. It could wait in the pipe as well, but nothing overtakes there.
//! Mirrors `_handleQueue`, in which Node keeps what waits for the handle before it.

use crate::channel::Fds;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

#[derive(Default)]
pub(crate) struct Outbox {
    frames: RefCell<VecDeque<(Bytes, Fds, Author)>>,
    /// Of the frames that the pipe has and is to report.
    in_pipe: RefCell<VecDeque<Author>>,
    bytes: Cell<usize>,
    state: Cell<State>,
}

/// Whose message a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Cluster,
    Program,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Nothing may follow.
    Ending,
    /// Nothing waits here any more, and the pipe is to end after what it has.
    Ended,
    /// Sending failed.
    Broken,
}

impl Outbox {
    pub(crate) fn push(&self, frame: Bytes, fds: Fds, author: Author) {
        self.bytes.set(self.bytes.get() + frame.len());
        self.frames.borrow_mut().push_back((frame, fds, author));
    }

    pub(crate) fn pop(&self) -> Option<(Bytes, Fds, Author)> {
        let (frame, fds, author) = self.frames.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get() - frame.len());
        Some((frame, fds, author))
    }

    /// The pipe has a frame whose end it reports.
    pub(crate) fn put(&self, author: Author) {
        self.in_pipe.borrow_mut().push_back(author);
    }

    /// The pipe reports the end of the oldest frame; whose it was.
    pub(crate) fn ended_put(&self) -> Author {
        self.in_pipe.borrow_mut().pop_front().unwrap_or(Author::Cluster)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.borrow().is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.get() == State::Open
    }

    /// Takes nothing more.
    pub(crate) fn end(&self) {
        self.state.set(State::Ending);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.state.get() == State::Ending
    }

    /// The end is the pipe's to send.
    pub(crate) fn ended(&self) {
        self.state.set(State::Ended);
    }

    /// Takes nothing more, and forgets what it has.
    pub(crate) fn abandon(&self) {
        self.state.set(State::Broken);
        self.bytes.set(0);
        self.frames.take();
    }
}
