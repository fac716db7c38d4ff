//! What a run must leave behind: nothing. Descriptors are counted by the process, memory by the thread.

use std::cell::Cell;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What was opened and not closed, and allocated and not freed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    pub(crate) descriptors: i64,
    pub(crate) bytes: i64,
}

impl AddAssign for Left {
    fn add_assign(&mut self, other: Self) {
        self.descriptors += other.descriptors;
        self.bytes += other.bytes;
    }
}

/// Runs `work` and adds what it has left to `left`.
///
/// # Panics
/// As `work` does.
pub(crate) fn counted<R>(left: &Cell<Left>, work: impl FnOnce() -> R) -> R {
    let open = || descriptors().map_or(0, |open| open as i64);
    let before = open();
    let mut result = None;
    // The counter does not survive a panic.
    let bytes = bytes_left(|| result = Some(catch_unwind(AssertUnwindSafe(work))));
    let mut sum = left.get();
    sum += Left { descriptors: open() - before, bytes };
    left.set(sum);
    match result {
        Some(Ok(result)) => result,
        Some(Err(payload)) => resume_unwind(payload),
        None => unreachable!("the work was run"),
    }
}

/// The descriptors that this process has open.
///
/// # Errors
/// A text, if the system does not tell.
pub(crate) fn descriptors() -> Result<usize, String> {
    const OPEN: &str = "/proc/self/fd";
    let entries = std::fs::read_dir(OPEN).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    entries
        .map(|entries| entries.len())
        .map_err(|error| format!("open descriptors cannot be counted: {OPEN}: {error}"))
}

/// The descriptors that this process may open beside those that it has; `None` if the system does not tell.
pub(crate) fn room() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft: usize = files.split_whitespace().next()?.parse().ok()?;
    Some(soft.saturating_sub(descriptors().ok()?))
}

/// Runs `work` and returns how many bytes this thread has allocated in it and not freed.
#[cfg(feature = "memory")]
pub(crate) fn bytes_left(work: impl FnOnce()) -> i64 {
    allocation_counter::measure(work).bytes_current
}

/// Without the feature `memory` nothing is counted.
#[cfg(not(feature = "memory"))]
pub(crate) fn bytes_left(work: impl FnOnce()) -> i64 {
    work();
    0
}

/// Runs `work`, which must not panic, without counting what it allocates and frees.
#[cfg(feature = "memory")]
pub(crate) fn uncounted(work: impl FnOnce()) {
    allocation_counter::opt_out(work);
}

/// Without the feature `memory` nothing is counted.
#[cfg(not(feature = "memory"))]
pub(crate) fn uncounted(work: impl FnOnce()) {
    work();
}
