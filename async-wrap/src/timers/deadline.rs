//! Timeouts that judge a peer by its silence. Node has none of its own: there a timer that is late fires before the input
//! that waits, since the timers' phase of libuv comes first.
//!
//! A loop that was late (a slow callback, a stopped process, a busy machine) finds the deadline passed, and in the kernel
//! what came before it. So a deadline that is due does not call at once: it lets one poll phase go by, in which everything
//! that waits is read, and is called in the timers' phase behind it. Time counts up to the moment at which it was found
//! due: who sends a byte now and then does not put the judgement off.

use super::Timeout;
use crate::Environment;
use crate::layer::OnDrop;
use std::time::Duration;
use uv_core::Timer;

/// Poll phases that a deadline waits for at most. One takes 48 times 1024 events, so that one is enough but for a flood.
const PASSES: u32 = 64;

/// Up to when everything that came was heard, on the loop's clock.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// When the deadline was found due.
    until: Duration,
    /// When the poll phase began in whose turn of the loop it was found due, and that of the present turn.
    turns: [Duration; 2],
    now: Duration,
}

impl Heard {
    /// The moment up to which everything was heard: silence counts up to here.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.until
    }

    /// The latest moment that `noted` may mean, which was the loop's time when something happened. The loop's clock
    /// stands still while callbacks run: what happened behind a slow one has the time of what came before it.
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
    /// Like [`set_timeout`](Self::set_timeout), for judging a peer by its silence: if the loop is late, what arrived before
    /// the deadline is told before `callback` is called, and may clear it.
    pub fn set_deadline(&self, after: Duration, callback: impl FnOnce(Heard) + 'static) -> Timeout {
        let timeout = Timeout::new(self, after);
        let (this, mut hearing, mut callback) = (timeout.clone(), Hearing::default(), Some(callback));
        timeout.start(move |timer| {
            let Some(heard) = hearing.end(timer) else { return };
            let Some(callback) = callback.take() else { return };
            this.env.make_callback(this.context, || {
                let _over = OnDrop::new(|| this.clear());
                callback(heard);
            });
        });
        timeout
    }

    /// Calls `callback` again and again, each time as [`set_deadline`](Self::set_deadline) does once; `every` counts from
    /// when the last call began.
    pub fn set_inspection(&self, every: Duration, mut callback: impl FnMut(Heard) + 'static) -> Timeout {
        let timeout = Timeout::new(self, every);
        let (this, mut hearing) = (timeout.clone(), Hearing::default());
        timeout.start(move |timer| {
            let Some(heard) = hearing.end(timer) else { return };
            this.env.make_callback(this.context, || {
                let _again = this.start_again_at_end();
                callback(heard);
            });
        });
        timeout
    }
}

/// Waits for a poll phase.
#[derive(Default)]
struct Hearing(Option<Found>);

/// A deadline was found due.
struct Found {
    at: Duration,
    turn: Duration,
    /// When the timer is due again: at once, so behind the next poll phase.
    again: Duration,
    /// The loop's count of poll phases that left something.
    cut_short: u64,
    passes: u32,
}

impl Hearing {
    /// The timer has fired. Says up to when everything was heard, if it was; else the timer fires again behind the next
    /// poll phase.
    fn end(&mut self, timer: &Timer) -> Option<Heard> {
        let event_loop = timer.loop_handle();
        let (now, turn, cut_short) = (event_loop.now(), event_loop.polled_at(), event_loop.polls_cut_short());
        // One that was refreshed meanwhile is found due anew.
        let found = self.0.take().filter(|found| found.again == timer.due_at());
        let is_heard = |found: &Found| found.turn != turn && found.cut_short == cut_short;
        if let Some(found) = found.as_ref().filter(|found| is_heard(found) || found.passes == PASSES) {
            return Some(Heard { until: found.at, turns: [found.turn, turn], now });
        }
        let (at, first, passes) = found.map_or((now, turn, 0), |found| (found.at, found.turn, found.passes));
        self.0 = Some(Found { at, turn: first, again: now, cut_short, passes: passes + 1 });
        // Refused only to a closing timer, which does not fire.
        let _ = timer.restart(Duration::ZERO);
        None
    }
}
