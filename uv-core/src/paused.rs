//! Streams whose system call failed because of a state of the system, such as a lack of memory or descriptors, whose
//! end no event reports: when they retry, and what is logged. libuv retries in every iteration, which keeps a processor
//! busy, or treats the failure as the stream's end.
//!
//! Each stream's pause grows from failure to failure, and ends at a whole multiple of the first pause: many streams that wait
//! retry together, and do not wake the loop one after the other. A trouble is logged when it begins, and again, with the number of
//! failures, when it has been over for a while: a trouble that comes and goes is one trouble.

use crate::Errno;
use crate::event_loop::LoopHandle;
use crate::failure::Call;
use crate::handle::HandleInner;
use crate::poller::Readiness;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::take;
use std::rc::Rc;
use std::time::Duration;

/// The first pause. Most shortages are over by then.
const FIRST: Duration = Duration::from_millis(10);

/// The longest pause: short for a waiting peer, and negligible load for a processor. nginx's number for a lack of
/// descriptors.
const LONGEST: Duration = Duration::from_millis(500);

/// A trouble is over when nothing has failed for this long, which is more than the longest pause.
const CALM: Duration = Duration::from_secs(1);

/// The pauses of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pause {
    length: Duration,
    until: Duration,
}

impl Pause {
    /// Returns the pause after a failure at `now`: twice the last pause if that ended not long ago.
    pub(crate) fn after_failure(self, now: Duration) -> Self {
        let goes_on = !self.length.is_zero() && now.saturating_sub(self.until) <= self.length;
        let length = if goes_on { (self.length * 2).min(LONGEST) } else { FIRST };
        Self { length, until: with_others(now.saturating_add(length)) }
    }

    /// Records that the stream retries at `now`, which a late loop makes later than planned.
    pub(crate) fn end(&mut self, now: Duration) {
        self.until = now;
    }
}

/// The end of a pause, which is not before `end`: the next multiple of the first pause, so that other pauses end then, too.
fn with_others(end: Duration) -> Duration {
    let past = (end.as_nanos() % FIRST.as_nanos()) as u64;
    if past == 0 { end } else { end.saturating_add(FIRST - Duration::from_nanos(past)) }
}

/// A direction of a handle that pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Accepting, reading or receiving.
    Input,
    /// Writing or sending.
    Output,
}

/// The pauses of the two directions of a handle, which have one pause for both.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    pause: Pause,
    is_input_paused: bool,
    is_output_paused: bool,
}

impl Pauses {
    /// Whether there has been no pause.
    pub(crate) fn is_unused(&self) -> bool {
        self.pause == Pause::default()
    }

    pub(crate) fn is_input_paused(&self) -> bool {
        self.is_input_paused
    }

    /// A direction pauses after a failure at `now`. Returns the pause unless it has begun already.
    pub(crate) fn begin(&mut self, direction: Direction, now: Duration) -> Option<Pause> {
        let is_paused = self.is_input_paused || self.is_output_paused;
        match direction {
            Direction::Input => self.is_input_paused = true,
            Direction::Output => self.is_output_paused = true,
        }
        if is_paused {
            return None;
        }
        self.pause = self.pause.after_failure(now);
        Some(self.pause)
    }

    /// The pause ends. Returns the readiness with which the directions that have paused try again.
    pub(crate) fn end(&mut self, now: Duration) -> Readiness {
        self.pause.end(now);
        Readiness::READABLE.when(take(&mut self.is_input_paused))
            | Readiness::WRITABLE.when(take(&mut self.is_output_paused))
    }
}

#[derive(Default)]
pub(crate) struct Paused {
    waiting: RefCell<Vec<Waiting>>,
    troubles: RefCell<Vec<Trouble>>,
    last_number: Cell<u32>,
    /// When the next pause ends, if any stream is paused.
    due: Cell<Option<Duration>>,
    /// A paused stream needs a descriptor.
    needs_descriptor: Cell<bool>,
}

struct Waiting {
    handle: Rc<dyn HandleInner>,
    /// The call that failed.
    call: Call,
    until: Duration,
    needs_descriptor: bool,
}

/// A system call that fails, from its first failure until it has not failed for a while.
struct Trouble {
    call: Call,
    errno: Errno,
    number: u32,
    since: Duration,
    last: Duration,
    failures: u64,
}

/// The trouble that a failure belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted {
    pub(crate) number: u32,
    pub(crate) is_new: bool,
}

impl Paused {
    /// When the next pause or trouble ends, on the clock of [`LoopHandle::now`].
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.due.get()
    }

    pub(crate) fn clear(&self) {
        self.due.set(None);
        self.needs_descriptor.set(false);
        drop(self.waiting.take());
    }

    fn look_again(&self) {
        let waiting = self.waiting.borrow();
        self.needs_descriptor.set(waiting.iter().any(|one| one.needs_descriptor));
        let pauses = waiting.iter().map(|one| one.until);
        let troubles = self.troubles.borrow();
        // A trouble with paused streams is not over before they have retried.
        let calm = troubles.iter().filter(|trouble| !is_waited_for(&waiting, trouble.call));
        self.due.set(pauses.chain(calm.map(|trouble| trouble.last + CALM)).min());
    }

    /// Takes out the streams that are due.
    fn take(&self, is_due: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let (due, rest) = self.waiting.take().into_iter().partition(is_due);
        *self.waiting.borrow_mut() = rest;
        due
    }
}

fn is_waited_for(waiting: &[Waiting], call: Call) -> bool {
    waiting.iter().any(|one| one.call == call)
}

