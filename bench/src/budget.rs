//! How the time is spent: how often and how long each subject is measured, and how long it will still take.

use std::time::{Duration, Instant};

/// What `--quick` may take, short of the three minutes that it promises: the starts of Node's pomelo, which come last, take
/// seconds each.
pub(crate) const QUICK: Duration = Duration::from_secs(150);

/// Default: the measured part of a run, in full and, at most, with `--quick`.
const FULL_PART: Duration = Duration::from_millis(600);
const QUICK_PART: Duration = Duration::from_millis(300);

/// The shortest part that is worth measuring.
const LEAST_PART: Duration = Duration::from_millis(50);

/// The shortest part for which another round is worth more than a longer one.
const GOOD_PART: Duration = Duration::from_millis(120);

/// Default: the number of rounds; fewer where time is short. The interval that a comparison goes by needs several.
const ROUNDS: usize = 8;

/// Seconds that a run takes beside its measured part, until that is known.
const OVERHEAD: f64 = 0.3;

/// How much a new run counts in the estimate of that.
const NEWEST: f64 = 0.1;

/// A run that takes so many times what was expected counts as no more: it met something that has nothing to do with it.
const OUTLIER: f64 = 4.0;

/// The time that is left for the runs that are left.
#[derive(Debug)]
pub(crate) struct Budget {
    rounds: usize,
    part: Duration,
    /// When everything has to be over.
    deadline: Option<Instant>,
    /// Runs that are over, and those that are left.
    done: usize,
    runs: usize,
    overhead: f64,
}

impl Budget {
    /// For so many runs in each round; `limit` is for all of them.
    pub(crate) fn new(
        limit: Option<Duration>,
        runs: usize,
        rounds: Option<usize>,
        part: Option<Duration>,
    ) -> Self {
        let default = if limit.is_some() { QUICK_PART } else { FULL_PART };
        let part = part.unwrap_or(default);
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut budget = Self { rounds: 1, part, deadline, done: 0, runs, overhead: OVERHEAD };
        let round = budget.needed(part.min(GOOD_PART)).as_secs_f64();
        let fits = |rounds: &usize| limit.is_none_or(|limit| round * *rounds as f64 <= limit.as_secs_f64());
        budget.rounds = rounds.unwrap_or_else(|| (1..=ROUNDS).rev().find(fits).unwrap_or(1));
        budget.runs *= budget.rounds;
        budget
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// How long the next run measures.
    pub(crate) fn part(&self) -> Duration {
        let Some(deadline) = self.deadline else { return self.part };
        let time = deadline.saturating_duration_since(Instant::now());
        let runs = u32::try_from(self.runs.max(1)).unwrap_or(u32::MAX);
        let each = time.saturating_sub(self.needed(Duration::ZERO)) / runs;
        each.clamp(LEAST_PART.min(self.part), self.part)
    }

    /// Whether another round for a benchmark that has one already would keep others from having any.
    pub(crate) fn is_short(&self) -> bool {
        let needed = self.needed(LEAST_PART.min(self.part));
        self.deadline.is_some_and(|deadline| Instant::now() + needed > deadline)
    }

    /// A run is over that was to measure for `part`.
    pub(crate) fn ran(&mut self, part: Duration, took: Duration) {
        self.skip();
        let overhead = took.saturating_sub(part).as_secs_f64().min(self.overhead * OUTLIER);
        self.overhead += (overhead - self.overhead) * NEWEST;
    }

    /// There will be one more run.
    pub(crate) fn add(&mut self) {
        self.runs += 1;
    }

    /// There will be one run less.
    pub(crate) fn skip(&mut self) {
        self.done += 1;
        self.runs = self.runs.saturating_sub(1);
    }

    /// The number of the run that is next, and how many there are.
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.done + 1, self.done + self.runs)
    }

    /// How long it will still take.
    pub(crate) fn left(&self) -> Duration {
        self.needed(self.part())
    }

    /// How long the runs that are left take if each measures for `part`.
    fn needed(&self, part: Duration) -> Duration {
        Duration::from_secs_f64((self.overhead + part.as_secs_f64()) * self.runs as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_all_is_as_asked() {
        let mut budget = Budget::new(None, 10, None, None);
        assert_eq!((budget.rounds(), budget.part()), (ROUNDS, FULL_PART));
        budget.ran(FULL_PART, FULL_PART + Duration::from_secs(100));
        assert_eq!((budget.part(), budget.is_short()), (FULL_PART, false));
        assert!(budget.left() > Duration::from_secs(47));
        let asked = Budget::new(None, 1, Some(7), Some(Duration::from_secs(9)));
        assert_eq!((asked.rounds(), asked.part()), (7, Duration::from_secs(9)));
    }

    #[test]
    fn the_whole_set_fits_into_the_quick_limit() {
        let budget = Budget::new(Some(QUICK), 170, None, None);
        assert_eq!(budget.rounds(), 2);
        assert!(budget.part() >= GOOD_PART, "{:?}", budget.part());
        assert!(budget.left() <= QUICK);
        // A single benchmark has all the rounds.
        assert_eq!(Budget::new(Some(QUICK), 9, None, None).rounds(), ROUNDS);
    }

    #[test]
    fn slow_runs_make_the_others_shorter_and_then_fewer() {
        let mut budget = Budget::new(Some(Duration::from_secs(9)), 20, Some(1), None);
        let initial = budget.part();
        for _ in 0..5 {
            budget.ran(initial, initial + Duration::from_millis(800));
        }
        assert!(budget.part() < initial && !budget.is_short(), "{budget:?}");
        for _ in 0..5 {
            budget.ran(initial, initial + Duration::from_secs(9));
        }
        assert_eq!(budget.part(), LEAST_PART);
        assert!(budget.is_short(), "{budget:?}");
        for _ in 0..9 {
            budget.skip();
        }
        assert!(!budget.is_short());
    }
}
