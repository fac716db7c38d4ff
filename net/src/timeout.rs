//! The inactivity timeout of a socket: one timer that looks, when it runs out, whether anything happened meanwhile.
//! Mirrors `socket.setTimeout` and `_onTimeout`.

use crate::state::{DESTROY_SOON, SocketState, TIMED, TIMED_OUT};
use async_wrap::{Heard, Timeout};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A socket's timeout, while it is set.
pub(crate) struct IdleTimeout {
    after: Duration,
    /// When something was read or written last, as the loop counts.
    active_at: Duration,
    /// What waited to be written when we looked last: that the kernel takes some of it is activity as well.
    waiting: usize,
    /// None after `on_timeout`, until something happens.
    timer: Option<Timeout>,
}

impl IdleTimeout {
    pub(crate) fn set(state: &Rc<SocketState>, after: Duration) {
        state.drop_timeout();
        if !after.is_zero() {
            let timer = Some(Self::arm(state, after));
            // `arm` has looked at the clock.
            let active_at = state.stream.loop_handle().now();
            let waiting = state.stream.write_queue_size();
            state.cold.with(|cold| cold.idle = Some(Self { after, active_at, waiting, timer }));
            state.set(TIMED);
        }
    }

    fn arm(state: &Rc<SocketState>, after: Duration) -> Timeout {
        // Weak: a timer must not keep a connection's memory.
        let weak: Weak<SocketState> = Rc::downgrade(state);
        let timer = state.stream.environment().set_deadline(after, move |heard| {
            if let Some(state) = weak.upgrade() {
                Self::ran_out(&state, heard);
            }
        });
        timer.unref();
        timer
    }

    /// Everything that came in time was read, and what there was room for was written.
    fn ran_out(state: &Rc<SocketState>, heard: Heard) {
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

impl SocketState {
    /// Something was read or written: costs no timer operation, except for the first time after an `on_timeout`.
    #[inline]
    pub(crate) fn refresh_timeout(self: &Rc<Self>) {
        if self.has(TIMED) {
            self.refresh_idle();
        }
    }

    fn refresh_idle(self: &Rc<Self>) {
        if let Some(mut idle) = self.cold.peek(|cold| cold.idle.take()).flatten() {
            self.clear(TIMED_OUT);
            // The loop's time may be that of long ago, if a callback before this one was slow.
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

    /// No `on_timeout` follows, not even one that is owed.
    #[inline]
    pub(crate) fn drop_timeout(&self) {
        if self.has(TIMED) {
            self.drop_idle();
        }
    }

    /// The socket is destroyed: no timer of its own looks at it any more.
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
