//! Readiness: events that are held back, come in another order, or follow an injected EAGAIN; and the wait of a loop, in which
//! virtual time passes.

use super::plan::Kind;
use super::{calls, clock, is_on, jobs, with};
use crate::key::Key;
use crate::poller::{Batch, Poller, Readiness, Source};
use crate::sys;
use crate::{Errno, LoopHandle, Result};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// What a descriptor becomes ready for.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Read,
    Write,
}

#[derive(Default)]
pub(super) struct Ready {
    /// The loops, by their epoll descriptors.
    loops: BTreeMap<RawFd, Known>,
    last_loop: u32,
    /// The handles of the descriptors that are watched.
    watched: BTreeMap<RawFd, (RawFd, Key)>,
    held: Vec<Held>,
}

/// A loop.
struct Known {
    number: u32,
    waits: u64,
}

/// An event that a loop is to get at a time.
struct Held {
    at: Duration,
    epoll: RawFd,
    source: Source,
}

impl Ready {
    /// Makes a descriptor ready again, soon.
    pub(super) fn again(&mut self, fd: BorrowedFd<'_>, direction: Direction, now: Duration, number: u64) {
        let state = sys::socket::readiness(fd);
        let has_ended = state & (libc::POLLRDHUP | libc::POLLHUP) != 0;
        let has_failed = state & libc::POLLERR != 0;
        let readiness = match direction {
            // As the kernel reports what arrives later: the FIN, or a failure, with the bytes before it.
            Direction::Read => {
                Readiness::READABLE
                    | Readiness::READ_ON.when(has_ended || has_failed)
                    | Readiness::PEER_ENDED.when(has_ended)
                    | Readiness::FAILED.when(has_failed)
            }
            Direction::Write => Readiness::WRITABLE,
        };
        let fd = fd.as_raw_fd();
        // A descriptor that is not watched yet is reported by the kernel once it is.
        if let Some((epoll, key)) = self.watched.get(&fd) {
            let at = now + Duration::from_micros((number >> 16) % 2_000);
            self.held.push(Held { at, epoll: *epoll, source: Source::Handle { key: *key, readiness } });
        }
    }

    pub(super) fn loop_number(&self, epoll: RawFd) -> u32 {
        self.loops.get(&epoll).map_or(0, |known| known.number)
    }

    /// Counts a wait. Returns whether it is the loop's first: what it finds then was there before, and is not late.
    fn is_first_wait(&mut self, epoll: RawFd) -> bool {
        self.loops.get_mut(&epoll).is_some_and(|known| {
            known.waits += 1;
            known.waits == 1
        })
    }
}

pub(crate) fn new_loop(epoll: RawFd) {
    with(|state| {
        let ready = &mut state.ready;
        ready.last_loop += 1;
        ready.loops.insert(epoll, Known { number: ready.last_loop, waits: 0 });
        // An earlier loop had the same descriptor.
        ready.held.retain(|held| held.epoll != epoll);
        ready.watched.retain(|_, (other, _)| *other != epoll);
    });
}

/// A loop is about to watch a descriptor.
///
/// # Errors
/// The error that it gets in this world.
pub(crate) fn register(epoll: RawFd, fd: BorrowedFd<'_>, key: Key) -> Result<(), Errno> {
    calls::refuse("epoll_ctl(2)", None)?;
    with(|state| state.ready.watched.insert(fd.as_raw_fd(), (epoll, key)));
    Ok(())
}

pub(crate) fn deregister(fd: BorrowedFd<'_>) {
    with(|state| state.ready.watched.remove(&fd.as_raw_fd()));
}

/// Drops what is held back for a loop that is about to be dropped.
pub fn forget_loop(event_loop: &LoopHandle) {
    let epoll = event_loop.backend_fd();
    with(|state| state.ready.held.retain(|held| held.epoll != epoll));
}

/// When the next event that is held back is due; `None` if none is.
#[must_use]
pub fn next_ready() -> Option<Duration> {
    next_ready_after(Duration::ZERO)
}

/// When the next event that is held back is due, of those that are due later than `time`: what was due before and was not
/// taken belongs to a loop that has ended, or stands still.
#[must_use]
pub fn next_ready_after(time: Duration) -> Option<Duration> {
    with(|state| state.ready.held.iter().map(|held| held.at).filter(|at| *at > time).min()).flatten()
}

/// A loop's wait for events: what the kernel reports and what is due. If there is neither, virtual time passes up to the next
/// moment at which there is something.
///
/// # Panics
/// If the loop would wait without end, or spins: both are breaches of a law.
pub(crate) fn wait(poller: &Poller, timeout: Option<Duration>) -> Result<Batch<'_>> {
    if !is_on() {
        return poller.wait(timeout);
    }
    let epoll = poller.fd();
    let until = timeout.and_then(|timeout| Some(super::now()? + timeout)).filter(|until| *until < clock::END);
    let is_first = with(|state| state.ready.is_first_wait(epoll)).unwrap_or(false);
    if !is_first && calls::interrupt_wait() {
        begin_turn();
        // Without asking the kernel, which would forget the edges that it reports.
        return poller.wait_interrupted();
    }
    loop {
        begin_turn();
        jobs::run_due();
        let mut batch = poller.wait(Some(Duration::ZERO))?;
        if timeout != Some(Duration::ZERO) && batch.iter().next().is_none() {
            // What this thread has sent through the kernel is there, unless another thread of the kernel has to run first.
            drop(batch);
            std::thread::yield_now();
            batch = poller.wait(Some(Duration::ZERO))?;
        }
        let sources = sift(epoll, batch.iter().collect(), !is_first);
        if !sources.is_empty() || timeout == Some(Duration::ZERO) {
            return Ok(batch.replaced_by(sources));
        }
        let now = super::now();
        if until.is_some() && until <= now {
            return Ok(batch.replaced_by(sources));
        }
        match [until, next_ready(), super::next_job()].into_iter().flatten().min() {
            Some(next) => super::advance_to(next),
            None => panic!("the loop waits for an event that never comes"),
        }
    }
}

/// A turn takes a little time.
fn begin_turn() {
    let spins = with(|state| {
        let step = state.decisions.number("turn") % 20;
        clock::advance_to(clock::time() + Duration::from_micros(1 + step));
        state.laws.begin_turn(clock::time(), state.decisions.plan().turns_per_second)
    });
    assert!(spins != Some(true), "the loop spins");
}

/// Holds some of these events back, adds those that are due, and chooses their order.
fn sift(epoll: RawFd, sources: Vec<Source>, holds: bool) -> Vec<Source> {
    with(|state| {
        let mut passed = Vec::new();
        for source in sources {
            match state.decisions.meet("event", if holds { &[Kind::Held] } else { &[] }) {
                Some((_, number)) => {
                    // Mostly a moment, sometimes longer than a timeout.
                    let bound = [50, 2_000, 50_000, 3_000_000][(number % 64 / 21) as usize];
                    let at = clock::time() + Duration::from_micros((number >> 8) % bound);
                    state.ready.held.push(Held { at, epoll, source });
                }
                None => passed.push(source),
            }
        }
        let now = clock::time();
        let due = |held: &mut Held| held.epoll == epoll && held.at <= now;
        passed.extend(state.ready.held.extract_if(.., due).map(|held| held.source));
        if passed.len() > 1
            && let Some((_, number)) = state.decisions.meet("order", &[Kind::Shuffled])
        {
            let len = passed.len();
            for index in 0..len {
                passed.swap(index, (number >> (index % 32)) as usize % len);
            }
        }
        if !passed.is_empty() {
            state.laws.act();
        }
        passed
    })
    .unwrap_or_default()
}
