//! The monotonic clock, as the time since an origin. Mirrors `uv__hrtime`.
//!
//! A loop iteration reads it twice. `Instant` takes three times the instructions, because it supports differences
//! between any two times; here the origin is always the earlier one.

use std::time::Duration;

/// The origin of a loop's clock, in nanoseconds: 64 bits last 584 years.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(u64);

const NANOS_PER_SEC: u64 = 1_000_000_000;

impl Origin {
    /// The current time.
    #[inline]
    pub(crate) fn now() -> Self {
        #[cfg(upcall_faults)]
        if let Some(now) = crate::faults::now() {
            return Self(now.as_nanos() as u64);
        }
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes one timespec through a valid pointer. The clock exists, so the call cannot fail.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        // Both are not negative. On some machines each has 32 bits.
        Self(now.tv_sec as u64 * NANOS_PER_SEC + now.tv_nsec as u64)
    }

    /// The time since this origin.
    #[inline]
    pub(crate) fn elapsed(self) -> Duration {
        // The clock never goes backwards.
        Duration::from_nanos(Self::now().0.saturating_sub(self.0))
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
        let origin = Origin(origin.0 - 1_500_000_000);
        let elapsed = origin.elapsed();
        assert!(elapsed > Duration::from_secs(1) && elapsed < Duration::from_secs(3) + before.elapsed());
    }
}
