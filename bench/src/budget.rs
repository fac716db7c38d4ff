//! How the time is spent: how often and how long each subject is measured, and how long it will still take.

use std::time::{Duration, Instant};

/// What `--quick` may take, well short of the three minutes that it promises: pomelo comes after it.
pub(crate) const QUICK: Duration = Duration::from_secs(150);

/// The measured part of a run, if nothing is said: in full, and at most with `--quick`.
const FULL_PART: Duration = Duration::from_millis(600);
const QUICK_PART: Duration = Duration::from_millis(300);

/// The shortest part that is worth measuring.
const LEAST_PART: Duration = Duration::from_millis(50);

/// The shortest part for which another round is worth more than a longer one.
const GOOD_PART: Duration = Duration::from_millis(120);

/// Rounds, if nothing is said; fewer where time is short. The interval that a comparison goes by needs several.
const ROUNDS: usize = 8;

/// How much a new run counts in the estimate of what runs like it take.
const NEWEST: f64 = 0.1;

/// A run that takes so many times what was expected counts as no more: it met something that has nothing to do with it.
const OUTLIER: f64 = 4.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program without clients.
    Solo,
    Served,
    /// A server with a JIT compiler under load.
    Compiled,
    /// A server whose connections are opened and held.
    Held,
}

#[derive(Debug, Clone, Copy)]
struct Estimate {
    left: usize,
    /// Seconds that a run takes beside its measured part.
    overhead: f64,
}

/// The time that is left for the runs that are left.
#[derive(Debug)]
pub(crate) struct Budget {
    rounds: usize,
    part: Duration,
    /// When everything has to be over.
    deadline: Option<Instant>,
    runs: [Estimate; 4],
}

impl Budget {
    /// For these runs in each round; `limit` is for all of them.
    pub(crate) fn new(
        limit: Option<Duration>,
        kinds: &[Kind],
        rounds: Option<usize>,
        part: Option<Duration>,
    ) -> Self {
        let usual = if limit.is_some() { QUICK_PART } else { FULL_PART };
        let part = part.unwrap_or(usual);
        // What is found out while it runs begins with these.
        let mut runs = [0.25, 0.2, 0.8, 0.5].map(|overhead| Estimate { left: 0, overhead });
        for kind in kinds {
            runs[*kind as usize].left += 1;
        }
        let mut budget = Self { rounds: 1, part, deadline: limit.map(|limit| Instant::now() + limit), runs };
        let good = part.min(GOOD_PART);
        let round = budget.needed(good).as_secs_f64();
        let fits = |rounds: &usize| limit.is_none_or(|limit| round * *rounds as f64 <= limit.as_secs_f64());
        budget.rounds = rounds.unwrap_or_else(|| (1..=ROUNDS).rev().find(fits).unwrap_or(1));
        for estimate in &mut budget.runs {
            estimate.left *= budget.rounds;
        }
        budget
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// How long the next run measures.
    pub(crate) fn part(&self) -> Duration {
        let Some(deadline) = self.deadline else { return self.part };
        let time = deadline.saturating_duration_since(Instant::now());
        let runs: usize = self.runs.iter().map(|estimate| estimate.left).sum();
        let each =
            time.saturating_sub(self.needed(Duration::ZERO)) / u32::try_from(runs.max(1)).unwrap_or(u32::MAX);
        each.clamp(LEAST_PART.min(self.part), self.part)
    }

    /// Whether another round for a benchmark that has one already would keep others from having any.
    pub(crate) fn is_short(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() + self.needed(LEAST_PART.min(self.part)) > deadline)
    }

    /// A run is over that was to measure for `part`.
    pub(crate) fn ran(&mut self, kind: Kind, part: Duration, took: Duration) {
        let estimate = &mut self.runs[kind as usize];
        estimate.left = estimate.left.saturating_sub(1);
        let overhead = took.saturating_sub(part).as_secs_f64().min(estimate.overhead * OUTLIER);
        estimate.overhead += (overhead - estimate.overhead) * NEWEST;
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        self.runs[kind as usize].left += 1;
    }

    /// A run will not be.
    pub(crate) fn skip(&mut self, kind: Kind) {
        let estimate = &mut self.runs[kind as usize];
        estimate.left = estimate.left.saturating_sub(1);
    }

    /// How long it will still take.
    pub(crate) fn left(&self) -> Duration {
        self.needed(self.part())
    }

    /// How long the runs that are left take if each measures for `part`.
    fn needed(&self, part: Duration) -> Duration {
        let all = |estimate: &Estimate| (estimate.overhead + part.as_secs_f64()) * estimate.left as f64;
        Duration::from_secs_f64(self.runs.iter().map(all).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_all_is_as_asked() {
        let mut budget = Budget::new(None, &[Kind::Served; 10], None, None);
        assert_eq!((budget.rounds(), budget.part()), (ROUNDS, FULL_PART));
        budget.ran(Kind::Served, FULL_PART, FULL_PART + Duration::from_secs(100));
        assert_eq!((budget.part(), budget.is_short()), (FULL_PART, false));
        assert!(budget.left() > Duration::from_secs(47));
        let asked = Budget::new(None, &[Kind::Solo], Some(7), Some(Duration::from_secs(9)));
        assert_eq!((asked.rounds(), asked.part()), (7, Duration::from_secs(9)));
    }

    #[test]
    fn the_whole_set_fits_into_the_quick_limit() {
        let kinds =
            [vec![Kind::Solo; 35], vec![Kind::Served; 95], vec![Kind::Compiled; 20], vec![Kind::Held; 20]]
                .concat();
        let budget = Budget::new(Some(QUICK), &kinds, None, None);
        assert_eq!(budget.rounds(), 2);
        assert!(budget.part() >= GOOD_PART, "{:?}", budget.part());
        assert!(budget.left() <= QUICK);
        // A single benchmark has all the rounds.
        assert_eq!(Budget::new(Some(QUICK), &[Kind::Served; 9], None, None).rounds(), ROUNDS);
    }

    #[test]
    fn slow_runs_make_the_others_shorter_and_then_fewer() {
        let mut budget = Budget::new(Some(Duration::from_secs(7)), &[Kind::Served; 20], Some(1), None);
        let at_first = budget.part();
        for _ in 0..5 {
            budget.ran(Kind::Served, at_first, at_first + Duration::from_millis(600));
        }
        assert!(budget.part() < at_first && !budget.is_short(), "{budget:?}");
        for _ in 0..5 {
            budget.ran(Kind::Served, at_first, at_first + Duration::from_secs(9));
        }
        assert_eq!(budget.part(), LEAST_PART);
        assert!(budget.is_short(), "{budget:?}");
        for _ in 0..9 {
            budget.skip(Kind::Served);
        }
        assert!(!budget.is_short());
    }

    #[test]
    fn slow_runs_of_one_kind_say_nothing_of_another() {
        let kinds = [vec![Kind::Solo; 10], vec![Kind::Served; 10]].concat();
        let mut budget = Budget::new(Some(QUICK), &kinds, Some(1), None);
        let before = budget.left();
        for _ in 0..10 {
            budget.ran(Kind::Solo, QUICK_PART, Duration::from_secs(3));
        }
        assert!(budget.left() < before / 2 + Duration::from_secs(1), "{:?}", budget.left());
    }
}
