//! Callback scopes: every call into the program. Mirrors `InternalMakeCallback` and `InternalCallbackScope`, Node's
//! `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. When the outermost scope's callback returns, the scope
//! runs the queued ticks and microtasks; inner scopes do not. With no hooks and empty queues a scope is a few loads and
//! stores.

use crate::environment::EnvironmentInner;
use crate::layer::OnDrop;
use crate::{AsyncContext, AsyncId, Environment};

impl Environment {
    /// Calls `callback` in `context`: hooks are told before and after it, and at the end of the outermost scope ticks
    /// and microtasks run until none are left.
    ///
    /// If the callback panics, the ids are restored, hooks get `after`, and queued work stays queued for the next
    /// scope: a program that catches the panic and continues the loop loses nothing.
    #[inline]
    pub fn make_callback<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let inner = self.inner();
        inner.depth.set(inner.depth.get() + 1);
        let _depth = OnDrop::new(|| {
            inner.depth.set(inner.depth.get() - 1);
            if inner.depth.get() == 0 && inner.queues.has_work() {
                // Only a panic leaves queued work behind.
                inner.schedule();
            }
        });
        let result = self.run_in_context(context, callback);
        if inner.depth.get() == 1 && inner.queues.has_work() {
            self.run_queues();
        }
        result
    }

    /// Calls `callback` in `context` as a part of the executing callback: the queues do not run at its end
    /// (`AsyncResource.runInAsyncScope`; a scope with `kSkipTaskQueues`).
    #[inline]
    pub fn run_in_context<R>(&self, context: AsyncContext, callback: impl FnOnce() -> R) -> R {
        let inner = self.inner();
        let id = context.async_id();
        let _outer = inner.ids.enter(context);
        if inner.hooks.is_watched() {
            inner.begin_watched(context);
        }
        // Created after `before` was emitted. Hooks get `after` also for a callback that panicked, and hooks that were
        // enabled during the callback get it too.
        let _after = OnDrop::new(|| {
            if inner.hooks.is_watched() {
                inner.end_watched(id);
            }
        });
        callback()
    }
}

impl EnvironmentInner {
    /// Tells the hooks, and makes the values of the storages those of `context`.
    #[cold]
    fn begin_watched(&self, context: AsyncContext) {
        if self.frames.has_storages() {
            return self.begin_with_storages(context);
        }
        // What is watched without storages is watched by hooks.
        self.hooks.emit_before(context.async_id(), context.trigger_async_id(), context.provider());
    }

    #[cold]
    #[inline(never)]
    fn begin_with_storages(&self, context: AsyncContext) {
        if self.hooks.is_told() {
            self.hooks.emit_before(context.async_id(), context.trigger_async_id(), context.provider());
        }
        self.frames.begin(context.async_id());
    }

    #[cold]
    fn end_watched(&self, id: AsyncId) {
        if self.frames.has_storages() {
            self.frames.end();
            if !self.hooks.is_told() {
                return;
            }
        }
        self.hooks.emit_after(id);
    }
}
