//! What processes have used. Mirrors `uv_getrusage` and `uv_getrusage_thread`.

use crate::{Error, Result, sys};
use std::time::Duration;

/// Whose resources are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageOf {
    /// This process, with all its threads (`uv_getrusage`).
    Process,
    /// The calling thread (`uv_getrusage_thread`).
    Thread,
    /// The children that have ended and were collected, and theirs.
    Children,
}

/// What was used until now (`uv_rusage_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceUsage {
    /// Processor time of the programs themselves, in steps of a microsecond.
    pub user: Duration,
    /// Processor time of the system on their behalf, in steps of a microsecond.
    pub system: Duration,
    /// The most memory that was resident at a time, in bytes; of children, that of the largest one.
    pub max_resident: u64,
    /// Page faults that no input or output was needed for.
    pub minor_faults: u64,
    /// Page faults that something was read for.
    pub major_faults: u64,
    /// Times that a thread gave up its processor to wait.
    pub voluntary_switches: u64,
    /// Times that a thread had its processor taken away.
    pub involuntary_switches: u64,
}

/// What this process, this thread or the children have used (`uv_getrusage`).
///
/// # Errors
/// The system's refusal; Linux has no reason for one.
///
/// ```
/// use uv_core::process::{UsageOf, resource_usage};
///
/// let usage = resource_usage(UsageOf::Process)?;
/// assert!(usage.user + usage.system > std::time::Duration::ZERO);
/// # Ok::<(), uv_core::Error>(())
/// ```
pub fn resource_usage(of: UsageOf) -> Result<ResourceUsage> {
    sys::process::usage(of).map_err(|errno| Error::new("getrusage", errno))
}