impl LoopHandle {
    /// Records a failure of a call and logs it unless the trouble is logged already. The listener itself reports
    /// failures of `accept`.
    #[cold]
    pub(crate) fn note_trouble(&self, call: Call, errno: Errno) -> Noted {
        let (paused, now) = (&self.inner().paused, self.now());
        let mut troubles = paused.troubles.borrow_mut();
        let known = troubles.iter_mut().find(|trouble| trouble.call == call);
        if let Some(trouble) = known.filter(|trouble| trouble.errno == errno) {
            trouble.failures += 1;
            trouble.last = now;
            return Noted { number: trouble.number, is_new: false };
        }
        troubles.retain(|trouble| trouble.call != call);
        let number = paused.last_number.get().wrapping_add(1);
        paused.last_number.set(number);
        troubles.push(Trouble { call, errno, number, since: now, last: now, failures: 1 });
        drop(troubles);
        paused.look_again();
        if call != Call::Accept {
            log::warn!(target: "uv_core", "{call}: {errno}: the call is retried");
        }
        Noted { number, is_new: true }
    }

    /// Pauses a stream until its pause is over or, if it needs a descriptor, until the loop closes one.
    #[cold]
    pub(crate) fn pause(
        &self,
        handle: Rc<dyn HandleInner>,
        call: Call,
        pause: Pause,
        needs_descriptor: bool,
    ) {
        let paused = &self.inner().paused;
        let until = pause.until;
        paused.waiting.borrow_mut().push(Waiting { handle, call, until, needs_descriptor });
        // Without a look at all others: when memory is lacking, all streams pause.
        paused.due.set(Some(paused.due.get().map_or(until, |due| due.min(until))));
        paused.needs_descriptor.set(paused.needs_descriptor.get() || needs_descriptor);
    }

    /// Gives the streams whose pause is over a turn in this poll phase, and logs the troubles that are over.
    #[inline]
    pub(crate) fn resume_if_due(&self) {
        if self.inner().paused.deadline().is_some_and(|deadline| deadline <= self.now()) {
            self.resume_due();
        }
    }

    #[cold]
    fn resume_due(&self) {
        let (paused, now) = (&self.inner().paused, self.now());
        self.end_troubles(now);
        let due = paused.take(|one| one.until <= now);
        #[cfg(upcall_faults)]
        if !due.is_empty() {
            crate::faults::reached(crate::faults::Branch::PauseEnds);
        }
        paused.look_again();
        due.into_iter().for_each(|one| one.handle.resume());
    }

    fn end_troubles(&self, now: Duration) {
        let mut troubles = self.inner().paused.troubles.take();
        troubles.retain_mut(|trouble| {
            let goes_on = is_waited_for(&self.inner().paused.waiting.borrow(), trouble.call);
            if goes_on || now.saturating_sub(trouble.last) < CALM {
                return true;
            }
            // Without a spare descriptor the next connection would fail again.
            if trouble.is_lack_of_descriptors() && !self.restore_spare_fd() {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::TroubleWithoutSpare);
                trouble.last = now;
                return true;
            }
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::TroubleEnds);
            log::warn!(
                target: "uv_core",
                "{}: works again: failed {} times within {} ms ({})",
                trouble.call,
                trouble.failures,
                (trouble.last.saturating_sub(trouble.since)).as_millis(),
                trouble.errno.name()
            );
            false
        });
        *self.inner().paused.troubles.borrow_mut() = troubles;
    }

    /// Lets the streams that need a descriptor retry in the next poll phase, because a descriptor was closed.
    #[inline]
    pub(crate) fn resume_those_without_descriptor(&self) {
        if self.inner().paused.needs_descriptor.get() {
            self.resume_needy();
        }
    }

    #[cold]
    fn resume_needy(&self) {
        let paused = &self.inner().paused;
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::PauseEndsEarly);
        let needy = paused.take(|one| one.needs_descriptor);
        paused.look_again();
        needy.into_iter().for_each(|one| one.handle.resume());
    }
}

impl Trouble {
    fn is_lack_of_descriptors(&self) -> bool {
        self.call == Call::Accept && matches!(self.errno, Errno::EMFILE | Errno::ENFILE)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Connect => "connect",
            Self::Read => "read",
            Self::Write => "write",
            Self::Pass => "sendmsg with descriptors",
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Listen => "listen",
            Self::Watch => "epoll_ctl",
            Self::Poll => "epoll_wait",
            Self::Spawn => "spawn",
            Self::Lookup => "getaddrinfo",
            Self::Open => "open",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_half_a_second_and_begins_anew_after_it_was_quiet() {
        let ms = Duration::from_millis;
        let (mut pause, mut now, mut lengths) = (Pause::default(), ms(5), Vec::new());
        for _ in 0..8 {
            pause = pause.after_failure(now);
            lengths.push(pause.length);
            now = pause.until;
        }
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 500, 500].map(ms));
        // A late loop does not count as calm.
        now += ms(2000);
        pause.end(now);
        assert_eq!(pause.after_failure(now + ms(500)).length, ms(500));
        assert_eq!(pause.after_failure(now + ms(501)).length, FIRST);
    }

    #[test]
    fn pauses_end_together() {
        let us = Duration::from_micros;
        let ends =
            [0, 1, 5_000, 10_000, 10_001, 20_000].map(|now| Pause::default().after_failure(us(now)).until);
        assert_eq!(ends, [10_000, 20_000, 20_000, 20_000, 30_000, 30_000].map(us));
    }
}
