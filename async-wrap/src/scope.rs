//! Callback scopes: how the native side calls into the program. Mirrors `InternalMakeCallback` and
//! `InternalCallbackScope`, Node's `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. The scope at the bottom, and only that one, lets the ticks
//! and microtasks that were queued in it run when the callback is over. With no hooks and nothing queued a scope is a
//! few loads and stores.

use crate::environment::Inner;
use crate::ids::Entered;
use crate::{AsyncContext, AsyncId, Environment};

impl Environment {
    /// Calls `callback` in `context`: hooks are told before and after it, and at the end of the outermost scope ticks
    /// and microtasks run until none are left.
    ///
    /// When the callback panics the ids are restored, hooks are told that it is over, and what it queued stays queued
    /// for the next scope: whoever catches the panic and goes on running the loop loses nothing.
    #[inline(always)]
    pub fn make_callback<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let depth = Depth::deeper(self);
        let in_context = InContext::enter(self.inner(), context);
        let result = callback();
        drop(in_context);
        depth.run_queues();
        result
    }

    /// Calls `callback` in `context` as a part of what executes now: nothing queued runs at its end
    /// (`AsyncResource.runInAsyncScope`; a scope with `kSkipTaskQueues`).
    #[inline]
    pub fn run_in_context<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let _in_context = InContext::enter(self.inner(), context);
        callback()
    }
}

/// What executes is a callback of this context.
struct InContext<'a> {
    // In the order in which they are left.
    _after: After<'a>,
    _ids: Entered<'a>,
}

impl<'a> InContext<'a> {
    #[inline(always)]
    fn enter(inner: &'a Inner, context: AsyncContext) -> Self {
        let _ids = inner.ids.enter(context);
        if inner.hooks.is_told() {
            inner.hooks.emit_before(context.async_id(), context.trigger_async_id(), context.provider());
        }
        // Made only once the hooks have been told of the beginning.
        Self { _after: After { inner, id: context.async_id() }, _ids }
    }
}

/// Tells the hooks that a callback is over, also one that panicked, and also hooks enabled in the middle of it.
struct After<'a> {
    inner: &'a Inner,
    id: AsyncId,
}

impl Drop for After<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.inner.hooks.is_told() {
            self.inner.hooks.emit_after(self.id);
        }
    }
}

/// An open callback scope. Dropped without `run_queues` it has failed.
struct Depth<'a> {
    env: &'a Environment,
}

impl<'a> Depth<'a> {
    #[inline(always)]
    fn deeper(env: &'a Environment) -> Self {
        let depth = &env.inner().depth;
        depth.set(depth.get() + 1);
        Self { env }
    }

    #[inline(always)]
    fn run_queues(self) {
        let inner = self.env.inner();
        if inner.depth.get() == 1 && inner.queues.has_work() {
            self.env.run_queues();
        }
    }
}

impl Drop for Depth<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let inner = self.env.inner();
        inner.depth.set(inner.depth.get() - 1);
        if inner.depth.get() == 0 && inner.queues.has_work() {
            // A panic left something behind.
            inner.schedule();
        }
    }
}
