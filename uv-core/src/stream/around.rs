//! What surrounds the turn that one event causes: for who records or measures what becomes of it. libuv has nothing like
//! it.
//!
//! Streams without it pay nothing: the flag is looked at together with one that has to be looked at anyway.

use super::flags::{AROUND, QUEUED};
use super::{Stream, StreamNode};
use crate::LAYER;
use crate::layer::trace::Facts;
use crate::poller::Readiness;
use std::any::Any;

/// Makes what lives as long as the turn.
pub(super) type Around = Box<dyn FnOnce() -> Box<dyn Any>>;

impl StreamNode {
    pub(super) fn surround_next_event(&self, begin: Around) {
        if !self.handle.is_closing() {
            self.set(AROUND);
            // Dropped when nothing is borrowed any more: it is the program's.
            drop(self.cold.with(|cold| cold.around.replace(begin)));
        }
    }
}

impl Stream {
    /// An event of a stream that is in the still-ready set, or of one whose turn is surrounded.
    #[cold]
    #[inline(never)]
    pub(super) fn on_other_event(&self, readiness: Readiness) {
        let node = &self.0;
        // One in the still-ready set has its turn when that is worked off.
        if node.has(QUEUED) {
            return;
        }
        node.clear(AROUND);
        let begin = node.cold.peek(|cold| cold.around.take()).flatten();
        let unfinished = node.on_unwind();
        let _around = begin.map(|begin| begin());
        // The wait is over already, but said only now: before, there was nobody who listens.
        LAYER.kernel("epoll_wait(2)", || (), |()| Facts::saying("1 ready"));
        {
            let _turn = LAYER.scope("Node::on_event", || Facts::of(self).info(readiness));
            self.another_turn();
        }
        unfinished.disarm();
    }
}
