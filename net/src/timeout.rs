//! The inactivity timeout of a socket: one timer that looks, when it runs out, whether anything happened meanwhile.
//! Mirrors `socket.setTimeout` and `_onTimeout`.

use crate::socket::SocketState;
use async_wrap::Timeout;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A socket's timeout, while it is set.
pub(crate) struct IdleTimeout {
    after: Duration,
    /// When something was read or written last, as the loop counts.
    active_at: Duration,
    /// What waited to be written when the timer ran out last: progress counts as activity.
    buffered: usize,
    timer: Timeout,
}

impl IdleTimeout {
    pub(crate) fn set(state: &Rc<SocketState>, after: Duration) {
        state.drop_timeout();
        if after.is_zero() {
            return;
        }
        let timer = Self::arm(state, after);
        let active_at = state.stream.loop_handle().now();
        state.idle.set(Some(Box::new(Self { after, active_at, buffered: 0, timer })));
    }

    fn arm(state: &Rc<SocketState>, after: Duration) -> Timeout {
        // Weak: a timer must not keep a connection's memory.
        let weak: Weak<SocketState> = Rc::downgrade(state);
        let timer = state.stream.environment().set_timeout(after, move || {
            if let Some(state) = weak.upgrade() {
                Self::ran_out(&state);
            }
        });
        timer.unref();
        timer
    }

    fn ran_out(state: &Rc<SocketState>) {
        let Some(mut idle) = state.idle.take() else { return };
        let quiet = state.stream.loop_handle().now().saturating_sub(idle.active_at);
        let buffered = state.stream.write_queue_size();
        let progress = buffered != idle.buffered;
        idle.buffered = buffered;
        let wait = if quiet < idle.after && !progress {
            idle.after - quiet
        } else {
            if !progress {
                state.set_timed_out();
                state.stream.notify();
            }
            idle.after
        };
        idle.timer = Self::arm(state, wait);
        state.idle.set(Some(idle));
    }
}

impl SocketState {
    /// Something was read or written: costs no timer operation.
    pub(crate) fn refresh_timeout(&self) {
        if let Some(mut idle) = self.idle.take() {
            idle.active_at = self.stream.loop_handle().now();
            self.idle.set(Some(idle));
        }
    }

    pub(crate) fn drop_timeout(&self) {
        if let Some(idle) = self.idle.take() {
            idle.timer.clear();
        }
    }
}
