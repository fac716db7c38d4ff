//! What a loop does with its time: turns, events, idle time, lag. Mirrors `uv_metrics_info`, `uv_metrics_idle_time` and
//! `UV_METRICS_IDLE_TIME`, libuv's `src/uv-common.c`.
//!
//! A loop that is not measured has a null pointer to show for it, which each poll phase tests. A loop that is measured reads
//! the clock twice for each wait.

use crate::LoopHandle;
use crate::poller::{Batch, Source};
use crate::sys::clock::Origin;
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What [`LoopHandle::measure`] measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Turns, events, idle time and lag. Costs no system call.
    #[default]
    Times,
    /// Also the events that have waited for the loop. As in libuv, each wait is preceded by a poll that does not block,
    /// which tells them from those that the loop waits for.
    Waiting,
}

/// The measurements of a loop, for any thread. Clones are cheap and refer to the same loop.
///
/// ```
/// use std::time::Duration;
/// use uv_core::metrics::Detail;
/// use uv_core::{Loop, RunMode, Timer};
///
/// let event_loop = Loop::new()?;
/// let metrics = event_loop.measure(Detail::Times);
/// let timer = Timer::new(&event_loop);
/// timer.start(Duration::from_millis(20), Duration::ZERO, |timer: &Timer| timer.close())?;
/// event_loop.run(RunMode::Default)?;
/// assert!(metrics.idle_time() >= Duration::from_millis(19), "it has waited for the timer");
/// println!("{:?}", metrics.info());
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

/// The measurements of one moment (`uv_metrics_t`), since measuring has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsInfo {
    /// Iterations of the loop that have polled (`loop_count`).
    pub turns: u64,
    /// Events that the loop has taken (`events`): those of descriptors, each message of another thread and each result of
    /// the thread pool, and each turn of a handle whose input or output was left by an earlier turn.
    pub events: u64,
    /// Those of them that were there before the loop looked (`events_waiting`). Counted with [`Detail::Waiting`].
    pub events_waiting: u64,
    /// The time that the loop has spent waiting (`uv_metrics_idle_time`), including the current wait.
    pub idle: Duration,
    /// For how long the loop did not look for events: from the end of its last wait to the beginning of the next one, or
    /// until now if it has not returned. A timer that became due meanwhile, or an event, was late by up to that long; so
    /// a loop without a timer has a lag too, and a callback that hangs shows while it does. Zero for a loop that does not
    /// run.
    pub lag: Duration,
    /// The longest lag so far, or since [`Metrics::take_max_lag`].
    pub max_lag: Duration,
}

struct Shared {
    /// The origin of the loop's clock.
    origin: Origin,
    times: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    info: MetricsInfo,
    state: State,
}

#[derive(Clone, Copy, Default)]
enum State {
    /// `run` has returned.
    #[default]
    Stopped,
    /// Callbacks run, since this time.
    Busy(Duration),
    /// The loop waits, since this time.
    Waiting(Duration),
}

impl Shared {
    fn times(&self) -> MutexGuard<'_, Times> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    /// Enters another state at `now`, and counts the time of the old one.
    fn enter(&mut self, state: State, now: Duration) {
        match self.state {
            State::Stopped => {}
            State::Busy(since) => {
                self.info.lag = now.saturating_sub(since);
                self.info.max_lag = self.info.max_lag.max(self.info.lag);
            }
            State::Waiting(since) => self.info.idle += now.saturating_sub(since),
        }
        self.state = state;
    }

    /// The measurements with the time of the current state.
    fn at(&self, now: Duration) -> MetricsInfo {
        let mut info = self.info;
        match self.state {
            State::Stopped => info.lag = Duration::ZERO,
            State::Busy(since) => info.lag = info.lag.max(now.saturating_sub(since)),
            State::Waiting(since) => info.idle += now.saturating_sub(since),
        }
        info.max_lag = info.max_lag.max(info.lag);
        info
    }
}

impl Metrics {
    /// All measurements, of one moment (`uv_metrics_info`).
    #[must_use]
    pub fn info(&self) -> MetricsInfo {
        let times = self.0.times();
        times.at(self.0.origin.elapsed())
    }

    /// The time that the loop has spent waiting, including the current wait (`uv_metrics_idle_time`).
    #[must_use]
    pub fn idle_time(&self) -> Duration {
        self.info().idle
    }

    /// Returns the longest lag so far, and begins anew: for a program that reports it at intervals.
    #[must_use]
    pub fn take_max_lag(&self) -> Duration {
        let mut times = self.0.times();
        let now = self.0.origin.elapsed();
        let max_lag = times.at(now).max_lag;
        times.info.max_lag = Duration::ZERO;
        times.info.lag = Duration::ZERO;
        if let State::Busy(since) = &mut times.state {
            *since = now;
        }
        max_lag
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.info()).finish()
    }
}

