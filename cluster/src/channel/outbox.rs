//! The frames that wait behind those in a channel's pipe. They could wait in the pipe as well, but nothing overtakes
//! there. Mirrors `_handleQueue`, in which Node keeps what waits for the handle before it.

use super::Fds;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Outbox {
    frames: RefCell<VecDeque<(Bytes, Fds, Author)>>,
    /// The authors of the frames whose end the pipe will report.
    in_pipe: RefCell<VecDeque<Author>>,
    bytes: Cell<usize>,
    state: Cell<State>,
}

/// Who sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    Cluster,
    Program,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Takes no more frames; those that wait are still sent.
    Ending,
    /// Empty, and the pipe is to end behind the frames that it has.
    Ended,
    /// Sending failed.
    Broken,
}

impl Outbox {
    pub(super) fn push(&self, frame: Bytes, fds: Fds, author: Author) {
        self.bytes.set(self.bytes.get() + frame.len());
        self.frames.borrow_mut().push_back((frame, fds, author));
    }

    pub(super) fn pop(&self) -> Option<(Bytes, Fds, Author)> {
        let (frame, fds, author) = self.frames.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get() - frame.len());
        Some((frame, fds, author))
    }

    /// The pipe has a frame whose end it will report.
    pub(super) fn put(&self, author: Author) {
        self.in_pipe.borrow_mut().push_back(author);
    }

    /// The pipe reports the end of the oldest frame. Returns its author.
    pub(super) fn ended_put(&self) -> Author {
        self.in_pipe.borrow_mut().pop_front().unwrap_or(Author::Cluster)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.borrow().is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.get() == State::Open
    }

    /// Takes no more frames.
    pub(super) fn end(&self) {
        self.state.set(State::Ending);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.state.get() == State::Ending
    }

    /// The pipe sends the end.
    pub(super) fn ended(&self) {
        self.state.set(State::Ended);
    }

    /// Takes no more frames, and drops those that wait.
    pub(super) fn abandon(&self) {
        self.state.set(State::Broken);
        self.bytes.set(0);
        self.frames.take();
    }
}
