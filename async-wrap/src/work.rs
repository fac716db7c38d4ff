//! Work on the thread pool to await. Mirrors `uv_queue_work`, and `ThreadPoolWork` of Node's `src/threadpoolwork-inl.h`.

use crate::awaited::work_of;
use crate::join::text_of_panic;
use crate::{Environment, Provider};
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Node's work has no type of its own.
const WORK: Provider = Provider::Custom(&"WORK");

impl Environment {
    /// Runs `work` in the process's thread pool and returns its value. It is queued at the first poll, and keeps the loop alive
    /// until it has ended: see [`LoopHandle::queue_work`](uv_core::LoopHandle::queue_work).
    ///
    /// Dropping the future cancels work that has not begun. What runs goes on in its thread, and its value is dropped there;
    /// the loop does not wait for it.
    ///
    /// ```
    /// use async_wrap::Environment;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let product = env.block_on(env.work(|| (1..=20).product::<u64>()))?;
    /// assert_eq!(product.expect("it does not panic"), 2_432_902_008_176_640_000);
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The panic of `work`; usually `EAGAIN` if the pool has no thread and cannot create one.
    pub fn work<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, WorkError>> + use<T, W> {
        let env = self.clone();
        // A panic that passed out of the pool would pass out of `run`.
        let caught = || catch_unwind(AssertUnwindSafe(work));
        async move {
            let worked = work_of(&env, WORK, |after| Ok(env.loop_handle().queue_work(caught, after))).await;
            match worked {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(panic)) => Err(WorkError(Cause::Panic(panic))),
                Err(error) => Err(WorkError(Cause::System(error))),
            }
        }
    }
}

/// Why work has no value: see [`Environment::work`].
pub struct WorkError(Cause);

enum Cause {
    Panic(Box<dyn Any + Send>),
    System(uv_core::Error),
}

impl WorkError {
    /// What the work has panicked with, for [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// The system's error, if it has not run.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, uv_core::Error> {
        match self.0 {
            Cause::Panic(panic) => Ok(panic),
            Cause::System(error) => Err(error),
        }
    }

    /// Whether the work has panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0, Cause::Panic(_))
    }
}

impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Panic(panic) => write!(f, "the work has panicked: {}", text_of_panic(&**panic)),
            Cause::System(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkError").field(&self.to_string()).finish()
    }
}

impl std::error::Error for WorkError {}

/// So that `?` carries it where there are other errors of input and output.
impl From<WorkError> for io::Error {
    fn from(error: WorkError) -> Self {
        match error.0 {
            Cause::System(system) => system.into(),
            Cause::Panic(_) => Self::other(error.to_string()),
        }
    }
}
