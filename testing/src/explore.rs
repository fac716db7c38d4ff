//! Running a scenario under seeds: one run, its outcome, and the report of a failure.

use crate::check;
use crate::minimal::minimal;
use crate::recording;
use crate::world::World;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use uv_core::faults::{Fault, Plan};

/// One run at a time: tests of one program run in several threads, and descriptors are the process's.
static ALONE: Mutex<()> = Mutex::new(());

/// Lines of the trace in a report.
const LINES: usize = 120;

/// Runs `scenario` under every seed, each in a world of its own, and fails with a report of the first seed that breaks a law.
///
/// `UPCALL_SEED=n` runs that seed alone, and `UPCALL_SEEDS=n` so many from the first one. Descriptors are counted in the
/// whole process: runs wait for each other, but other tests that open some belong into another test program.
///
/// # Panics
/// With the report, as an assertion does.
pub fn explore(seeds: Range<u64>, scenario: impl Fn(&World) -> Result<(), String>) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match (number("UPCALL_SEED"), number("UPCALL_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => seeds.start..seeds.start + count,
        (None, None) => seeds,
    };
    let explorer = Explorer::new(scenario);
    for seed in seeds {
        if let Err(failure) = explorer.check(seed) {
            panic!("{failure}");
        }
    }
}

/// Runs one scenario: see [`explore`].
pub struct Explorer<S> {
    scenario: S,
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

/// The report of a seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The law that was broken.
    pub reason: String,
    /// The smallest set of faults that was found with which it still fails.
    pub faults: Vec<Fault>,
    /// The number of faults of the whole run.
    pub of: usize,
    /// The last lines of the trace of the run with these faults.
    pub trace: Vec<String>,
}

impl<S> fmt::Debug for Explorer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explorer").finish_non_exhaustive()
    }
}

impl<S: Fn(&World) -> Result<(), String>> Explorer<S> {
    /// Makes ready to run the scenario.
    pub fn new(scenario: S) -> Self {
        keep_panics();
        Self { scenario }
    }

    /// Runs a seed, and makes a report if it fails.
    ///
    /// # Errors
    /// The report.
    pub fn check(&self, seed: u64) -> Result<Outcome, Failure> {
        let outcome = self.run(Plan::new(seed));
        match outcome.failure {
            None => Ok(outcome),
            Some(_) => Err(self.report(seed, &outcome)),
        }
    }

    /// Runs a seed with its trace.
    pub fn replay(&self, plan: Plan) -> (Outcome, Vec<String>) {
        let mut outcome = Outcome::default();
        let trace = recording::record(|| outcome = self.run(plan));
        (outcome, trace)
    }

    /// One run.
    pub fn run(&self, plan: Plan) -> Outcome {
        let (outcome, left) = self.measured(plan.clone());
        if outcome.failure.is_some() || left <= 0 {
            return outcome;
        }
        // What is made once for the thread or the process is there in the second run.
        let (mut outcome, left) = self.measured(plan);
        if left > 0 && outcome.failure.is_none() {
            outcome.failure = Some(format!("{left} bytes of memory are left"));
        }
        outcome
    }

    fn measured(&self, plan: Plan) -> (Outcome, i64) {
        // Another run in this process opens descriptors meanwhile. A run that panicked has left nothing half-done.
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = check::descriptors();
        let mut outcome = Outcome::default();
        let left = check::bytes_left(|| outcome = self.in_world(plan));
        let kept = size_of_val(&*outcome.faults) + outcome.failure.as_ref().map_or(0, String::capacity);
        let after = check::descriptors();
        if after > before && outcome.failure.is_none() {
            outcome.failure = Some(format!("{} descriptors are left open", after - before));
        }
        (outcome, left - kept as i64)
    }

    fn in_world(&self, plan: Plan) -> Outcome {
        let world = World::enter(plan);
        let ran = catch_unwind(AssertUnwindSafe(|| (self.scenario)(&world).and_then(|()| world.finish())));
        let cleared = catch_unwind(AssertUnwindSafe(|| world.clear()));
        let report = world.faults().report();
        let failure = match (ran, cleared) {
            (Ok(Err(reason)), _) => Some(reason),
            (Err(_), _) => Some(format!("panic: {}", panic_text())),
            (_, Err(_)) => Some(format!("panic in a destructor: {}", panic_text())),
            (Ok(Ok(())), Ok(())) => None,
        };
        let failure = report.violations.first().map(ToString::to_string).or(failure);
        let mut faults = report.faults;
        faults.shrink_to_fit();
        let failure = failure.map(|reason| String::from(reason.as_str()));
        Outcome { failure, faults, turns: report.turns, elapsed: report.elapsed }
    }

    fn report(&self, seed: u64, outcome: &Outcome) -> Failure {
        let faults = minimal(&outcome.faults, |faults| {
            let plan = Plan::new(seed).only(faults.iter().map(|fault| fault.number));
            self.run(plan).failure.is_some()
        });
        let (again, trace) = self.replay(Plan::new(seed).only(faults.iter().map(|fault| fault.number)));
        Failure {
            seed,
            reason: again.failure.or_else(|| outcome.failure.clone()).unwrap_or_default(),
            faults,
            of: outcome.faults.len(),
            trace,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.reason)?;
        writeln!(f, "with {} of {} faults:", self.faults.len(), self.of)?;
        for fault in &self.faults {
            writeln!(f, "  {fault}")?;
        }
        if self.trace.is_empty() {
            return Ok(());
        }
        writeln!(f, "the end of its trace:")?;
        let skipped = self.trace.len().saturating_sub(LINES);
        for line in &self.trace[skipped..] {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

thread_local! {
    /// Where the last panic of this thread's world was, and its message.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The message of a panic that was just caught.
fn panic_text() -> String {
    LAST_PANIC.take()
}

/// A panic in a world is an outcome, which the report shows: the hook keeps it and says nothing.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !uv_core::faults::is_on() {
                return before(info);
            }
            let payload = info.payload_as_str().unwrap_or("a value of another type");
            let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
            // The first panic is the cause of those that follow while it unwinds.
            LAST_PANIC.with_borrow_mut(|last| {
                if last.is_empty() {
                    *last = format!("{payload}{}", place.unwrap_or_default());
                }
            });
        }));
    });
}
