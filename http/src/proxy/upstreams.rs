//! Which upstream gets a request: the least used one of those that do not fail. Without input, output and a clock: `now` is an
//! argument.
//!
//! An upstream that has failed [`max_failures`](Health::max_failures) times in a row is left out for a
//! [`pause`](Health::pause). Then one request tries it, and until that has succeeded no other one is sent there. If all are
//! left out, the one whose pause is over first is tried all the same: a request is worth more than a rule.

use std::time::Duration;

/// When an upstream is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    /// Failures in a row.
    pub(super) max_failures: u32,
    /// For how long.
    pub(super) pause: Duration,
}

/// What became of a request, as far as it tells of its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has answered.
    Answered,
    /// It cannot be reached, or its connection has failed, or it takes too long.
    Failed,
    /// Nothing was learned: the client has left.
    Unknown,
}

/// The upstreams of one proxy, by their index.
#[derive(Debug)]
pub(super) struct Upstreams {
    health: Health,
    all: Vec<Upstream>,
    /// Where the search for the least used one begins, so that equals take turns.
    next: usize,
}

#[derive(Clone, Debug, Default)]
struct Upstream {
    /// Requests that are under way.
    in_use: u32,
    /// Failures since the last success.
    failures: u32,
    /// When its pause is over.
    paused_until: Option<Duration>,
    /// A request tries it behind its pause.
    is_tried: bool,
}

/// The upstreams to which a request was sent already. Those beyond the first 64 are never counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried(u64);

impl Tried {
    pub(super) fn has(self, index: usize) -> bool {
        index < 64 && self.0 & (1 << index) != 0
    }

    fn add(&mut self, index: usize) {
        if index < 64 {
            self.0 |= 1 << index;
        }
    }
}

impl Upstreams {
    pub(super) fn new(count: usize, health: Health) -> Self {
        Self { health, all: vec![Upstream::default(); count], next: 0 }
    }

    /// Chooses the upstream for a request and counts it there, until [`release`](Self::release). `None` if the request was sent
    /// to all of them.
    pub(super) fn choose(&mut self, tried: &mut Tried, now: Duration) -> Option<usize> {
        let count = self.all.len();
        let candidates = (0..count).map(|step| (self.next + step) % count).filter(|index| !tried.has(*index));
        // Of equals the first is returned.
        let rank = |index: &usize| {
            let upstream = &self.all[*index];
            match upstream.paused_until {
                // One request finds out whether it works again.
                Some(until) if until <= now && !upstream.is_tried => (0, until, 0),
                None => (1, Duration::ZERO, upstream.in_use),
                Some(until) => (2, until, upstream.in_use),
            }
        };
        let index = candidates.min_by_key(rank)?;
        tried.add(index);
        self.next = (index + 1) % count;
        let upstream = &mut self.all[index];
        upstream.in_use += 1;
        upstream.is_tried = upstream.paused_until.is_some();
        Some(index)
    }

    /// Ends a request at its upstream. Returns whether the upstream is left out because of this one.
    pub(super) fn release(&mut self, index: usize, outcome: Outcome, now: Duration) -> bool {
        let upstream = &mut self.all[index];
        upstream.in_use = upstream.in_use.saturating_sub(1);
        self.learn(index, outcome, now)
    }

    /// Learns what has become of a request, which may go on: as a connection that has left HTTP. Returns whether the upstream is
    /// left out because of this one.
    pub(super) fn learn(&mut self, index: usize, outcome: Outcome, now: Duration) -> bool {
        let Health { max_failures, pause } = self.health;
        let upstream = &mut self.all[index];
        match outcome {
            Outcome::Answered => {
                (upstream.failures, upstream.paused_until, upstream.is_tried) = (0, None, false);
                false
            }
            Outcome::Unknown => {
                upstream.is_tried = false;
                false
            }
            Outcome::Failed => {
                upstream.failures = upstream.failures.saturating_add(1);
                upstream.is_tried = false;
                let was_left_out = upstream.paused_until.is_some();
                if upstream.failures >= max_failures {
                    upstream.paused_until = Some(now + pause);
                }
                !was_left_out && upstream.paused_until.is_some()
            }
        }
    }
}
