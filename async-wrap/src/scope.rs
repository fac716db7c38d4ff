//! Callback scopes: every call into the program. Mirrors `InternalMakeCallback` and `InternalCallbackScope`, Node's
//! `src/api/callback.cc`.
//!
//! Every upcall goes through [`Environment::make_callback`]. When the outermost scope's callback returns, the scope
//! runs the queued ticks and microtasks; inner scopes do not. With no hooks and empty queues a scope is a few loads and
//! stores.

use crate::environment::EnvironmentInner;
use crate::layer::OnDrop;
use crate::{AsyncContext, Environment, Provider};

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
        let _scope = self.enter(context);
        callback()
    }

    /// Creates a resource and calls `callback` in its context, as [`run_in_context`](Self::run_in_context) does. The context is
    /// for `callback` to keep.
    #[inline]
    pub fn run_in_new_context<R>(&self, provider: Provider, callback: impl FnOnce(AsyncContext) -> R) -> R {
        let context = self.new_context(provider);
        let _scope = self.enter(&context);
        callback(context)
    }

    /// Enters `context`, and tells the hooks, until the guard is dropped.
    #[inline]
    fn enter(&self, context: &AsyncContext) -> impl Drop + use<'_> {
        let EnvironmentInner { ids, hooks, .. } = self.inner();
        let id = context.async_id();
        let outer = ids.enter(context);
        if hooks.is_told() {
            hooks.emit_before(id, context.trigger_async_id(), context.provider());
        }
        // Created after `before` was emitted. Hooks get `after` also for a callback that panicked, and hooks that were
        // enabled during the callback get it too.
        OnDrop::new(move || {
            if hooks.is_told() {
                hooks.emit_after(id);
            }
            drop(outer);
        })
    }
}
