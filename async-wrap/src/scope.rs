//! Callback scopes: how the native side calls into the program. Mirrors `InternalMakeCallback` and
//! `InternalCallbackScope`, Node's `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. The scope at the bottom, and only that one, lets the ticks
//! and microtasks that were queued in it run when the callback is over. With no hooks and nothing queued a scope is a
//! few loads and stores.

use crate::environment::Inner;
use crate::ids::Entered;
use crate::{AsyncContext, AsyncId, Environment};
use std::fmt;

impl Environment {
    /// Calls `callback` in `context`: hooks are told before and after it, and at the end of the outermost scope ticks
    /// and microtasks run until none are left.
    ///
    /// When the callback panics the ids are restored, hooks are told that it is over, and what it queued stays queued
    /// for the next scope: whoever catches the panic and goes on running the loop loses nothing.
    #[inline]
    pub fn make_callback<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let scope = self.callback_scope(context);
        let result = callback();
        scope.close();
        result
    }

    /// Opens a callback scope (`node::CallbackScope`): what [`make_callback`](Self::make_callback) does, for code that is
    /// no closure.
    #[inline]
    pub fn callback_scope(&self, context: AsyncContext) -> CallbackScope<'_> {
        let depth = Depth::deeper(self);
        CallbackScope { context: InContext::enter(self.inner(), context), depth }
    }

    /// Calls `callback` in `context` as a part of what executes now: nothing queued runs at its end
    /// (`AsyncResource.runInAsyncScope`; a scope with `kSkipTaskQueues`).
    #[inline]
    pub fn run_in_context<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let _context = InContext::enter(self.inner(), context);
        callback()
    }
}

/// A callback scope that is open. To be closed with [`close`](Self::close) when the callback is over; one that is dropped
/// counts as failed, as by a panic: what was queued waits for the next scope.
#[must_use = "a scope that is dropped has failed"]
pub struct CallbackScope<'a> {
    // In the order in which they are left.
    context: InContext<'a>,
    depth: Depth<'a>,
}

impl CallbackScope<'_> {
    /// Closes the scope; ticks and microtasks run if it is the outermost one.
    #[inline(always)]
    pub fn close(self) {
        let Self { context, depth } = self;
        drop(context);
        depth.run_queues();
    }
}

impl fmt::Debug for CallbackScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackScope").field("id", &self.context.after.id).finish_non_exhaustive()
    }
}

/// What executes is a callback of this context.
struct InContext<'a> {
    // In the order in which they are left.
    after: After<'a>,
    _ids: Entered<'a>,
}

impl<'a> InContext<'a> {
    #[inline]
    fn enter(inner: &'a Inner, context: AsyncContext) -> Self {
        let _ids = inner.ids.enter(context);
        if inner.hooks.is_told() && context.async_id() != AsyncId::NONE {
            inner.hooks.emit_before(context.async_id(), context.trigger_async_id(), context.provider());
        }
        // Made only once the hooks have been told of the beginning.
        Self { after: After { inner, id: context.async_id() }, _ids }
    }
}

/// Tells the hooks that a callback is over, also one that panicked, and also hooks enabled in the middle of it.
struct After<'a> {
    inner: &'a Inner,
    id: AsyncId,
}

impl Drop for After<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.inner.hooks.is_told() && self.id != AsyncId::NONE {
            self.inner.hooks.emit_after(self.id);
        }
    }
}

/// One more scope is open.
struct Depth<'a> {
    env: &'a Environment,
}

impl<'a> Depth<'a> {
    #[inline]
    fn deeper(env: &'a Environment) -> Self {
        let depth = &env.inner().depth;
        depth.set(depth.get() + 1);
        Self { env }
    }

    #[inline]
    fn run_queues(self) {
        let inner = self.env.inner();
        if inner.depth.get() == 1 && inner.queues.has_work() {
            self.env.run_queues();
        }
    }
}

impl Drop for Depth<'_> {
    #[inline]
    fn drop(&mut self) {
        let inner = self.env.inner();
        inner.depth.set(inner.depth.get() - 1);
        if inner.depth.get() == 0 && inner.queues.has_work() {
            // A panic left something behind.
            inner.schedule();
        }
    }
}
