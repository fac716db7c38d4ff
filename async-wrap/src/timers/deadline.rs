//! Timeouts that judge a peer by its silence. Node has no counterpart: there a late timer fires before pending input is
//! read, because libuv runs timers before it polls.
//!
//! A loop that is late (a slow callback, a stopped process, a busy machine) finds both the deadline passed and, in the
//! kernel, input that arrived before it. So a deadline that is due does not call its callback immediately: it lets one
//! poll phase pass, which reads all pending input, and fires in the timer phase after it. Silence counts up to the
//! moment at which the deadline was found due: a peer that sends a byte now and then does not postpone its timeout.

use super::{SHORTEST, Timeout};
use crate::Environment;
use crate::layer::OnDrop;
use std::time::Duration;
use uv_core::Timer;

/// The most poll phases that a deadline waits for. One phase takes 48 times 1024 events, so only a flood needs more
/// than one.
const PASSES: u32 = 64;

/// The time up to which all input has been read, on the loop's clock.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When the deadline was found due.
    until: Duration,
    /// When the poll phase began in the loop iteration that found the deadline due, and in the present iteration.
    turns: [Duration; 2],
    now: Duration,
}

impl Heard {
    /// The time up to which all input has been read: silence counts up to here.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.until
    }

    /// The latest time at which an event recorded at the loop's time `noted` can have happened. The loop's clock stands
    /// still while callbacks run: an event after a slow callback has the loop's time from before it.
    #[must_use]
    pub fn latest(&self, noted: Duration) -> Duration {
        let [found, present] = self.turns;
        if noted > present {
            self.now
        } else if noted > found {
            noted.max(self.until)
        } else {
            noted
        }
    }
}

impl Environment {
    /// Like [`set_timeout`](Self::set_timeout), for judging a peer by its silence: if the loop is late, input that
    /// arrived before the deadline is read before `callback` is called, and its handler may clear the deadline.
    #[track_caller]
    pub fn set_deadline(&self, after: Duration, callback: impl FnOnce(Heard) + 'static) -> Timeout {
        let timeout = Timeout::new(self, after.max(SHORTEST));
        let (this, mut hearing, mut callback) = (timeout.clone(), Hearing::default(), Some(callback));
        timeout.start(move |timer| {
            let Some(heard) = hearing.end(timer) else { return };
            let Some(callback) = callback.take() else { return };
            let over = OnDrop::new(|| this.clear());
            this.env.make_callback(this.context, over.around(|| callback(heard)));
        });
        timeout
    }

    /// Calls `callback` repeatedly, each time as [`set_deadline`](Self::set_deadline) does once; `every` counts from
    /// when the last call began.
    #[track_caller]
    pub fn set_inspection(&self, every: Duration, mut callback: impl FnMut(Heard) + 'static) -> Timeout {
        let timeout = Timeout::new(self, every.max(SHORTEST));
        let (this, mut hearing) = (timeout.clone(), Hearing::default());
        timeout.start(move |timer| {
            let Some(heard) = hearing.end(timer) else { return };
            let again = this.start_again_at_end();
            this.env.make_callback(this.context, again.around(|| callback(heard)));
        });
        timeout
    }
}

/// A deadline that may be waiting for a poll phase.
#[derive(Default)]
struct Hearing(Option<Found>);

/// The deadline was found due.
struct Found {
    at: Duration,
    turn: Duration,
    /// When the timer is due again: immediately, so after the next poll phase.
    again: Duration,
    /// The loop's count of poll phases that left events in the kernel.
    cut_short: u64,
    passes: u32,
}

impl Hearing {
    /// Called when the timer fires. Returns `Heard` once all input is read; otherwise restarts the timer, which fires
    /// after the next poll phase.
    fn end(&mut self, timer: &Timer) -> Option<Heard> {
        let event_loop = timer.loop_handle();
        let (now, turn, cut_short) = (event_loop.now(), event_loop.polled_at(), event_loop.polls_cut_short());
        // If the timeout was refreshed meanwhile, this is a new deadline.
        let found = self.0.take().filter(|found| found.again == timer.due_at());
        let is_heard = |found: &Found| found.turn != turn && found.cut_short == cut_short;
        if let Some(found) = found.as_ref().filter(|found| is_heard(found) || found.passes == PASSES) {
            return Some(Heard { until: found.at, turns: [found.turn, turn], now });
        }
        let (at, first, passes) = found.map_or((now, turn, 0), |found| (found.at, found.turn, found.passes));
        self.0 = Some(Found { at, turn: first, again: now, cut_short, passes: passes + 1 });
        // `restart` fails only on a closing timer, which does not fire.
        let _ = timer.restart(Duration::ZERO);
        None
    }
}
