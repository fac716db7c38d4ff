//! The monotonic clock, as the time since an origin. Mirrors `uv__hrtime`.
//!
//! A loop iteration reads it once or twice. `Instant` takes three times the instructions, because it supports differences
//! between any two times; here the origin is always the earlier one.

use std::time::Duration;

/// The origin of a loop's clock, in nanoseconds: 64 bits last 584 years.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(u64);

/// The longest pause between two ticks of the kernel, which has 100 in a second or more; in nanoseconds.
pub(crate) const TICK: u64 = 10_000_000;

/// In nanoseconds, as often as 250 in a second.
#[cfg(upcall_faults)]
const VIRTUAL_TICK: u64 = 4_000_000;

const NANOS_PER_SEC: u64 = 1_000_000_000;

impl Origin {
    /// The current time.
    #[inline]
    pub(crate) fn now() -> Self {
        #[cfg(upcall_faults)]
        if let Some(now) = crate::faults::now() {
            return Self(now.as_nanos() as u64);
        }
        Self(read(libc::CLOCK_MONOTONIC))
    }

    /// The time from this origin to the kernel's last tick, in nanoseconds: a quarter of the cost.
    #[inline]
    pub(crate) fn nanoseconds_at_tick(self) -> u64 {
        #[cfg(upcall_faults)]
        if let Some(now) = crate::faults::now() {
            let tick = now.as_nanos() as u64 / VIRTUAL_TICK * VIRTUAL_TICK;
            return tick.saturating_sub(self.0);
        }
        read(libc::CLOCK_MONOTONIC_COARSE).saturating_sub(self.0)
    }

    /// The time of the kernel's clock at which `elapsed` has passed.
    pub(crate) fn at(self, elapsed: Duration) -> libc::timespec {
        let at = Duration::from_nanos(self.0).saturating_add(elapsed);
        // The clock does not reach what is too large.
        let tv_sec = libc::time_t::try_from(at.as_secs()).unwrap_or(libc::time_t::MAX);
        libc::timespec { tv_sec, tv_nsec: at.subsec_nanos() as libc::c_long }
    }

    /// The time since this origin.
    #[inline]
    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_nanos(self.nanoseconds())
    }

    /// The time since this origin, in nanoseconds.
    #[inline]
    pub(crate) fn nanoseconds(self) -> u64 {
        // The clock never goes backwards.
        Self::now().0.saturating_sub(self.0)
    }
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec through a valid pointer. The clocks exist, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    // Both are not negative. On some machines each has 32 bits.
    now.tv_sec as u64 * NANOS_PER_SEC + now.tv_nsec as u64
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
        while origin.nanoseconds_at_tick() == 0 {
            std::thread::yield_now();
        }
        assert!(Duration::from_nanos(origin.nanoseconds_at_tick()) <= origin.elapsed());
        let origin = Origin(origin.0 - 1_500_000_000);
        let elapsed = origin.elapsed();
        assert!(elapsed > Duration::from_secs(1) && elapsed < Duration::from_secs(3) + before.elapsed());
    }
}
