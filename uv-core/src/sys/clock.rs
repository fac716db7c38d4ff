//! The monotonic clock, as the time since an origin. Mirrors `uv__hrtime`.
//!
//! A turn of the loop reads it twice. `Instant` does the same with three times the instructions, for differences between
//! any two moments; here the origin is always the earlier one.

use std::time::Duration;

/// The moment from which a loop counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    secs: i64,
    nanos: i64,
}

const NANOS_PER_SEC: i64 = 1_000_000_000;

impl Origin {
    /// Now.
    pub(crate) fn now() -> Self {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes one timespec. The clock exists and the pointer is valid, so that the call cannot fail.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        Self { secs: now.tv_sec, nanos: now.tv_nsec }
    }

    /// The time since this moment.
    #[inline]
    pub(crate) fn elapsed(self) -> Duration {
        let now = Self::now();
        let nanos = (now.secs - self.secs) * NANOS_PER_SEC + (now.nanos - self.nanos);
        // The clock never goes back; 64 bits of nanoseconds are 584 years.
        Duration::from_nanos(nanos.max(0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;
    use std::time::{Duration, Instant};

    #[test]
    fn time_passes_as_it_does_for_the_standard_library() {
        let before = Instant::now();
        let origin = Origin::now();
        let mut last = Duration::ZERO;
        for _ in 0..1000 {
            let elapsed = origin.elapsed();
            assert!(elapsed >= last, "it went back");
            last = elapsed;
        }
        assert!(last <= before.elapsed());
        let origin = Origin { secs: origin.secs - 2, nanos: 999_999_999 };
        let elapsed = origin.elapsed();
        assert!(elapsed > Duration::from_secs(1) && elapsed < Duration::from_secs(3) + before.elapsed());
    }
}
