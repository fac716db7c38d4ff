//! Callback scopes: how the native side calls into the program. Mirrors `InternalMakeCallback` and
//! `InternalCallbackScope`, Node's `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. The scope at the bottom, and only that one, lets the ticks
//! and microtasks that were queued in it run when the callback is over. With no hooks and nothing queued a scope is a
//! few loads and stores.

use crate::environment::EnvironmentInner;
use crate::layer::OnDrop;
use crate::{AsyncContext, Environment};

impl Environment {
    /// Calls `callback` in `context`: hooks are told before and after it, and at the end of the outermost scope ticks
    /// and microtasks run until none are left.
    ///
    /// When the callback panics the ids are restored, hooks are told that it is over, and what it queued stays queued
    /// for the next scope: whoever catches the panic and goes on running the loop loses nothing.
    #[inline]
    pub fn make_callback<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let inner = self.inner();
        inner.depth.set(inner.depth.get() + 1);
        let _depth = OnDrop::new(|| {
            inner.depth.set(inner.depth.get() - 1);
            if inner.depth.get() == 0 && inner.queues.has_work() {
                // A panic left something behind.
                inner.schedule();
            }
        });
        let result = self.run_in_context(context, callback);
        if inner.depth.get() == 1 && inner.queues.has_work() {
            self.run_queues();
        }
        result
    }

    /// Calls `callback` in `context` as a part of what executes now: nothing queued runs at its end
    /// (`AsyncResource.runInAsyncScope`; a scope with `kSkipTaskQueues`).
    #[inline]
    pub fn run_in_context<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let EnvironmentInner { ids, hooks, .. } = self.inner();
        let id = context.async_id();
        let _outer = ids.enter(context);
        if hooks.is_told() {
            hooks.emit_before(id, context.trigger_async_id(), context.provider());
        }
        // Made only once the hooks have been told of the beginning. They are told of the end of a call that panicked too, and
        // so are hooks that were enabled in the middle of it.
        let _after = OnDrop::new(|| {
            if hooks.is_told() {
                hooks.emit_after(id);
            }
        });
        callback()
    }
}
