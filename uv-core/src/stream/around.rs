//! A guard that lives while one event is handled, for recording or measuring the effects of the event. libuv has no
//! counterpart.
//!
//! Streams without it pay nothing: its flag is tested together with a flag that has to be tested anyway.

use super::flags::{AROUND, QUEUED};
use super::{Stream, StreamInner};
use crate::LAYER;
use crate::layer::trace::Facts;
use crate::poller::Readiness;
use std::any::Any;

/// Creates the guard.
pub(super) type Around = Box<dyn FnOnce() -> Box<dyn Any>>;

impl StreamInner {
    pub(super) fn surround_next_event(&self, begin: Around) {
        if !self.handle.is_closing() {
            self.set(AROUND);
            // Dropped when nothing is borrowed: the destructor is the program's.
            drop(self.cold.with(|cold| cold.around.replace(begin)));
        }
    }
}

impl Stream {
    /// Handles an event of a stream that is in the still-ready set, or whose turn has a guard.
    #[cold]
    #[inline(never)]
    pub(super) fn on_other_event(&self, readiness: Readiness) {
        let inner = &self.0;
        // A stream in the still-ready set has its turn when that set is processed.
        if inner.has(QUEUED) {
            return;
        }
        inner.clear(AROUND);
        let begin = inner.cold.peek(|cold| cold.around.take()).flatten();
        let unfinished = inner.on_unwind();
        let _around = begin.map(|begin| begin());
        // The wait has ended before, but is recorded only now: the recorder did not exist earlier.
        LAYER.kernel("epoll_wait(2)", || (), |()| Facts::saying("1 ready"));
        {
            let _turn = LAYER.scope("HandleInner::on_event", || Facts::of(self).info(readiness));
            self.another_turn();
        }
        unfinished.disarm();
    }
}
