//! What is counted: answers with their latency, and every error by its kind.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Latencies above a minute count as a minute.
const MAX_LATENCY_NS: u64 = 60_000_000_000;

/// After so many errors a load ends early: the server is broken, and more of the same says nothing new.
const MAX_ERRORS: u64 = 1000;

/// An empty histogram of latencies in nanoseconds, each kept to three digits.
pub(crate) fn new_histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).map_err(|error| format!("latency histogram: {error}"))
}

/// What a load did and saw: the line of JSON that `load` prints and `bench` reads.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Operations that ended well: responses, or echoed messages.
    pub(crate) requests: u64,
    /// Operations and connections that did not.
    pub(crate) errors: u64,
    /// The same errors by kind; the values add up to `errors`.
    pub(crate) error_kinds: BTreeMap<String, u64>,
    /// `requests` by the seconds from the first connect to the last answer.
    pub(crate) per_second: f64,
    /// Pairs of a latency in nanoseconds and how many operations took that long.
    pub(crate) histogram: Vec<(u64, u64)>,
}

/// The counters of one load.
pub(crate) struct Tally {
    started: Instant,
    latency_ns: Histogram<u64>,
    requests: u64,
    kinds: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Starts the clock.
    pub(crate) fn new() -> Result<Self, String> {
        let latency_ns = new_histogram()?;
        Ok(Self { started: Instant::now(), latency_ns, requests: 0, kinds: BTreeMap::new() })
    }

    /// Forgets everything and starts the clock anew.
    pub(crate) fn restart(&mut self) {
        self.latency_ns.reset();
        self.kinds.clear();
        self.requests = 0;
        self.started = Instant::now();
    }

    pub(crate) fn answered(&mut self, latency: Duration) {
        self.requests += 1;
        self.latency_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts operations without a latency of their own.
    pub(crate) fn done(&mut self, operations: u64) {
        self.requests += operations;
    }

    /// Counts an error; the first of each kind is also printed on standard error.
    pub(crate) fn error(&mut self, kind: &'static str, detail: impl Display) {
        let count = self.kinds.entry(kind).or_insert(0);
        *count += 1;
        if *count == 1 {
            eprintln!("load: {kind}: {detail}");
        }
    }

    fn errors(&self) -> u64 {
        self.kinds.values().sum()
    }

    pub(crate) fn is_hopeless(&self) -> bool {
        self.errors() >= MAX_ERRORS
    }

    pub(crate) fn report(&self) -> Report {
        let recorded = self.latency_ns.iter_recorded();
        Report {
            requests: self.requests,
            errors: self.errors(),
            error_kinds: self.kinds.iter().map(|(&kind, &count)| (kind.to_owned(), count)).collect(),
            per_second: self.requests as f64 / self.started.elapsed().as_secs_f64(),
            histogram: recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect(),
        }
    }
}
