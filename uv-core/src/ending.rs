//! The end of a loop: drops everything in it, even if destructors panic. libuv leaves this to the program, which has to
//! close every handle before `uv_loop_close`.

use crate::Loop;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Runs steps that may call a program's destructors. A step that panics does not keep the others from running; the
/// first panic resumes at the end.
#[derive(Default)]
struct Sweep(Option<Box<dyn Any + Send>>);

impl Sweep {
    fn step(&mut self, step: impl FnOnce()) {
        // A later step drops whatever this step leaves half-done; no other code uses it.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            self.0.get_or_insert(panic);
        }
    }

    /// Drops each item separately: a second panic while a collection is dropped would abort the process.
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
        // Handles and towers refer to each other; dropping the towers breaks the cycle. Their destructors may use the
        // loop, so no table is borrowed while they run. Handles that they create are closed from the start.
        let inner = self.inner();
        let mut sweep = Sweep::default();
        inner.members.set_gone();
        if self.is_own() {
            // In a forked child another thread of the parent may have held this lock.
            sweep.drop_each(inner.inbox.shut());
        }
        let handles = inner.members.take_handles();
        for handle in &handles {
            sweep.step(|| {
                handle.base().set_closed();
                handle.begin_close();
                handle.base().stop();
            });
            sweep.step(|| handle.drop_tower());
        }
        sweep.drop_each(handles);
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
        // A remaining clone of the loop's handle finds no request in flight and no spare descriptor.
        inner.members.end_all_requests();
        drop(self.take_spare_fd());
        sweep.end();
    }
}
