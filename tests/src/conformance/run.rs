//! Runs the suite, several connections at a time.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::case::Case;
use super::file;
use super::judge::{self, Variant};
use super::report::{Failure, Report};

/// How long a server may stay silent: long enough for a busy machine.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(5);

/// How many cases run at a time: they wait for the server, not for the processor.
const DEFAULT_THREADS: usize = 4;

/// How to run the suite.
#[derive(Debug, Clone)]
pub struct Config {
    /// Run only the cases whose name or place contains this; empty for all.
    pub filter: String,
    /// How many cases run at a time.
    pub threads: usize,
    /// How long the server may stay silent before a case fails.
    pub patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { filter: String::new(), threads: DEFAULT_THREADS, patience: DEFAULT_PATIENCE }
    }
}

/// The case files cannot be read, or are not written in their notation.
#[derive(Debug)]
pub struct BadSuite(String);

impl fmt::Display for BadSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadSuite {}

/// Runs every case of `dir` against the server at `address`.
///
/// # Errors
///
/// When the case files cannot be read; each mistake in them is named by file and line. A fault of the server
/// is no error but part of the report.
pub fn run_all(address: SocketAddr, dir: &Path) -> Result<Report, BadSuite> {
    run(address, dir, &Config::default())
}

/// Runs cases of `dir` against the server at `address`, as `config` says.
///
/// # Errors
///
/// As [`run_all`].
pub fn run(address: SocketAddr, dir: &Path, config: &Config) -> Result<Report, BadSuite> {
    let mut cases = file::read_dir(dir).map_err(BadSuite)?;
    cases.retain(|case| case.name.contains(&config.filter) || case.place.contains(&config.filter));
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..config.threads.max(1) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = (case.place.as_str(), run_case(case, address, config.patience));
                    outcomes.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let order = |place: &str| cases.iter().position(|case| case.place == place);
    outcomes.sort_by_key(|(place, _)| order(place));
    let mut report = Report { cases: cases.len(), ..Report::default() };
    for (_, (runs, failures)) in outcomes {
        report.runs += runs;
        report.failures.extend(failures);
    }
    Ok(report)
}

/// Runs a case in all its variants: how many they were, and those that failed.
fn run_case(case: &Case, address: SocketAddr, patience: Duration) -> (usize, Vec<Failure>) {
    let variants = Variant::of(case);
    let failures = variants.iter().filter_map(|variant| {
        let mismatch = judge::judge(case, *variant, address, patience).err()?;
        Some(Failure {
            case: case.name.clone(),
            place: case.place.clone(),
            variant: variant.name(),
            expected: mismatch.expected,
            why: mismatch.why,
            received: mismatch.received,
        })
    });
    let failures = failures.collect();
    (variants.len(), failures)
}
