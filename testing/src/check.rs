//! What a run must leave behind: nothing. Descriptors are counted by the process, memory by the thread.

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
