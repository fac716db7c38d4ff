//! The completion: what a component, a lifecycle or a module is given to say that it has finished. Mirrors the `cb` and
//! `next` that pomelo hands to everything asynchronous.

use async_wrap::Environment;
use std::fmt;

/// Why something did not succeed, in words.
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

/// Says once that something has finished: now, or later from anywhere on the thread.
///
/// Whoever waits is called in a tick of its own, never from within [`finish`](Self::finish). Dropped without having
/// been used it reports a failure, so that nobody waits for what can not come any more.
///
/// ```
/// use async_wrap::{Environment, Loop, RunMode};
/// use pomelo::Completion;
///
/// let lp = Loop::new()?;
/// let env = Environment::new(&lp);
/// Completion::new(&env, |result| assert_eq!(result, Ok(7))).ok(7);
/// Completion::<()>::new(&env, |result| assert!(result.is_err(), "nobody said anything"));
/// env.run(RunMode::Default)?;
/// # Ok::<(), async_wrap::Error>(())
/// ```
#[must_use = "whoever waits is told of a failure when this is dropped"]
pub struct Completion<T: 'static = ()> {
    env: Environment,
    callback: Option<Callback<T>>,
}

impl<T> Completion<T> {
    /// A completion that calls `callback` from a tick of `env`.
    pub fn new(env: &Environment, callback: impl FnOnce(Result<T, Failure>) + 'static) -> Self {
        Self { env: env.clone(), callback: Some(Box::new(callback)) }
    }

    /// It succeeded.
    pub fn ok(self, value: T) {
        self.finish(Ok(value));
    }

    /// It failed.
    pub fn fail(self, reason: impl fmt::Display) {
        self.finish(Err(Failure::new(reason)));
    }

    /// It succeeded or failed.
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
