//! Timeouts and intervals. Mirrors Node's `lib/internal/timers.js`.
//!
//! Each is a timer of the loop with a resource and a callback scope of its own. So ticks run between two timers that
//! expire together, as in Node's `listOnTimeout`.

mod deadline;

use crate::layer::{OnDrop, Place};
use crate::{AsyncContext, AsyncId, Environment, Provider};
use std::fmt;
use std::time::Duration;
use uv_core::{LoopHandle, Timer};

pub use deadline::Heard;

/// The shortest delay, which replaces zero.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

/// A timeout or an interval (Node's `Timeout`). Clones share it; dropping them does not clear it.
///
/// ```
/// use async_wrap::Environment;
/// use std::time::Duration;
///
/// let env = Environment::with_new_loop()?;
/// let interval = env.set_interval(Duration::from_millis(1), || println!("again"));
/// env.set_timeout(Duration::from_millis(10), move || interval.clear());
/// env.run_to_end()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Timeout {
    env: Environment,
    timer: Timer,
    context: AsyncContext,
    delay: Duration,
}

impl Environment {
    /// Calls `callback` once, after `after` has passed; at least a millisecond (`setTimeout`).
    #[track_caller]
    pub fn set_timeout(&self, after: Duration, callback: impl FnOnce() + 'static) -> Timeout {
        // As in Node, the delay counts from now, not from the loop's last reading of the clock.
        self.loop_handle().update_time();
        self.begin_timeout(after.max(SHORTEST), callback)
    }

    /// Like [`set_timeout`](Self::set_timeout), up to a moment of the loop's time. If that has passed, `callback` is called in the
    /// next turn of the loop.
    #[track_caller]
    pub(crate) fn set_timeout_until(&self, due: Duration, callback: impl FnOnce() + 'static) -> Timeout {
        self.loop_handle().update_time();
        self.begin_timeout(due.saturating_sub(self.loop_handle().now()), callback)
    }

    #[track_caller]
    fn begin_timeout(&self, after: Duration, callback: impl FnOnce() + 'static) -> Timeout {
        let timeout = Timeout::new(self, after);
        let (this, mut callback) = (timeout.clone(), Some(callback));
        timeout.begin(move |_| {
            let Some(callback) = callback.take() else { return };
            let over = OnDrop::new(|| this.clear());
            this.env.make_callback(this.context, over.around(callback));
        });
        timeout
    }

    /// Calls `callback` repeatedly, each time when `every` has passed since the last call began; at least a millisecond
    /// (`setInterval`).
    ///
    /// The time that the callback takes is part of `every`, as in Node. If it takes longer, it is called again as soon
    /// as the loop has run everything else; missed calls are not made up for.
    #[track_caller]
    pub fn set_interval(&self, every: Duration, mut callback: impl FnMut() + 'static) -> Timeout {
        let timeout = Timeout::new(self, every.max(SHORTEST));
        let this = timeout.clone();
        timeout.start(move |_| {
            let again = this.start_again_at_end();
            this.env.make_callback(this.context, again.around(&mut callback));
        });
        timeout
    }
}

impl Timeout {
    #[track_caller]
    fn new(env: &Environment, delay: Duration) -> Self {
        let timer = Timer::new(env.loop_handle());
        let context = env.new_context(Provider::Timeout);
        Self { env: env.clone(), timer, context, delay }
    }

    fn start(&self, tower: impl FnMut(&Timer) + 'static) {
        self.loop_handle().update_time();
        self.begin(tower);
    }

    /// Starts the timer. The delay counts from the loop's last reading of the clock.
    fn begin(&self, tower: impl FnMut(&Timer) + 'static) {
        // `start` fails only on a closing timer, and this timer is new.
        let _ = self.timer.start(self.delay, Duration::ZERO, tower);
    }

    /// Restarts the timer with its tower. `delay` counts from the loop's last reading of the clock.
    fn start_again(&self, delay: Duration) {
        // `restart` fails only on a closing timer, which stays cleared.
        let _ = self.timer.restart(delay);
    }

    /// Updates the loop's time and returns it.
    fn now(&self) -> Duration {
        self.loop_handle().update_time();
        self.loop_handle().now()
    }

    fn loop_handle(&self) -> &LoopHandle {
        self.env.loop_handle()
    }

    /// Cancels the timeout or interval (`clearTimeout`), also from within its callback. Idempotent.
    pub fn clear(&self) {
        if !self.timer.is_closing() {
            self.timer.close();
            self.env.emit_destroy(self.context.async_id());
        }
    }

    /// Restarts the delay, unless the timeout has been called or cleared. Allocates nothing.
    pub fn refresh(&self) {
        if self.is_active() {
            self.loop_handle().update_time();
            self.start_again(self.delay);
        }
    }

    /// Makes the timeout keep the loop alive. This is the default.
    pub fn ref_(&self) {
        self.timer.ref_();
    }

    /// Lets the loop end before the timeout is due.
    pub fn unref(&self) {
        self.timer.unref();
    }

    /// Whether the timeout keeps the loop alive while it is active.
    #[must_use]
    pub fn has_ref(&self) -> bool {
        self.timer.has_ref()
    }

    /// Whether a call is pending.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.timer.is_active()
    }

    /// The place in the program's sources for which the timeout was made.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::of(&self.timer)
    }

    /// The id of the timeout's resource.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.context.async_id()
    }
}

impl Timeout {
    /// Returns a guard that restarts an interval after its call, also if the call panicked, unless the interval was
    /// cleared. Node counts from the begin of the call.
    fn start_again_at_end(&self) -> OnDrop<impl FnOnce() + use<'_>> {
        let due = self.now().saturating_add(self.delay);
        OnDrop::new(move || self.start_again(due.saturating_sub(self.now())))
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("async_id", &self.async_id())
            .field("delay", &self.delay)
            .field("active", &self.is_active())
            .finish_non_exhaustive()
    }
}
