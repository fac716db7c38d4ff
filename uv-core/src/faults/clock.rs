//! The virtual clock.

use std::cell::Cell;
use std::time::Duration;

/// A clock that begins at zero would hide mistakes with differences.
pub(super) const BEGINNING: Duration = Duration::from_secs(1_000);

/// A later time does not come: the clock counts nanoseconds in 64 bits, and a deadline there is never reached.
pub const END: Duration = Duration::from_nanos(u64::MAX);

thread_local! {
    /// Apart from the world's state, so that a record of a trace has the time also while the world decides.
    static NOW: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// The virtual time; `None` without a world.
#[must_use]
pub fn now() -> Option<Duration> {
    NOW.get()
}

/// Lets time pass until `time`, but not beyond [`END`]; an earlier time changes nothing.
pub fn advance_to(time: Duration) {
    NOW.set(NOW.get().map(|now| now.max(time.min(END))));
}

pub(super) fn set(time: Option<Duration>) {
    NOW.set(time);
}

/// The time in a world.
pub(super) fn time() -> Duration {
    NOW.get().unwrap_or(BEGINNING)
}
