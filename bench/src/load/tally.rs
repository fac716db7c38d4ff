//! What is counted: answers with their latency, bytes, and every error by its kind.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::load::report::Report;
use hdrhistogram::Histogram;

/// Latencies above a minute count as a minute.
pub(crate) const MAX_LATENCY_NS: u64 = 60_000_000_000;

/// After so many errors a load ends early: the server is broken, and more of the same says nothing new.
const MAX_ERRORS: u64 = 1000;

/// An empty histogram of latencies in nanoseconds, each kept to three digits.
pub(crate) fn new_histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).map_err(|error| format!("latency histogram: {error}"))
}

/// The counters of one load.
pub(crate) struct Tally {
    started: Instant,
    latency_ns: Histogram<u64>,
    requests: u64,
    bytes: u64,
    errors: u64,
    kinds: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Starts the clock.
    pub(crate) fn new() -> Result<Self, String> {
        let latency_ns = new_histogram()?;
        let started = Instant::now();
        Ok(Self { started, latency_ns, requests: 0, bytes: 0, errors: 0, kinds: BTreeMap::new() })
    }

    /// Forgets everything and starts the clock anew.
    pub(crate) fn restart(&mut self) {
        self.latency_ns.reset();
        self.kinds.clear();
        (self.requests, self.bytes, self.errors) = (0, 0, 0);
        self.started = Instant::now();
    }

    pub(crate) fn answered(&mut self, latency: Duration) {
        self.requests += 1;
        self.latency_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Operations that nobody waited for one by one.
    pub(crate) fn done(&mut self, operations: u64) {
        self.requests += operations;
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Counts an error; the first of each kind is also told on standard error.
    pub(crate) fn error(&mut self, kind: &'static str, detail: impl Display) {
        self.errors += 1;
        let count = self.kinds.entry(kind).or_insert(0);
        *count += 1;
        if *count == 1 {
            eprintln!("load: {kind}: {detail}");
        }
    }

    pub(crate) fn is_hopeless(&self) -> bool {
        self.errors >= MAX_ERRORS
    }

    pub(crate) fn report(&self, mode: &str) -> Report {
        let seconds = self.started.elapsed().as_secs_f64();
        let quantile = |share| self.latency_ns.value_at_quantile(share) as f64 / 1000.0;
        Report {
            mode: mode.to_owned(),
            requests: self.requests,
            errors: self.errors,
            error_kinds: self.kinds.iter().map(|(&kind, &count)| (kind.to_owned(), count)).collect(),
            seconds,
            per_second: self.requests as f64 / seconds,
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            bytes: self.bytes,
            histogram: self
                .latency_ns
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        }
    }
}
