//! The time of a loop: what its callbacks take for now, and until when it may wait. Mirrors `uv_now`, `uv_update_time` and
//! `uv_backend_timeout`, libuv's `src/unix/core.c` and `src/timer.c`.

use crate::LoopHandle;
use crate::sys::clock::TICK;
use crate::timer::nanoseconds;
use std::time::Duration;

impl LoopHandle {
    /// The time since the loop was created, as of the last reading of the clock (`uv_now`): after each poll, and before
    /// the timers if one may be due or the callbacks have taken long. It does not change inside a callback.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.inner().now.get())
    }

    /// [`now`](Self::now) in nanoseconds.
    #[inline]
    pub(crate) fn nanoseconds(&self) -> u64 {
        self.inner().now.get()
    }

    /// Reads the clock (`uv_update_time`). Call it after a long computation inside a callback.
    pub fn update_time(&self) {
        self.inner().now.set(self.inner().origin.nanoseconds());
    }

    /// Reads the clock, if the last iteration has not read it behind its callbacks.
    #[inline]
    pub(crate) fn catch_up(&self) {
        if self.inner().lags.replace(false) {
            self.update_time();
        }
    }

    /// Sets the clock of the timers, until it is read again.
    #[cfg(test)]
    pub(crate) fn set_now(&self, now: Duration) {
        self.inner().now.set(nanoseconds(now));
    }

    /// Whether a timer may be due, or a tick of the kernel has passed since the poll.
    pub(crate) fn is_time_needed(&self) -> bool {
        let tick = self.inner().origin.nanoseconds_at_tick();
        tick > self.nanoseconds() || self.inner().timers.is_due_before(tick.saturating_add(TICK))
    }

    /// How long the poll phase may block; `None` for no limit (`uv_backend_timeout`).
    #[must_use]
    pub fn backend_timeout(&self) -> Option<Duration> {
        self.deadline().map(|deadline| Duration::from_nanos(deadline.saturating_sub(self.nanoseconds())))
    }

    /// Until when the poll phase may block, in nanoseconds: 0 if it may not, `None` for no limit.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<u64> {
        let inner = self.inner();
        let work_waits = inner.signalled.get()
            || !inner.pending.is_empty()
            || !inner.still_ready.is_empty()
            || !inner.closing.borrow().is_empty()
            || !inner.idle.is_empty();
        if inner.stop.get() || work_waits || !inner.members.keep_alive() {
            return Some(0);
        }
        let pause = inner.paused.deadline().map(nanoseconds);
        match (inner.timers.next_deadline(), pause) {
            (Some(timer), Some(pause)) => Some(timer.min(pause)),
            (timer, pause) => timer.or(pause),
        }
    }
}
