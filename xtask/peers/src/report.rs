//! The one JSON line that `load` prints and `measure` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a load did and saw.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The kind of load: `keepalive`, `connect`, `echo`, `idle` or `stream`.
    pub mode: String,
    /// Operations that ended well: responses, or echoed messages.
    pub requests: u64,
    /// Operations and connections that did not.
    pub errors: u64,
    /// The same errors by kind; the values add up to `errors`.
    pub error_kinds: BTreeMap<String, u64>,
    /// From the first connect to the last answer, in seconds.
    pub seconds: f64,
    /// `requests` by `seconds`.
    pub per_second: f64,
    /// Half of the operations took at most so many microseconds.
    pub p50_us: f64,
    /// 99 % of them did.
    pub p99_us: f64,
    /// 99.9 % of them did.
    pub p999_us: f64,
    /// Bytes received.
    pub bytes: u64,
}
