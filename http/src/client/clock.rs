//! What the phases of a request take. The times are those of the loop's clock, which costs nothing to look at.

use super::error::At;
use super::options::Phase;
use async_wrap::Heard;
use std::cell::Cell;
use std::time::Duration;

/// The times of one request.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    phase: Cell<Option<Phase>>,
    began: Cell<Duration>,
    /// When the phase began.
    since: Cell<Duration>,
    /// When bytes last moved, either way.
    moved: Cell<Duration>,
    /// What the server had taken of the request at the last look.
    fetched: Cell<u64>,
    /// What the phases before it took.
    spent: [Cell<Duration>; Phase::COUNT],
}

impl Clock {
    /// Forgets the last request.
    pub(crate) fn start(&self, now: Duration) {
        self.spent.iter().for_each(|spent| spent.set(Duration::ZERO));
        [&self.began, &self.since, &self.moved].iter().for_each(|time| time.set(now));
        self.fetched.set(0);
        self.phase.set(None);
    }

    /// A phase begins, and the one before it is over.
    pub(crate) fn enter(&self, phase: Phase, now: Duration) {
        if let Some(before) = self.phase.replace(Some(phase)) {
            let spent = &self.spent[before as usize];
            spent.set(spent.get() + now.saturating_sub(self.since.get()));
        }
        self.since.set(now);
        self.moved.set(now);
    }

    /// Bytes have moved.
    pub(crate) fn note_move(&self, now: Duration) {
        self.moved.set(now);
    }

    /// Corrects the times by what the loop has heard of: see [`Heard::latest`].
    pub(crate) fn correct(&self, heard: Heard) {
        for time in [&self.moved, &self.since] {
            time.set(heard.latest(time.get()));
        }
    }

    /// Notes what the server has taken of the request. Returns whether that is not what it was.
    pub(crate) fn note_fetched(&self, fetched: u64) -> bool {
        self.fetched.replace(fetched) != fetched
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        self.phase.get()
    }

    pub(crate) fn began(&self) -> Duration {
        self.began.get()
    }

    pub(crate) fn since(&self) -> Duration {
        self.since.get()
    }

    pub(crate) fn moved(&self) -> Duration {
        self.moved.get()
    }

    /// How far the request is.
    pub(crate) fn at(&self, now: Duration, is_reused: bool) -> At {
        let mut times = [Duration::ZERO; Phase::COUNT];
        times.iter_mut().zip(&self.spent).for_each(|(time, spent)| *time = spent.get());
        let phase = self.phase.get();
        if let Some(phase) = phase {
            times[phase as usize] += now.saturating_sub(self.since.get());
        }
        At { phase, times, is_reused }
    }
}
