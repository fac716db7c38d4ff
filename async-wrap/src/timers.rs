//! Timeouts and intervals. Mirrors Node's `lib/internal/timers.js`.
//!
//! Each is a timer of the loop with a resource of its own, called in a callback scope of its own. So ticks run between
//! two timers that expire together, as Node's `listOnTimeout` has it.

mod deadline;

use crate::layer::OnDrop;
use crate::{AsyncContext, AsyncId, Environment, Provider};
use std::fmt;
use std::time::Duration;
use uv_core::{LoopHandle, Timer};

pub use deadline::Heard;

/// The shortest delay; zero means this.
const SHORTEST: Duration = Duration::from_millis(1);

/// A timeout or an interval (Node's `Timeout`). A cheap clone; dropping it changes nothing.
#[derive(Clone)]
pub struct Timeout {
    env: Environment,
    timer: Timer,
    context: AsyncContext,
    delay: Duration,
}

impl Environment {
    /// Calls `callback` once `after` has passed from now; at least a millisecond (`setTimeout`).
    pub fn set_timeout(&self, after: Duration, callback: impl FnOnce() + 'static) -> Timeout {
        let timeout = Timeout::new(self, after);
        let (this, mut callback) = (timeout.clone(), Some(callback));
        timeout.start(move |_| {
            let Some(callback) = callback.take() else { return };
            this.env.make_callback(this.context, || {
                let _over = OnDrop::new(|| this.clear());
                callback();
            });
        });
        timeout
    }

    /// Calls `callback` again and again, each time once `every` has passed since the last call began; at least a
    /// millisecond (`setInterval`).
    ///
    /// What the callback takes is part of `every`, as in Node. One that takes longer is called again as soon as
    /// everything else has had its turn; calls that would have been due meanwhile are not made up for.
    pub fn set_interval(&self, every: Duration, mut callback: impl FnMut() + 'static) -> Timeout {
        let timeout = Timeout::new(self, every);
        let this = timeout.clone();
        timeout.start(move |_| {
            this.env.make_callback(this.context, || {
                let _again = this.start_again_at_end();
                callback();
            });
        });
        timeout
    }
}

impl Timeout {
    fn new(env: &Environment, delay: Duration) -> Self {
        let timer = Timer::new(env.loop_handle());
        let context = env.new_context(Provider::Timeout);
        Self { env: env.clone(), timer, context, delay: delay.max(SHORTEST) }
    }

    fn start(&self, tower: impl FnMut(&Timer) + 'static) {
        // Node looks at the clock here too: a delay counts from now, not from when the loop woke up.
        self.loop_handle().update_time();
        // Refused only to a closing timer, and this one is new.
        let _ = self.timer.start(self.delay, Duration::ZERO, tower);
    }

    /// Arms the timer anew, with the tower that it has. `delay` counts from when the loop last looked at the clock.
    fn start_again(&self, delay: Duration) {
        // Refused only to a closing timer, which stays cleared.
        let _ = self.timer.restart(delay);
    }

    /// Looks at the clock.
    fn now(&self) -> Duration {
        self.loop_handle().update_time();
        self.loop_handle().now()
    }

    fn loop_handle(&self) -> &LoopHandle {
        self.env.loop_handle()
    }

    /// No call follows (`clearTimeout`), also from within one. Idempotent.
    pub fn clear(&self) {
        if !self.timer.is_closing() {
            self.timer.close();
            self.env.emit_destroy(self.context.async_id());
        }
    }

    /// Starts the delay anew, unless the timeout has been called or cleared. Allocates nothing.
    pub fn refresh(&self) {
        if self.is_active() {
            self.loop_handle().update_time();
            self.start_again(self.delay);
        }
    }

    /// Lets the timeout keep the loop alive, which it does at first.
    pub fn ref_(&self) {
        self.timer.ref_();
    }

    /// Lets the loop end before the timeout.
    pub fn unref(&self) {
        self.timer.unref();
    }

    /// Whether the timeout keeps the loop alive while it is active.
    #[must_use]
    pub fn has_ref(&self) -> bool {
        self.timer.has_ref()
    }

    /// Whether a call is to come.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.timer.is_active()
    }

    /// The id of the timeout's resource.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.context.async_id()
    }
}

impl Timeout {
    /// Arms an interval after its call, also one that panicked, unless it was cleared. Node counts from the begin of the
    /// call.
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
