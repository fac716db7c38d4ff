//! Time to await: `sleep`, `interval`, `timeout`. Mirrors `timers/promises`, Node's `lib/timers/promises.js`.

use crate::task::Waiter;
use crate::timers::SHORTEST;
use crate::{Environment, Timeout};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use uv_core::Errno;

impl Environment {
    /// A future that is ready when `after` has passed since this call, never earlier. Dropping it removes its timer.
    ///
    /// A millisecond is the shortest time, also for [`Duration::ZERO`], as in Node. A sleep whose time has passed before its first
    /// poll is ready in the next turn of the loop, never at once: a task that sleeps lets timers and I/O run.
    ///
    /// While it is pending and has been polled, its timer keeps the loop alive.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let sleep = env.sleep(Duration::from_millis(1));
    /// env.block_on(sleep)?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn sleep(&self, after: Duration) -> Sleep {
        self.loop_handle().update_time();
        let due = self.loop_handle().now().saturating_add(after.max(SHORTEST));
        Sleep { env: self.clone(), due, timer: None }
    }

    /// Ticks, the first of which comes when `every` has passed; at least a millisecond.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let mut interval = env.interval(Duration::from_millis(1));
    /// env.block_on(async move {
    ///     for _ in 0..3 {
    ///         interval.tick().await;
    ///         println!("tick");
    ///     }
    /// })?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[must_use]
    pub fn interval(&self, every: Duration) -> Interval {
        Interval { sleep: self.sleep(every), every }
    }

    /// Awaits `future`, for at most `after`. If it is not ready then, it is dropped at once.
    ///
    /// An [`Elapsed`] becomes an error of the loop, of a layer or of [`io`](std::io) by `?`, as `ETIMEDOUT`.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::future::pending;
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let waiting = env.clone();
    /// let waited = env.block_on(async move {
    ///     waiting.timeout(Duration::from_millis(1), pending::<()>()).await
    /// })?;
    /// assert!(waited.is_err());
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn timeout<F: Future>(
        &self,
        after: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + use<F> {
        let mut sleep = self.sleep(after);
        async move {
            let mut future = pin!(future);
            poll_fn(|context| {
                if let Poll::Ready(value) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(value));
                }
                Pin::new(&mut sleep).poll(context).map(|()| Err(Elapsed(after)))
            })
            .await
        }
    }
}

/// A future that is ready later: see [`Environment::sleep`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    env: Environment,
    /// In the loop's time.
    due: Duration,
    /// From the first poll on.
    timer: Option<(Timeout, Rc<Alarm>)>,
}

/// What the timer and the future share.
#[derive(Default)]
struct Alarm {
    has_rung: Cell<bool>,
    waiter: Waiter,
}

impl Sleep {
    /// Begins again: ready when `after` has passed since this call.
    pub fn reset(&mut self, after: Duration) {
        *self = self.env.sleep(after);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some((_, alarm)) = &this.timer {
            if alarm.has_rung.get() {
                return Poll::Ready(());
            }
            alarm.waiter.wait(context);
            return Poll::Pending;
        }
        // Also if the time has passed: a task that is always late would never let anything else run.
        let alarm = Rc::new(Alarm::default());
        alarm.waiter.wait(context);
        let ringing = Rc::clone(&alarm);
        let timeout = this.env.set_timeout_until(this.due, move || {
            ringing.has_rung.set(true);
            ringing.waiter.wake();
        });
        this.timer = Some((timeout, alarm));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((timeout, _)) = self.timer.take() {
            timeout.clear();
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("due", &self.due).finish_non_exhaustive()
    }
}

/// Ticks at intervals: see [`Environment::interval`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    every: Duration,
}

impl Interval {
    /// Returns when the interval has passed since the last tick, or in the next turn of the loop if it has passed already: missed
    /// ticks are not made up for. Dropping the future misses no tick.
    pub async fn tick(&mut self) {
        (&mut self.sleep).await;
        self.sleep.reset(self.every);
    }
}

/// The time was over before a future was ready: see [`Environment::timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not ready after {:?}", self.0)
    }
}

impl Error for Elapsed {}

/// `ETIMEDOUT`, for the functions whose errors are the loop's or a layer's.
impl From<Elapsed> for uv_core::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new("timeout", Errno::ETIMEDOUT).on(format_args!("{:?}", elapsed.0))
    }
}

/// Of the kind [`TimedOut`](io::ErrorKind::TimedOut).
impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}
