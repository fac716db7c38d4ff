//! hyper's `Executor`: tasks on the loop.

use hyper::rt::Executor;
use net::async_wrap::Environment;

/// Runs futures as tasks of an [`Environment`], which need not be `Send`: [`Environment::spawn_local`] without a handle. hyper asks
/// for an executor in its HTTP/2 connections.
///
/// A task does not keep the loop alive: what it waits for does. A panic of it passes out of `run`.
#[derive(Clone, Debug)]
pub struct LoopExecutor {
    env: Environment,
}

impl LoopExecutor {
    /// Runs futures in `env`.
    #[must_use]
    pub fn new(env: &Environment) -> Self {
        Self { env: env.clone() }
    }
}

impl<F> Executor<F> for LoopExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        self.env.spawn_local(future).detach();
    }
}
