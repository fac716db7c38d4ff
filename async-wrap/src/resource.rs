//! Resources of the program, such as the waiting requests of a pool. Mirrors `AsyncResource`, Node's
//! `lib/async_hooks.js`.

use crate::{AsyncContext, AsyncId, Environment, Provider};

/// A resource of the program. Dropping it destroys it, and hooks are told, so no callback can run in it afterwards.
///
/// ```
/// use async_wrap::{AsyncResource, Environment, Provider};
/// use uv_core::Loop;
///
/// let event_loop = Loop::new()?;
/// let env = Environment::new(&event_loop);
/// let query = AsyncResource::new(&env, Provider::Custom(&"DBQUERY"));
/// query.run_in_async_scope(|| assert_eq!(env.execution_async_id(), query.async_id()));
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AsyncResource {
    env: Environment,
    context: AsyncContext,
}

impl AsyncResource {
    /// Creates a resource whose trigger is the executing resource.
    #[must_use]
    pub fn new(env: &Environment, provider: Provider) -> Self {
        Self { env: env.clone(), context: env.new_context(provider) }
    }

    /// Creates a resource with the given trigger.
    #[must_use]
    pub fn with_trigger(env: &Environment, provider: Provider, trigger: AsyncId) -> Self {
        Self { env: env.clone(), context: env.new_context_with_trigger(provider, trigger) }
    }

    /// Calls `callback` immediately in the resource's context. Ticks and microtasks that it queues run at the end of
    /// the callback scope around this call.
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

    /// Destroys the resource, as dropping it does.
    pub fn emit_destroy(self) {
        drop(self);
    }

    /// Calls `callback`, which the loop has called, in a callback scope in the resource's context.
    pub(crate) fn make_callback<R>(&self, callback: impl FnOnce() -> R) -> R {
        self.env.make_callback(self.context, callback)
    }

    /// The completion of a request of the loop, which runs in a callback scope in this resource's context, and destroys it. If
    /// it is dropped instead, it destroys the resource too.
    pub(crate) fn completed_by<T>(self, after: impl FnOnce(T) + 'static) -> impl FnOnce(T) + 'static {
        move |result| {
            let (env, context) = (self.env.clone(), self.context);
            env.make_callback(context, || {
                let _destroyed_at_end = self;
                after(result);
            });
        }
    }
}

impl Environment {
    /// Makes a request of the loop, such as one of [`uv_core::file`], a resource: `after` is its completion, and what this
    /// returns is to be given to the loop in place of it. It runs in a callback scope, in the context of the request, whose
    /// trigger is the executing resource; then the request is destroyed.
    ///
    /// ```
    /// use async_wrap::{Environment, Provider};
    /// use uv_core::file;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let after = env.request(Provider::FsReqCallback, |stat: uv_core::Result<_>| assert!(stat.is_ok()));
    /// file::stat(env.loop_handle(), "Cargo.toml", after)?;
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn request<T>(
        &self,
        provider: Provider,
        after: impl FnOnce(T) + 'static,
    ) -> impl FnOnce(T) + 'static {
        AsyncResource::new(self, provider).completed_by(after)
    }
}

impl Drop for AsyncResource {
    fn drop(&mut self) {
        self.env.emit_destroy(self.context.async_id());
    }
}
