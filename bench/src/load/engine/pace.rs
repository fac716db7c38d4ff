//! Rounds at a pace: each is due at a time of its own, whether or not others have ended, and its latency counts from then. So
//! a server that stalls is charged for all that came due meanwhile.

use super::{Dialogue, Engine, GRACE};
use rustix::thread::set_current_timer_slack;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// By how many nanoseconds the kernel may be late with a wake-up. Usually 50 µs, which is as long as an answer takes.
const TIMER_SLACK: Option<NonZeroU64> = NonZeroU64::new(1);

impl<D: Dialogue, N: Fn() -> D> Engine<'_, D, N> {
    /// Runs the clients until the time is over or all is lost; so many rounds a second become due. Those that have no client
    /// yet when the time is over do not begin.
    pub(crate) fn run_at(&mut self, rate: f64, duration: Duration) -> crate::Result<()> {
        set_current_timer_slack(TIMER_SLACK)?;
        self.count_ended()?;
        self.tally.restart();
        self.stopping = false;
        let mut free: Vec<usize> = (0..self.clients.len()).rev().collect();
        let (began, each) = (Instant::now(), Duration::from_secs_f64(rate.recip()));
        let (mut due, mut limit) = (began, began + duration);
        loop {
            let now = Instant::now();
            while due <= now && !self.stopping {
                let Some(slot) = free.pop() else { break };
                // Only this round may begin; then the client rests.
                self.rounds_left = 1;
                self.begin_due(slot, due);
                due += each;
                if self.is_free(slot) {
                    // It could not begin.
                    free.push(slot);
                }
            }
            self.rounds_left = 0;
            if self.busy == 0 && self.stopping {
                return Ok(());
            }
            if now >= limit && self.stopping {
                self.give_up();
                return Ok(());
            }
            if !self.stopping && (now >= limit || self.tally.is_hopeless()) {
                self.stopping = true;
                limit = now + GRACE;
                continue;
            }
            let next = if self.stopping || free.is_empty() { limit } else { due.min(limit) };
            for index in 0..self.poller.wait(Some(next.saturating_duration_since(now)))? {
                let (slot, ready) = self.poller.event(index);
                let slot = slot as usize;
                let was_free = self.is_free(slot);
                self.on_ready(slot, ready);
                if !was_free && self.is_free(slot) {
                    free.push(slot);
                }
            }
        }
    }

    /// Whether nothing of the client is under way.
    fn is_free(&self, slot: usize) -> bool {
        self.clients[slot].as_ref().is_none_or(|connection| connection.is_resting)
    }
}
