//! Running a scenario under seeds: one run and its outcome, and the search for the report of a failure.

use crate::check::Left;
use crate::failure::{Failure, is_same};
use crate::minimal::{Smallest, minimal};
use crate::world::World;
use crate::{check, panics, recording, seeds};
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uv_core::faults::{Fault, Plan};

/// Descriptors that a scenario may want: with fewer, real refusals would look like mistakes of the scenario.
const ROOM: usize = 256;

/// One run at a time: tests of one program run in several threads, and descriptors and the level of the log are the process's.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs `scenario` under every seed, each in a world of its own, and fails with a report of the first seed that breaks a law.
///
/// `UPCALL_SEEDS=17` runs that seed in place of these, and `UPCALL_SEEDS=0..100000` a range of seeds. Descriptors are counted in
/// the whole process: runs wait for each other, but other tests that open some belong into another test program.
///
/// # Panics
/// With the report, as an assertion does.
pub fn explore(seeds: Range<u64>, scenario: impl Fn(&World) -> Result<(), String>) {
    Explorer::new(scenario).seeds(seeds).explore();
}

/// Runs one scenario: what [`explore`] does, with options, or one seed at a time.
///
/// ```
/// # use testing::Explorer;
/// Explorer::new(|world| {
///     let Ok(event_loop) = world.event_loop("server") else { return Ok(()) };
///     // …
///     world.run()
/// })
/// .seeds(0..50)
/// .rate(256)
/// .explore();
/// ```
///
/// One run, with its trace:
///
/// ```
/// # use testing::Explorer;
/// let (outcome, trace) = Explorer::new(|world| world.run()).replay(17);
/// println!("{:?} after {} turns\n{}", outcome.failure, outcome.turns, trace.join("\n"));
/// ```
pub struct Explorer<S> {
    scenario: S,
    seeds: Range<u64>,
    rate: Option<u64>,
    turns_per_second: Option<u64>,
}

/// What one run showed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The faults that were injected.
    pub faults: Vec<Fault>,
    /// Turns of loops.
    pub turns: u64,
    /// Virtual time.
    pub elapsed: Duration,
}

/// A run, and what the process has kept of it.
struct Measured {
    outcome: Outcome,
    left: Result<Left, String>,
    trace: Vec<String>,
}

impl Measured {
    /// Adds to a run that has not failed that something is left of it. Returns whether it is.
    fn judge_left(&mut self) -> bool {
        let left = match &self.left {
            Ok(left) if left.descriptors > 0 => format!("{} descriptors are left open", left.descriptors),
            Ok(left) if left.bytes > 0 => format!("{} bytes of memory are left", left.bytes),
            Ok(_) => return false,
            Err(reason) => reason.clone(),
        };
        let is_new = self.outcome.failure.is_none();
        self.outcome.failure.get_or_insert(left);
        is_new
    }
}

impl<S> fmt::Debug for Explorer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explorer")
            .field("seeds", &self.seeds)
            .field("rate", &self.rate)
            .field("turns_per_second", &self.turns_per_second)
            .finish_non_exhaustive()
    }
}

impl<S: Fn(&World) -> Result<(), String>> Explorer<S> {
    /// Makes ready to run the scenario.
    pub fn new(scenario: S) -> Self {
        panics::keep();
        Self { scenario, seeds: 0..1000, rate: None, turns_per_second: None }
    }

    /// The seeds of [`explore`](Self::explore). Default: `0..1000`. The variable `UPCALL_SEEDS` has precedence.
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Of 1024 calls that a kind of fault may meet, so many meet it. Default: chosen by each seed, from 0 to 256. Far above 768 so many
    /// waits are interrupted that loops seem to spin.
    ///
    /// # Panics
    /// If it is above 1024.
    #[must_use]
    pub fn rate(mut self, rate: u64) -> Self {
        assert!(rate <= 1024, "a rate of {rate}: it is so many of 1024 calls");
        self.rate = Some(rate);
        self
    }

    /// A loop that takes more turns than this in a second of virtual time spins. Default: 20,000.
    ///
    /// # Panics
    /// If it is 0.
    #[must_use]
    pub fn turns_per_second(mut self, turns: u64) -> Self {
        assert!(turns > 0, "no loop does without turns");
        self.turns_per_second = Some(turns);
        self
    }

    /// Runs every seed, and fails with a report of the first that breaks a law: see [`explore`](crate::explore()).
    ///
    /// # Panics
    /// With the report, as an assertion does; and if the process may not open 256 further descriptors.
    pub fn explore(&self) {
        if let Some(room) = check::room().filter(|room| *room < ROOM) {
            panic!(
                "this process may open {room} descriptors more, too few for a scenario: set `ulimit -n` higher"
            );
        }
        for seed in seeds::chosen(self.seeds.clone()) {
            if let Err(failure) = self.check(seed) {
                panic!("{failure}");
            }
        }
    }

