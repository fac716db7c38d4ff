//! What keeps the loop alive for a task, and running a loop for one: `block_on`.

use crate::Environment;
use crate::layer::OnDrop;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use uv_core::{Errno, Error, Result, RunMode};

/// Keeps the loop alive until it is dropped: see [`Environment::keep_alive`].
#[must_use = "the loop may end when this is dropped"]
pub struct KeepAlive(Environment);

impl Environment {
    /// Keeps the loop alive as long as the guard lives. A task needs one while it waits for something that is not of the loop:
    /// a thread, or another runtime.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::future::poll_fn;
    /// use std::sync::mpsc::channel;
    /// use std::task::Poll;
    /// use std::thread;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let guard = env.keep_alive();
    /// env.spawn_local(async move {
    ///     let (tell, told) = channel();
    ///     let answer = poll_fn(move |context| match told.try_recv() {
    ///         Ok(answer) => Poll::Ready(answer),
    ///         Err(_) => {
    ///             let (waker, tell) = (context.waker().clone(), tell.clone());
    ///             thread::spawn(move || (tell.send(42), waker.wake()));
    ///             Poll::Pending
    ///         }
    ///     });
    ///     assert_eq!(answer.await, 42);
    ///     drop(guard);
    /// });
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn keep_alive(&self) -> KeepAlive {
        self.inner().driver.add_keeper();
        KeepAlive(self.clone())
    }

    /// Runs the loop until `future` has ended, and returns its value. Whatever else is alive then goes on with the next
    /// [`run`](Self::run).
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let sleeper = env.clone();
    /// let slept = env.block_on(async move {
    ///     sleeper.sleep(Duration::from_millis(1)).await;
    ///     "well"
    /// })?;
    /// assert_eq!(slept, "well");
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EDEADLK` if nothing is left that keeps the loop alive, while the future is pending: it would never end. The future is
    /// dropped. `EBUSY` if the loop runs already; any error of polling.
    ///
    /// # Panics
    /// Passes on a panic of the future or of a callback. The future is dropped.
    pub fn block_on<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Result<T> {
        let (stopping, waits) = (self.clone(), Rc::new(Cell::new(true)));
        let waiting = Rc::clone(&waits);
        let task = self.spawn_local(async move {
            // Also if the future panics, or its task is dropped: what else is alive may have no end.
            let _ended = OnDrop::new(|| {
                if waiting.get() {
                    stopping.loop_handle().stop();
                }
            });
            future.await
        });
        // Also if a callback panics: a future that is left would stop a later run.
        let _given_up = OnDrop::new(|| {
            // The loop does not run, or for another caller.
            waits.set(false);
            task.abort();
        });
        loop {
            let is_alive = self.run(RunMode::Default);
            if let Some(outcome) = task.take_outcome() {
                return match outcome.map_err(crate::task::JoinError::into_panic) {
                    Ok(value) => Ok(value),
                    Err(Some(panic)) => std::panic::resume_unwind(panic),
                    Err(None) => Err(Error::new("block_on", Errno::ECANCELED)),
                };
            }
            match is_alive {
                // Something else has stopped the loop.
                Ok(true) => {}
                Ok(false) => return Err(Error::new("block_on", Errno::EDEADLK).noting(DEADLOCK)),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The note of an error where a future would be waited for without an end.
const DEADLOCK: &str = "the future is pending, and nothing that keeps the loop alive is left to wake it";

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.inner().driver.remove_keeper();
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive").finish_non_exhaustive()
    }
}
