//! The end of a loop: everything in it is dropped, whatever the destructors do. libuv leaves that to the program, which
//! has to close every handle before `uv_loop_close`.

use crate::Loop;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Steps that run a program's destructors: one that panics does not keep the others from running. The first panic goes
/// on when all is done.
#[derive(Default)]
struct Sweep(Option<Box<dyn Any + Send>>);

impl Sweep {
    fn step(&mut self, step: impl FnOnce()) {
        // What a step leaves half-done is dropped by a later one, and by nothing else.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            self.0.get_or_insert(panic);
        }
    }

    /// Drops each by itself: of a collection the second panic would end the process.
    fn drop_each<T>(&mut self, items: impl IntoIterator<Item = T>) {
        for item in items {
            self.step(|| drop(item));
        }
    }

    fn end(self) {
        if let Some(panic) = self.0
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Handles and towers hold each other; this is what breaks the circle. Their destructors may touch the loop, so
        // no table is borrowed while they run. What they make is closed from the start.
        let inner = self.inner();
        let mut sweep = Sweep::default();
        inner.set_gone();
        if self.is_own() {
            // Elsewhere a thread of the other process may have held its lock.
            sweep.drop_each(inner.inbox.shut());
        }
        let nodes = inner.take_nodes();
        for node in &nodes {
            sweep.step(|| {
                node.handle().set_closed();
                node.begin_close();
                node.handle().stop();
            });
            sweep.step(|| node.drop_tower());
        }
        sweep.drop_each(nodes);
        inner.timers.clear();
        inner.idle.clear();
        inner.prepare.clear();
        inner.check.clear();
        inner.pending.clear();
        inner.still_ready.clear();
        inner.paused.clear();
        sweep.drop_each(inner.closing.take());
        for request in inner.works.take() {
            sweep.step(|| request.give_up());
            sweep.step(|| drop(request));
        }
        // A clone of the loop's handle that is left behind finds nothing to wait for, and will not accept.
        inner.end_all_requests();
        drop(self.take_spare_fd());
        sweep.end();
    }
}
