//! Resource usage of processes. Mirrors `uv_getrusage` and `uv_getrusage_thread`.

use crate::{Error, Result, sys};
use std::time::Duration;

/// The process or thread to query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageOf {
    /// This process, with all its threads (`uv_getrusage`).
    Process,
    /// The calling thread (`uv_getrusage_thread`).
    Thread,
    /// The children that have ended and were collected, with their own collected children.
    Children,
}

/// Resource usage so far (`uv_rusage_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceUsage {
    /// CPU time in user mode, with a resolution of a microsecond.
    pub user: Duration,
    /// CPU time in the kernel, with a resolution of a microsecond.
    pub system: Duration,
    /// Maximum resident set size in bytes; for children that of the largest child.
    pub max_resident: u64,
    /// Page faults without I/O.
    pub minor_faults: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
    /// Context switches because a thread waited.
    pub voluntary_switches: u64,
    /// Context switches because a thread was preempted.
    pub involuntary_switches: u64,
}

/// Returns the resource usage of this process, this thread or the children (`uv_getrusage`).
///
/// # Errors
/// The system call's error; Linux has none for these arguments.
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
