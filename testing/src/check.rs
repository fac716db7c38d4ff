//! What a run must leave behind: nothing. Descriptors are counted by the process, memory by the thread.

/// The descriptors that this process has open.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
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
