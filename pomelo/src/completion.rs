//! The completion of a call to a component, a lifecycle or a module. Mirrors the `cb` and `next` of pomelo's asynchronous
//! calls.

use async_wrap::Environment;
use std::fmt;

/// The reason of a failure, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<str>);

impl Failure {
    /// A failure for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string().into_boxed_str())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

type Callback<T> = Box<dyn FnOnce(Result<T, Failure>)>;

/// Reports once that a call has finished: now, or later from any callback of the thread.
///
/// The callback runs in a tick of its own, never from within [`finish`](Self::finish). A completion that is dropped unused
/// reports a failure, so that the caller does not wait in vain.
///
/// ```
/// use pomelo::Completion;
/// use async_wrap::Environment;
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let env = Environment::new(&event_loop);
/// Completion::new(&env, |result| assert_eq!(result, Ok(7))).ok(7);
/// Completion::<()>::new(&env, |result| assert!(result.is_err(), "dropped unused"));
/// env.run(RunMode::Default)?;
/// # Ok::<(), uv_core::Error>(())
/// ```
#[must_use = "a completion that is dropped reports a failure"]
pub struct Completion<T: 'static = ()> {
    env: Environment,
    callback: Option<Callback<T>>,
}

impl<T> Completion<T> {
    /// A completion that calls `callback` from a tick of `env`.
    pub fn new(env: &Environment, callback: impl FnOnce(Result<T, Failure>) + 'static) -> Self {
        Self { env: env.clone(), callback: Some(Box::new(callback)) }
    }

    /// Reports success.
    pub fn ok(self, value: T) {
        self.finish(Ok(value));
    }

    /// Reports a failure.
    pub fn fail(self, reason: impl fmt::Display) {
        self.finish(Err(Failure::new(reason)));
    }

    /// Reports success or a failure.
    pub fn finish(mut self, result: Result<T, Failure>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<T, Failure>) {
        if let Some(callback) = self.callback.take() {
            self.env.next_tick(move || callback(result));
        }
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        if self.callback.is_some() {
            self.tell(Err(Failure::new("the completion was dropped without having been used")));
        }
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").finish_non_exhaustive()
    }
}
