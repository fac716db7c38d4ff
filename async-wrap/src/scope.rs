//! Callback scopes: every call into the program. Mirrors `InternalMakeCallback` and `InternalCallbackScope`, Node's
//! `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. When the outermost scope's callback returns, the scope
//! runs the queued ticks and microtasks; inner scopes do not. With no hooks and empty queues a scope is a few loads and
//! stores.

use crate::environment::EnvironmentInner;
use crate::frame::Frame;
use crate::layer::OnDrop;
use crate::{AsyncContext, AsyncId, Environment};
use std::mem::forget;

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
        let mut frame = Frame::EMPTY;
        if inner.hooks.is_watched() {
            frame = inner.begin_watched(context);
        }
        // Created after `before` was emitted.
        let _after = OnDrop::new(|| {
            if inner.hooks.is_watched() {
                inner.end_watched(id, frame);
            } else {
                // It is empty, since storages never stop to watch.
                forget(frame);
            }
        });
        callback()
    }
}

impl EnvironmentInner {
    /// Tells the hooks, and makes the values of the storages those of `context`. Returns the frame of before.
    #[cold]
    fn begin_watched(&self, context: AsyncContext) -> Frame {
        let Self { hooks, frames, .. } = self;
        if hooks.is_told() {
            hooks.emit_before(context.async_id(), context.trigger_async_id(), context.provider());
        }
        if frames.has_storages() { frames.replace(frames.of(context.async_id())) } else { Frame::EMPTY }
    }

    /// Hooks get `after` also for a callback that panicked, and hooks that were enabled during the callback get it too.
    #[cold]
    fn end_watched(&self, id: AsyncId, outer: Frame) {
        let Self { hooks, frames, .. } = self;
        if frames.has_storages() {
            // The resource that ends here may be the last with a value.
            drop(frames.replace(outer));
        }
        if hooks.is_told() {
            hooks.emit_after(id);
        }
    }
}
