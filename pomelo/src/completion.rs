//! The completion of a call to a component, a lifecycle or a module. Mirrors the `cb` and `next` of pomelo's asynchronous
//! calls.

use async_wrap::Environment;
use async_wrap::task::{Slot, TaskHandle};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

/// The reason of a failure, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<str>);

impl Failure {
    /// A failure for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string().into_boxed_str())
    }

    fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::new(format_args!("the call has panicked: {}", text.unwrap_or("a value without text")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

type Report<T> = Box<dyn FnOnce(&Environment, Result<T, Failure>)>;

/// Reports once that a call has finished: now, or later from any callback or task of the thread.
///
/// The caller is told later, never from within [`finish`](Self::finish). A completion that is dropped unused reports a
/// failure, so that the caller does not wait in vain.
///
/// ```
/// use pomelo::Completion;
/// use async_wrap::Environment;
///
/// let env = Environment::with_new_loop()?;
/// Completion::new(&env, |result| assert_eq!(result, Ok(7))).ok(7);
/// Completion::<()>::new(&env, |result| assert!(result.is_err(), "dropped unused"));
/// Completion::new(&env, |result| assert_eq!(result, Ok(8))).finish_with(async { Ok(8) });
/// env.run_to_end()?;
/// # Ok::<(), async_wrap::uv_core::Error>(())
/// ```
#[must_use = "a completion that is dropped reports a failure"]
pub struct Completion<T: 'static = ()> {
    env: Environment,
    report: Option<Report<T>>,
}

impl<T> Completion<T> {
    /// A completion that calls `callback` from a tick of `env`.
    pub fn new(env: &Environment, callback: impl FnOnce(Result<T, Failure>) + 'static) -> Self {
        Self::reporting(env, move |env, result| env.next_tick(move || callback(result)))
    }

    /// A completion, and a future that is ready when it has reported.
    ///
    /// ```
    /// use pomelo::Completion;
    /// use async_wrap::Environment;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let (done, finished) = Completion::pair(&env);
    /// env.set_immediate(move || done.ok(7));
    /// assert_eq!(env.block_on(finished)?, Ok(7));
    /// # Ok::<(), async_wrap::uv_core::Error>(())
    /// ```
    pub fn pair(env: &Environment) -> (Self, Finished<T>) {
        let slot = Rc::new(Slot::default());
        let reported = Rc::clone(&slot);
        (Self::reporting(env, move |_, result| reported.put(result)), Finished(slot))
    }

    fn reporting(env: &Environment, report: impl FnOnce(&Environment, Result<T, Failure>) + 'static) -> Self {
        Self { env: env.clone(), report: Some(Box::new(report)) }
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

    /// Reports the outcome of a future, which runs up to its first `await` now, and then as a task. A panic of it is a failure.
    ///
    /// Returns the task, if it has not ended with that. If the task is aborted, or ends with the loop, a failure is reported.
    pub fn finish_with(
        self,
        call: impl Future<Output = Result<T, Box<dyn Error>>> + 'static,
    ) -> Option<TaskHandle> {
        let env = self.env.clone();
        env.start_detached(async move {
            let mut call = pin!(call);
            let result = poll_fn(|context| {
                // After a panic the future is only dropped.
                match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
                    Ok(poll) => poll.map_err(Failure::new),
                    Err(panic) => Poll::Ready(Err(Failure::of_panic(&*panic))),
                }
            });
            self.finish(result.await);
        })
    }

    fn tell(&mut self, result: Result<T, Failure>) {
        if let Some(report) = self.report.take() {
            report(&self.env, result);
        }
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        if self.report.is_some() {
            self.tell(Err(Failure::new("the completion was dropped without having been used")));
        }
    }
}

impl<T> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").finish_non_exhaustive()
    }
}

/// A future that is ready when a completion has reported: see [`Completion::pair`]. Dropping it changes nothing for the call.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Finished<T>(Rc<Slot<Result<T, Failure>>>);

/// Returns the report once. After that it stays pending.
impl<T> Future for Finished<T> {
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context)
    }
}

impl<T> Drop for Finished<T> {
    fn drop(&mut self) {
        // The report wakes the task that waits for it, and no task that waits for something else.
        self.0.leave();
    }
}

impl<T> fmt::Debug for Finished<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").finish_non_exhaustive()
    }
}

/// Makes a call in a tick of its own. Returns a future that is ready when the call has finished.
pub(crate) fn call(env: &Environment, call: impl FnOnce(Completion) + 'static) -> Finished<()> {
    let (done, finished) = Completion::pair(env);
    env.next_tick(move || call(done));
    finished
}
