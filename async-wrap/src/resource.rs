//! Resources of the program's own, such as a pool's waiting requests. Mirrors `AsyncResource`, Node's
//! `lib/async_hooks.js`.

use crate::{AsyncContext, AsyncId, Environment, Provider};

/// A resource of the program's own. Hooks learn of its end when it is dropped, so nothing can run in it afterwards.
///
/// ```
/// use async_wrap::{AsyncResource, Environment, Loop, Provider};
///
/// let event_loop = Loop::new()?;
/// let env = Environment::new(&event_loop);
/// let query = AsyncResource::new(&env, Provider::Custom(&"DBQUERY"));
/// query.run_in_async_scope(|| assert_eq!(env.execution_async_id(), query.async_id()));
/// # Ok::<(), async_wrap::Error>(())
/// ```
#[derive(Debug)]
pub struct AsyncResource {
    env: Environment,
    context: AsyncContext,
}

impl AsyncResource {
    /// A resource caused by what executes now.
    #[must_use]
    pub fn new(env: &Environment, provider: Provider) -> Self {
        Self { env: env.clone(), context: env.new_context(provider) }
    }

    /// A resource with a cause of its own.
    #[must_use]
    pub fn with_trigger(env: &Environment, provider: Provider, trigger: AsyncId) -> Self {
        Self { env: env.clone(), context: env.new_context_with_trigger(provider, trigger) }
    }

    /// Calls `callback` in the resource's context, at once. What it queues runs when the callback scope around all this
    /// ends.
    pub fn run_in_async_scope<R>(&self, callback: impl FnOnce() -> R) -> R {
        self.env.run_in_context(self.context, callback)
    }

    /// The resource's id.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.context.async_id()
    }

    /// The id of the resource that caused this one.
    #[must_use]
    pub fn trigger_async_id(&self) -> AsyncId {
        self.context.trigger_async_id()
    }

    /// Ends the resource: the same as dropping it, said aloud.
    pub fn emit_destroy(self) {
        drop(self);
    }
}

impl Drop for AsyncResource {
    fn drop(&mut self) {
        self.env.emit_destroy(self.context.async_id());
    }
}
