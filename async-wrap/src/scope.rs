//! Callback scopes: every call into the program. Mirrors `InternalMakeCallback` and `InternalCallbackScope`, Node's
//! `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. When the outermost scope's callback returns, the scope
//! runs the queued ticks and microtasks; inner scopes do not. With no hooks and empty queues a scope is a few loads and
//! stores.

use crate::environment::EnvironmentInner;
use crate::ids::Outer;
use crate::layer::OnDrop;
use crate::{AsyncContext, AsyncId, Environment, Provider};
use std::fmt;
use std::mem::{forget, take};

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
        let scope = self.enter(context);
        let result = callback();
        scope.leave();
        result
    }

    /// Makes `context` that of a new resource, and enters it: [`new_context`](Self::new_context) and
    /// [`run_in_context`](Self::run_in_context) for a record that is used again and again, and that may move meanwhile.
    #[inline]
    pub fn enter_new(&self, context: &mut AsyncContext, provider: Provider) -> Scope<'_> {
        let inner = self.inner();
        context.renew(inner.ids.next(), inner.ids.default_trigger(), provider);
        if inner.is_watched() {
            inner.note_new(context);
        }
        self.enter(context)
    }

    /// Enters `context` until the scope is left, and tells the hooks.
    #[inline(always)] // +36 instructions in http/keep-alive without it
    fn enter(&self, context: &AsyncContext) -> Scope<'_> {
        let inner = self.inner();
        // Without an id, so that a hook that panics is not told of an end.
        let mut scope = Scope { inner, id: AsyncId::NONE, outer: inner.ids.enter(context) };
        if inner.is_watched() {
            scope.begin_watched(context);
        }
        scope.id = context.async_id();
        scope
    }
}

/// A context that is entered: see [`Environment::enter_new`]. A panic leaves it by dropping this.
#[must_use = "the context is left when this is dropped"]
pub struct Scope<'a> {
    inner: &'a EnvironmentInner,
    id: AsyncId,
    outer: Outer,
}

impl Scope<'_> {
    #[cold]
    fn begin_watched(&mut self, context: &AsyncContext) {
        let EnvironmentInner { ids, hooks, .. } = self.inner;
        ids.enter_frame_of(context, &mut self.outer);
        if hooks.is_told() {
            hooks.emit_before(context.async_id(), context.trigger_async_id(), context.provider());
        }
    }

    /// Leaves the context, and tells the hooks: what dropping does, in place without hooks and storages.
    #[inline]
    pub fn leave(self) {
        if self.inner.is_watched() {
            return self.leave_watched();
        }
        self.inner.ids.leave_ids(&self.outer);
        // Its frame is empty.
        forget(self);
    }

    #[cold]
    #[inline(never)]
    fn leave_watched(self) {
        drop(self);
    }
}

impl Drop for Scope<'_> {
    /// Hooks get `after` also for a callback that panicked, and hooks that were enabled during the callback get it too.
    fn drop(&mut self) {
        let Self { inner, id, outer } = self;
        let _left = OnDrop::new(|| inner.ids.leave(outer));
        if inner.hooks.is_told() {
            inner.hooks.emit_after(take(id));
        }
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("async_id", &self.id).finish_non_exhaustive()
    }
}
