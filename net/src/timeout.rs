//! The inactivity timeout of a socket: a timer that checks, when it fires, whether there was activity meanwhile.
//! Mirrors `socket.setTimeout` and `_onTimeout`.

use crate::state::{SocketInner, TIMED, TIMED_OUT};
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
    pub(crate) fn set(socket: &Rc<SocketInner>, after: Duration) {
        if socket.has(TIMED) {
            Self::drop_of(socket);
        }
        if !after.is_zero() {
            let timer = Some(Self::arm(socket, after));
            // `arm` has updated the loop's time.
            let active_at = socket.stream.loop_handle().now();
            let waiting = socket.stream.write_queue_size();
            socket.cold.with(|cold| cold.idle = Some(Self { after, active_at, waiting, timer }));
            socket.set(TIMED);
        }
    }

    fn arm(socket: &Rc<SocketInner>, after: Duration) -> Timeout {
        // Weak: a timer must not keep a connection's memory.
        let weak: Weak<SocketInner> = Rc::downgrade(socket);
        let timer = socket.stream.environment().set_deadline(after, move |heard| {
            if let Some(socket) = weak.upgrade() {
                Self::ran_out(&socket, heard);
            }
        });
        timer.unref();
        timer
    }

    /// The timer has fired, after all input that arrived in time was read, and queued data was written as far as
    /// possible.
    fn ran_out(socket: &Rc<SocketInner>, heard: Heard) {
        let Some(mut idle) = socket.cold.peek(|cold| cold.idle.take()).flatten() else { return };
        let now = heard.until();
        let waiting = socket.stream.write_queue_size();
        if waiting < idle.waiting {
            idle.active_at = now;
        }
        idle.waiting = waiting;
        let left = idle.after.saturating_sub(now.saturating_sub(idle.active_at));
        if left.is_zero() {
            idle.timer = None;
            socket.set(TIMED_OUT);
            socket.stream.notify();
        } else {
            idle.timer = Some(Self::arm(socket, left));
        }
        socket.cold.with(|cold| cold.idle = Some(idle));
    }

    /// Records that data was read or written. Costs no timer operation, except for the first time after an
    /// `on_timeout`.
    pub(crate) fn refresh(socket: &Rc<SocketInner>) {
        if let Some(mut idle) = socket.cold.peek(|cold| cold.idle.take()).flatten() {
            socket.clear(TIMED_OUT);
            // The loop's time may be old if an earlier callback was slow.
            let event_loop = socket.stream.loop_handle();
            event_loop.update_time();
            idle.active_at = event_loop.now();
            idle.waiting = socket.stream.write_queue_size();
            if idle.timer.is_none() {
                idle.timer = Some(Self::arm(socket, idle.after));
            }
            socket.cold.with(|cold| cold.idle = Some(idle));
        }
    }

    /// Removes the timeout, and a pending `on_timeout`.
    #[inline(never)]
    pub(crate) fn drop_of(socket: &SocketInner) {
        socket.clear(TIMED | TIMED_OUT);
        if let Some(timer) = socket.cold.peek(|cold| cold.idle.take()).flatten().and_then(|idle| idle.timer) {
            timer.clear();
        }
    }
}
