//! The handle of a task: to await its value, to abort it. Mirrors what a promise is to its creator in Node, with an abort.

use crate::Environment;
use crate::task::TaskKey;
use pin_project_lite::pin_project;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A task: awaiting it returns the task's value. Dropping it lets the task go on.
///
/// ```
/// use async_wrap::Environment;
/// use std::time::Duration;
///
/// let env = Environment::with_new_loop()?;
/// let late = env.clone();
/// let endless = env.spawn_local(async move { late.sleep(Duration::MAX).await });
/// endless.abort();
/// env.spawn_local(async move { assert!(endless.await.is_err_and(|error| error.is_aborted())) });
/// env.run_to_end()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
pub struct JoinHandle<T> {
    env: Environment,
    task: TaskKey,
    join: Rc<Join<T>>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(env: &Environment, task: TaskKey, join: Rc<Join<T>>) -> Self {
        Self { env: env.clone(), task, join }
    }

    /// Drops the task's future, now; at the end of its poll, if the task aborts itself. Does nothing to a task that has ended.
    pub fn abort(&self) {
        self.env.abort_task(self.task);
    }

    /// Lets the task go on without a handle, as dropping it does: a later panic passes out of `run`.
    pub fn detach(self) {
        drop(self);
    }

    /// The value or the error, once it is there.
    pub(crate) fn take_outcome(&self) -> Option<Result<T, JoinError>> {
        self.join.outcome.take()
    }

    /// Whether the task has ended: its value is there, or it has panicked or was aborted.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.join.is_settled()
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // Nothing waits for the value any more.
        drop(self.join.waker.take());
    }
}

/// Returns the task's value once. After that it stays pending.
impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.join.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.join.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// A task without a value: see [`Environment::start_detached`]. Dropping it lets the task go on.
#[derive(Clone)]
pub struct TaskHandle {
    pub(crate) env: Environment,
    pub(crate) task: TaskKey,
}

impl TaskHandle {
    /// Drops the task's future, now; at the end of its poll, if the task aborts itself. Does nothing to a task that has ended.
    pub fn abort(&self) {
        self.env.abort_task(self.task);
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("task", &self.task).finish_non_exhaustive()
    }
}

/// Why a task has no value.
pub struct JoinError(Option<Box<dyn Any + Send>>);

impl JoinError {
    /// Whether the task was aborted, or dropped with its environment.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.is_none()
    }

    /// What the task has panicked with, for [`std::panic::resume_unwind`]; `None` if it was aborted.
    #[must_use]
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        self.0
    }

    fn message(&self) -> &str {
        self.0.as_deref().map_or("the task was aborted", text_of_panic)
    }
}

/// What a panic says, for errors.
pub(crate) fn text_of_panic(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a value without text")
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_aborted() {
            f.write_str(self.message())
        } else {
            write!(f, "the task has panicked: {}", self.message())
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinError").field(&self.message()).finish()
    }
}

impl std::error::Error for JoinError {}

/// So that `?` carries it where there are other errors of input and output.
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        // What it has panicked with may belong to the loop's thread, or not be shared: its text goes on.
        Self::other(error.to_string())
    }
}

/// What a task and its handle share.
pub(crate) struct Join<T> {
    outcome: Cell<Option<Result<T, JoinError>>>,
    is_settled: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl<T> Default for Join<T> {
    fn default() -> Self {
        Self { outcome: Cell::new(None), is_settled: Cell::new(false), waker: Cell::new(None) }
    }
}

impl<T> Join<T> {
    fn is_settled(&self) -> bool {
        self.is_settled.get()
    }

    fn settle(&self, outcome: Result<T, JoinError>) {
        if !self.is_settled.replace(true) {
            self.outcome.set(Some(outcome));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

pin_project! {
    /// A task's future, whose value goes to the handle.
    pub(crate) struct Joined<F: Future> {
        #[pin]
        future: F,
        join: Rc<Join<F::Output>>,
    }

    impl<F: Future> PinnedDrop for Joined<F> {
        fn drop(this: Pin<&mut Self>) {
            this.join.settle(Err(JoinError(None)));
        }
    }
}

impl<F: Future> Joined<F> {
    pub(crate) fn new(future: F, join: Rc<Join<F::Output>>) -> Self {
        Self { future, join }
    }
}

impl<F: Future> Future for Joined<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // After a panic the future is only dropped.
        match catch_unwind(AssertUnwindSafe(|| this.future.poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => this.join.settle(Ok(value)),
            Err(panic) if Rc::strong_count(this.join) > 1 => this.join.settle(Err(JoinError(Some(panic)))),
            Err(panic) => resume_unwind(panic),
        }
        Poll::Ready(())
    }
}