/// The loop's end of its [`Metrics`].
pub(crate) struct Meter {
    shared: Arc<Shared>,
    detail: Cell<Detail>,
    /// The events that are being handled had waited.
    have_waited: Cell<bool>,
}

impl Meter {
    fn new(origin: Origin, is_running: bool) -> Self {
        let state = if is_running { State::Busy(origin.elapsed()) } else { State::Stopped };
        let times = Mutex::new(Times { info: MetricsInfo::default(), state });
        Self {
            shared: Arc::new(Shared { origin, times }),
            detail: Cell::default(),
            have_waited: Cell::new(false),
        }
    }

    fn enter(&self, state: impl FnOnce(Duration) -> State) {
        let now = self.shared.origin.elapsed();
        self.shared.times().enter(state(now), now);
    }

    /// The loop begins to run.
    pub(crate) fn begin_run(&self) {
        self.enter(State::Busy);
    }

    /// `run` returns, or a panic leaves it.
    pub(crate) fn end_run(&self) {
        self.enter(|_| State::Stopped);
    }

    /// A poll phase begins, with the turns of the still-ready set, which have waited.
    pub(crate) fn begin_turn(&self, still_ready: usize) {
        let mut times = self.shared.times();
        times.info.turns += 1;
        times.info.events += still_ready as u64;
        if self.detail.get() == Detail::Waiting {
            times.info.events_waiting += still_ready as u64;
        }
    }

    /// Counts events, or more than one post of an event.
    pub(crate) fn add_events(&self, events: usize) {
        let mut times = self.shared.times();
        times.info.events += events as u64;
        if self.have_waited.get() {
            times.info.events_waiting += events as u64;
        }
    }

    /// Waits by `wait`, with a poll before it if that is asked for, and measures it.
    pub(crate) fn wait<'a>(
        &self,
        timeout: Option<Duration>,
        wait: impl Fn(Option<Duration>) -> crate::Result<Batch<'a>>,
    ) -> crate::Result<Batch<'a>> {
        self.have_waited.set(false);
        if self.detail.get() == Detail::Waiting {
            let batch = self.count(wait(Some(Duration::ZERO)), true)?;
            if batch.iter().next().is_some() || timeout == Some(Duration::ZERO) {
                self.enter(State::Busy);
                return Ok(batch);
            }
        }
        if timeout == Some(Duration::ZERO) {
            self.enter(State::Busy);
            return self.count(wait(timeout), false);
        }
        self.enter(State::Waiting);
        let batch = wait(timeout);
        self.enter(State::Busy);
        self.count(batch, false)
    }

    fn count<'a>(&self, batch: crate::Result<Batch<'a>>, have_waited: bool) -> crate::Result<Batch<'a>> {
        self.have_waited.set(have_waited);
        if let Ok(batch) = &batch {
            // As in libuv a timer is no event.
            self.add_events(batch.iter().filter(|source| !matches!(source, Source::Alarm)).count());
        }
        batch
    }
}

impl LoopHandle {
    /// Begins to measure the loop, and returns the measurements (`uv_loop_configure` with `UV_METRICS_IDLE_TIME`). A loop
    /// that is measured already goes on with its counts, and with the `detail` of this call.
    ///
    /// Measuring costs two readings of the clock for each wait; a loop that is not measured pays nothing.
    pub fn measure(&self, detail: Detail) -> Metrics {
        let inner = self.inner();
        let meter = inner.meter.get_or_init(|| Meter::new(inner.origin(), inner.is_running()));
        meter.detail.set(detail);
        Metrics(Arc::clone(&meter.shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn idle_time_and_lag_include_what_goes_on() {
        let mut times = Times::default();
        assert_eq!(times.at(ms(5)), MetricsInfo::default());
        times.enter(State::Busy(ms(10)), ms(10));
        assert_eq!(times.at(ms(13)).lag, ms(3));
        times.enter(State::Waiting(ms(20)), ms(20));
        assert_eq!((times.at(ms(27)).lag, times.at(ms(27)).idle), (ms(10), ms(7)));
        times.enter(State::Busy(ms(30)), ms(30));
        assert_eq!((times.at(ms(31)).lag, times.at(ms(45)).lag), (ms(10), ms(15)));
        times.enter(State::Waiting(ms(32)), ms(32));
        let info = times.at(ms(32));
        assert_eq!((info.lag, info.max_lag, info.idle), (ms(2), ms(10), ms(10)));
        times.enter(State::Stopped, ms(40));
        let info = times.at(ms(1000));
        assert_eq!((info.lag, info.max_lag, info.idle), (Duration::ZERO, ms(10), ms(18)));
    }
}