    /// Runs a seed, and makes a report if it fails.
    ///
    /// # Errors
    /// The report.
    pub fn check(&self, seed: u64) -> Result<Outcome, Failure> {
        let outcome = self.run(seed);
        match &outcome.failure {
            None => Ok(outcome),
            Some(reason) => Err(self.report(seed, reason, &outcome.faults)),
        }
    }

    /// Runs a seed with its trace, of which the last 100,000 lines are returned. A logger that the program has set before gets
    /// the trace in place of the caller.
    pub fn replay(&self, seed: u64) -> (Outcome, Vec<String>) {
        self.judge(&self.plan(seed), true)
    }

    /// Runs a seed.
    pub fn run(&self, seed: u64) -> Outcome {
        self.judge(&self.plan(seed), false).0
    }

    fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::new(seed);
        if let Some(rate) = self.rate {
            plan = plan.rate(rate);
        }
        if let Some(turns) = self.turns_per_second {
            plan = plan.turns_per_second(turns);
        }
        plan
    }

    /// One run, and its trace if it `is_recorded`.
    fn judge(&self, plan: &Plan, is_recorded: bool) -> (Outcome, Vec<String>) {
        let mut run = self.measured(plan.clone(), is_recorded, false);
        if run.judge_left() {
            // What is made once for the thread or the process is there in the second run, in which what children leave to the
            // kernel is counted apart.
            run = self.measured(plan.clone(), is_recorded, true);
            run.judge_left();
        }
        (run.outcome, run.trace)
    }

    fn measured(&self, plan: Plan, is_recorded: bool, counts_children: bool) -> Measured {
        assert!(!uv_core::faults::is_on(), "a scenario cannot explore: its thread is in a world");
        panics::begin(plan.seed());
        // Another run in this process opens descriptors meanwhile. A run that panicked has left nothing half-done.
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = check::descriptors();
        let released = Rc::new(Cell::new(Left::default()));
        let counted = counts_children.then(|| Rc::clone(&released));
        let mut outcome = Outcome::default();
        let mut bytes = 0;
        let work = || bytes = check::bytes_left(|| outcome = self.in_world(plan, counted));
        let trace = if is_recorded {
            recording::record(work)
        } else {
            work();
            Vec::new()
        };
        let kept = size_of_val(&*outcome.faults) + outcome.failure.as_ref().map_or(0, String::capacity);
        let released = released.get();
        let left = before.and_then(|before| {
            let descriptors = check::descriptors()? as i64 - before as i64 - released.descriptors;
            Ok(Left { descriptors, bytes: bytes - kept as i64 - released.bytes })
        });
        Measured { outcome, left, trace }
    }

    fn in_world(&self, plan: Plan, released: Option<Rc<Cell<Left>>>) -> Outcome {
        let world = World::enter(plan, released);
        let ran = catch_unwind(AssertUnwindSafe(|| (self.scenario)(&world).and_then(|()| world.finish())));
        let ran = ran.unwrap_or_else(|payload| Err(panics::text(&*payload)));
        let cleared = catch_unwind(AssertUnwindSafe(|| world.clear()));
        let cleared = cleared.map_err(|payload| format!("in a destructor: {}", panics::text(&*payload)));
        panics::forget();
        let report = world.faults().report();
        let failure = report.violations.first().map(ToString::to_string).or_else(|| ran.and(cleared).err());
        let mut faults = report.faults;
        faults.shrink_to_fit();
        let failure = failure.map(|reason| String::from(reason.as_str()));
        Outcome { failure, faults, turns: report.turns, elapsed: report.elapsed }
    }

    /// Looks for the smallest set of faults with which a seed fails in the same way.
    fn report(&self, seed: u64, reason: &str, met: &[Fault]) -> Failure {
        let plan = |faults: &[Fault]| self.plan(seed).only(faults.iter().map(|fault| fault.number));
        let fails = |outcome: Outcome| {
            let is_it = outcome.failure.as_ref().is_some_and(|other| is_same(reason, other));
            is_it.then_some(outcome)
        };
        let Smallest { kept, is_proven } =
            minimal(met, |faults| Some(fails(self.judge(&plan(faults), false).0)?.faults));
        let (again, trace) = self.judge(&plan(&kept), true);
        let again = fails(again);
        Failure {
            seed,
            is_smallest: is_proven && again.is_some(),
            is_repeated: again.is_some(),
            reason: again.and_then(|outcome| outcome.failure).unwrap_or_else(|| reason.to_owned()),
            faults: kept,
            of: met.len(),
            trace,
        }
    }
}
