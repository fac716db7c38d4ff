//! What waits: calls of handlers whose exchange is over, and input that is not decoded. What ends an exchange is often a
//! downcall, which never upcalls; the call comes from the loop then. Mirrors what Node does with `process.nextTick`.

use super::Connection;
use super::calls::Call;
use async_wrap::layer::ColdCell;
use net::Linger;
use std::collections::VecDeque;
use std::rc::Rc;

/// What waits on one connection, in a box that is there only as long as something does.
#[derive(Default)]
pub(crate) struct Deferred(ColdCell<Cold>);

#[derive(Default)]
pub(crate) struct Cold {
    /// Input that waits until responses went out or a body is wanted again, and how much of it is decoded.
    undecoded: (Vec<u8>, usize),
    calls: VecDeque<Call>,
    /// Bytes that a client whose response waits had fetched when the timeouts were last looked at, and one more; 0 if
    /// none waits.
    fetched: u64,
    /// The wait for the client after this side's end.
    pub(crate) linger: Option<Linger>,
}

impl Cold {
    fn is_empty(&self) -> bool {
        self.undecoded.0.is_empty() && self.calls.is_empty() && self.fetched == 0 && self.linger.is_none()
    }
}

impl Deferred {
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Cold) -> R) -> R {
        self.change(self.0.take().unwrap_or_default(), work)
    }

    /// The same if anything waits; else the default.
    fn peek<R: Default>(&self, work: impl FnOnce(&mut Cold) -> R) -> R {
        self.0.take().map(|cold| self.change(cold, work)).unwrap_or_default()
    }

    fn change<R>(&self, mut cold: Box<Cold>, work: impl FnOnce(&mut Cold) -> R) -> R {
        let result = work(&mut cold);
        if !cold.is_empty() {
            self.0.put(cold);
        }
        result
    }

    /// Keeps input that arrived while decoding stood still.
    pub(super) fn stash(&self, bytes: &[u8]) {
        self.with(|cold| cold.undecoded.0.extend_from_slice(bytes));
    }

    /// Hands out the input that was kept, if any. Its last bytes are kept on, as many as `feed` says.
    pub(super) fn unstash(&self, feed: impl FnOnce(&[u8]) -> usize) {
        let (bytes, start) = self.peek(|cold| std::mem::take(&mut cold.undecoded));
        let (len, unused) = (bytes.len(), feed(&bytes[start..]));
        if unused > 0 {
            self.with(|cold| cold.undecoded = (bytes, len - unused));
        }
    }

    /// Has a call made at the next [`run`](Self::run), for which the caller asks.
    pub(super) fn push(&self, call: Call) {
        self.with(|cold| cold.calls.push_back(call));
    }

    #[inline]
    pub(super) fn has_calls(&self) -> bool {
        self.0.peek(|cold| !cold.calls.is_empty()) == Some(true)
    }

    /// Makes the calls that wait. Those that are deferred meanwhile wait for the next time.
    pub(super) fn run(&self, connection: &Rc<Connection>) {
        for _ in 0..self.peek(|cold| cold.calls.len()) {
            // One at a time: if one panics the others still wait.
            if let Some(call) = self.peek(|cold| cold.calls.pop_front()) {
                call.make(connection);
            }
        }
    }

    /// Drops everything; contexts end all the same.
    pub(super) fn clear(&self, connection: &Rc<Connection>) {
        let calls = self.0.take().into_iter().flat_map(|cold| cold.calls);
        calls.filter(Call::is_end).for_each(|call| call.make(connection));
    }

    /// Whether the client fetched some output since the last look, or this is the first one.
    pub(crate) fn note_fetched(&self, fetched: u64) -> bool {
        if fetched == 0 {
            self.peek(|cold| cold.fetched = 0);
            return false;
        }
        self.with(|cold| std::mem::replace(&mut cold.fetched, fetched)) != fetched
    }
}
