//! The one JSON line that `load` prints and `bench` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a load did and saw.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The kind of load: `keepalive`, `connect`, `echo` and so on.
    pub(crate) mode: String,
    /// Operations that ended well: responses, or echoed messages.
    pub(crate) requests: u64,
    /// Operations and connections that did not.
    pub(crate) errors: u64,
    /// The same errors by kind; the values add up to `errors`.
    pub(crate) error_kinds: BTreeMap<String, u64>,
    /// From the first connect to the last answer, in seconds.
    pub(crate) seconds: f64,
    /// `requests` by `seconds`.
    pub(crate) per_second: f64,
    /// Half of the operations took at most so many microseconds.
    pub(crate) p50_us: f64,
    /// 99 % of them did.
    pub(crate) p99_us: f64,
    /// 99.9 % of them did.
    pub(crate) p999_us: f64,
    /// Bytes received.
    pub(crate) bytes: u64,
    /// Pairs of a latency in nanoseconds and how many operations took that long.
    pub(crate) histogram: Vec<(u64, u64)>,
}
