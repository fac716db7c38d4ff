//! Callback scopes: every call into the program. Mirrors `InternalMakeCallback` and `InternalCallbackScope`, Node's
//! `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. When the outermost scope's callback returns, the scope
//! runs the queued ticks and microtasks; inner scopes do not. With no hooks and empty queues a scope is a few loads and
//! stores.

use crate::environment::EnvironmentInner;
use crate::ids::Outer;
use crate::layer::{OnDrop, OnUnwind};
use crate::{AsyncContext, AsyncId, Environment, Provider};
use std::mem::forget;

impl Environment {
    /// Calls `callback` in `context`: hooks are told before and after it, and at the end of the outermost scope ticks
    /// and microtasks run until none are left.
    ///
    /// If the callback panics, the ids are restored, hooks get `after`, and queued work stays queued for the next
    /// scope: a program that catches the panic and continues the loop loses nothing.
    #[inline]
    pub fn make_callback<R>(&self, context: &AsyncContext, callback: impl FnOnce() -> R) -> R {
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
    pub fn run_in_context<R>(&self, context: &AsyncContext, callback: impl FnOnce() -> R) -> R {
        let entered = self.enter(context);
        let result = callback();
        entered.leave();
        result
    }

    /// Creates a resource and calls `callback` in its context, as [`run_in_context`](Self::run_in_context) does. The context is
    /// for `callback` to keep.
    #[inline]
    pub fn run_in_new_context<R>(&self, provider: Provider, callback: impl FnOnce(AsyncContext) -> R) -> R {
        let context = self.new_context(provider);
        let entered = self.enter(&context);
        let result = callback(context);
        entered.leave();
        result
    }

    /// Enters `context`, and tells the hooks, until the guard is dropped.
    #[inline(always)] // +81 instructions in http/keep-alive without this and that of `new_context`
    fn enter(&self, context: &AsyncContext) -> Entered<'_> {
        let inner = self.inner();
        let mut outer = inner.ids.enter(context);
        if inner.hooks.is_told() {
            inner.tell_before(context, &mut outer);
        }
        Entered { inner, id: context.async_id(), outer }
    }
}

impl EnvironmentInner {
    #[cold]
    fn tell_before(&self, context: &AsyncContext, outer: &mut Outer) {
        // A hook that panics leaves the ids as they were.
        let left = OnUnwind::new(|| self.ids.leave(outer));
        self.hooks.emit_before(context.async_id(), context.trigger_async_id(), context.provider());
        left.disarm();
    }
}

/// A context that is entered. A panic leaves it by dropping this.
struct Entered<'a> {
    inner: &'a EnvironmentInner,
    id: AsyncId,
    outer: Outer,
}

impl Entered<'_> {
    /// Leaves the context. What this does when it is dropped, in place if hooks and storages have no part in it.
    #[inline]
    fn leave(self) {
        let EnvironmentInner { ids, hooks, .. } = self.inner;
        if hooks.is_told() || ids.has_storages() {
            return self.leave_fully();
        }
        ids.leave_ids(&self.outer);
        // Its frame is empty.
        forget(self);
    }

    #[cold]
    #[inline(never)]
    fn leave_fully(self) {
        drop(self);
    }

    /// Hooks get `after` also for a callback that panicked, and hooks that were enabled during the callback get it too.
    #[cold]
    fn tell_after(&mut self) {
        let Self { inner, id, outer } = self;
        let _left = OnDrop::new(|| inner.ids.leave(outer));
        inner.hooks.emit_after(*id);
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.inner.hooks.is_told() {
            return self.tell_after();
        }
        self.inner.ids.leave(&mut self.outer);
    }
}
