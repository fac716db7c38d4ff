//! The inactivity timeout of a socket: a timer that checks, when it fires, whether there was activity meanwhile.
//! Mirrors `socket.setTimeout` and `_onTimeout`.

use crate::state::{DESTROY_SOON, SocketInner, TIMED, TIMED_OUT};
use async_wrap::{Heard, Timeout};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The timeout of a socket, while it is set.
pub(crate) struct IdleTimeout {
    after: Duration,
    /// When data was last read or written, on the loop's clock.
    active_at: Duration,
    /// The size of the write queue at the last check: a queue that shrinks is activity as well.
    waiting: usize,
    /// `None` after `on_timeout`, until there is activity.
    timer: Option<Timeout>,
}

impl IdleTimeout {
    pub(crate) fn set(state: &Rc<SocketInner>, after: Duration) {
        state.drop_timeout();
        if !after.is_zero() {
            let timer = Some(Self::arm(state, after));
            // `arm` has updated the loop's time.
            let active_at = state.stream.loop_handle().now();
            let waiting = state.stream.write_queue_size();
            state.cold.with(|cold| cold.idle = Some(Self { after, active_at, waiting, timer }));
            state.set(TIMED);
        }
    }

    fn arm(state: &Rc<SocketInner>, after: Duration) -> Timeout {
        // Weak: a timer must not keep a connection's memory.
        let weak: Weak<SocketInner> = Rc::downgrade(state);
        let timer = state.stream.environment().set_deadline(after, move |heard| {
            if let Some(state) = weak.upgrade() {
                Self::ran_out(&state, heard);
            }
        });
        timer.unref();
        timer
    }

    /// The timer has fired, after all input that arrived in time was read, and queued data was written as far as
    /// possible.
    fn ran_out(state: &Rc<SocketInner>, heard: Heard) {
        let Some(mut idle) = state.cold.peek(|cold| cold.idle.take()).flatten() else { return };
        let now = heard.until();
        let waiting = state.stream.write_queue_size();
        if waiting < idle.waiting {
            idle.active_at = now;
        }
        idle.waiting = waiting;
        let left = idle.after.saturating_sub(now.saturating_sub(idle.active_at));
        if left.is_zero() {
            idle.timer = None;
            state.set(TIMED_OUT);
            state.stream.notify();
        } else {
            idle.timer = Some(Self::arm(state, left));
        }
        state.cold.with(|cold| cold.idle = Some(idle));
    }
}

impl SocketInner {
    /// Records that data was read or written. Costs no timer operation, except for the first time after an
    /// `on_timeout`.
    #[inline]
    pub(crate) fn refresh_timeout(self: &Rc<Self>) {
        if self.has(TIMED) {
            self.refresh_idle();
        }
    }

    fn refresh_idle(self: &Rc<Self>) {
        if let Some(mut idle) = self.cold.peek(|cold| cold.idle.take()).flatten() {
            self.clear(TIMED_OUT);
            // The loop's time may be old if an earlier callback was slow.
            let event_loop = self.stream.loop_handle();
            event_loop.update_time();
            idle.active_at = event_loop.now();
            idle.waiting = self.stream.write_queue_size();
            if idle.timer.is_none() {
                idle.timer = Some(IdleTimeout::arm(self, idle.after));
            }
            self.cold.with(|cold| cold.idle = Some(idle));
        }
    }

    /// Removes the timeout, and a pending `on_timeout`.
    #[inline]
    pub(crate) fn drop_timeout(&self) {
        if self.has(TIMED) {
            self.drop_idle();
        }
    }

    /// Drops the timers of a destroyed socket.
    #[inline]
    pub(crate) fn drop_timers(&self) {
        if self.has(TIMED | DESTROY_SOON) {
            self.drop_idle();
            self.drop_lingering();
        }
    }

    #[inline(never)]
    fn drop_idle(&self) {
        self.clear(TIMED | TIMED_OUT);
        if let Some(timer) = self.cold.peek(|cold| cold.idle.take()).flatten().and_then(|idle| idle.timer) {
            timer.clear();
        }
    }
}
