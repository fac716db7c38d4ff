//! Readiness: events that are held back, come in another order, or follow an injected EAGAIN; and the wait of a loop, in which
//! virtual time passes.

use super::plan::{Kind, moment};
use super::{calls, clock, is_on, jobs, with};
use crate::key::Key;
use crate::poller::{Batch, Poller, Readiness, Source};
use crate::sys;
use crate::{Errno, LoopHandle, Result};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Ready {
    /// The loops, by their epoll descriptors.
    loops: BTreeMap<RawFd, Known>,
    last_loop: u32,
    /// The descriptors that are watched.
    watched: BTreeMap<RawFd, Watched>,
    held: Vec<Held>,
    /// The errors of resets that have arrived and are not reported yet.
    resets: BTreeMap<RawFd, (u64, Errno)>,
}

/// A loop.
struct Known {
    number: u32,
    waits: u64,
}

/// A descriptor that a loop watches.
#[derive(Clone, Copy)]
struct Watched {
    epoll: RawFd,
    key: Key,
    writable: bool,
    /// Tells it from a file that gets its number after it was closed.
    file: u64,
}

/// An event that a loop is to get at a time.
struct Held {
    at: Duration,
    epoll: RawFd,
    what: What,
}

/// What is held back. A handle's event is made when it is due, as epoll_wait(2) makes it: of what the descriptor is ready for
/// then.
enum What {
    Loop(Source),
    Handle(RawFd, Key),
    /// A reset arrives, with its error.
    Reset(RawFd, Key, Errno),
}

impl Held {
    /// The event; `None` if there is nothing to report any more.
    fn source(&self, watched: &BTreeMap<RawFd, Watched>) -> Option<Source> {
        let (fd, key) = match self.what {
            What::Loop(source) => return Some(source),
            What::Handle(fd, key) | What::Reset(fd, key, _) => (fd, key),
        };
        let known = watched.get(&fd).filter(|known| known.key == key && known.epoll == self.epoll)?;
        // Closing its descriptor has ended the registration.
        if sys::fd::file_number(fd) != Some(known.file) {
            return None;
        }
        if let What::Reset(..) = self.what {
            // What was received before it is still to be read.
            let input = Readiness::READABLE | Readiness::READ_ON | Readiness::PEER_ENDED;
            let readiness = input | Readiness::WRITABLE | Readiness::FAILED;
            return Some(Source::Handle { key, readiness });
        }
        let readiness = Readiness::of_poll(sys::socket::readiness(fd), known.writable);
        let is_any = readiness.has(Readiness::READABLE | Readiness::WRITABLE);
        is_any.then_some(Source::Handle { key, readiness })
    }
}

impl Ready {
    /// Makes a descriptor ready again, soon. A descriptor that is not watched yet is reported by the kernel once it is.
    pub(super) fn again(&mut self, fd: BorrowedFd<'_>, now: Duration, number: u64) {
        let fd = fd.as_raw_fd();
        if let Some(known) = self.watched.get(&fd) {
            let at = now + Duration::from_micros((number >> 16) % 2_000);
            self.held.push(Held { at, epoll: known.epoll, what: What::Handle(fd, known.key) });
        }
    }

    pub(super) fn is_watched(&self, fd: BorrowedFd<'_>) -> bool {
        self.watched.contains_key(&fd.as_raw_fd())
    }

    /// A reset of the connection arrives later.
    pub(super) fn reset(&mut self, fd: BorrowedFd<'_>, errno: Errno, now: Duration, number: u64) {
        let fd = fd.as_raw_fd();
        if let Some(known) = self.watched.get(&fd) {
            let (at, what) = (now + moment(number), What::Reset(fd, known.key, errno));
            self.held.push(Held { at, epoll: known.epoll, what });
        }
    }

    /// The error of a reset that has arrived, once.
    pub(super) fn take_reset(&mut self, fd: BorrowedFd<'_>) -> Option<Errno> {
        let (file, errno) = self.resets.remove(&fd.as_raw_fd())?;
        (sys::fd::file_number(fd.as_raw_fd()) == Some(file)).then_some(errno)
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

    /// What an event is held back as; `None` for what cannot be.
    fn what(&self, epoll: RawFd, source: Source) -> Option<What> {
        let Source::Handle { key, .. } = source else { return Some(What::Loop(source)) };
        let is_its = |(_, known): &(&RawFd, &Watched)| known.epoll == epoll && known.key == key;
        self.watched.iter().find(is_its).map(|(fd, _)| What::Handle(*fd, key))
    }

    /// Makes the events of handles due that are held back.
    fn hasten(&mut self, epoll: RawFd, now: Duration) {
        let is_its = |held: &&mut Held| held.epoll == epoll && matches!(held.what, What::Handle(..));
        self.held.iter_mut().filter(is_its).for_each(|held| held.at = held.at.min(now));
    }

    /// Takes the events that are due. What has nothing to report any more is dropped.
    fn take_due(&mut self, epoll: RawFd, now: Duration) -> Vec<Source> {
        let Self { held, watched, resets, .. } = self;
        let due = held.extract_if(.., |held| held.epoll == epoll && held.at <= now);
        due.filter_map(|held| {
            let source = held.source(watched)?;
            if let What::Reset(fd, _, errno) = held.what {
                resets.insert(fd, (watched.get(&fd)?.file, errno));
            }
            Some(source)
        })
        .collect()
    }
}

pub(crate) fn new_loop(epoll: RawFd) {
    with(|state| {
        let ready = &mut state.ready;
        ready.last_loop += 1;
        ready.loops.insert(epoll, Known { number: ready.last_loop, waits: 0 });
        // An earlier loop had the same descriptor.
        ready.held.retain(|held| held.epoll != epoll);
        ready.watched.retain(|_, known| known.epoll != epoll);
        state.laws.new_loop(epoll);
    });
}

/// A loop is about to watch a descriptor, for writing too if `writable`.
///
/// # Errors
/// The error that it gets in this world.
pub(crate) fn register(epoll: RawFd, fd: BorrowedFd<'_>, key: Key, writable: bool) -> Result<(), Errno> {
    calls::refuse("epoll_ctl(2)")?;
    let fd = fd.as_raw_fd();
    let file = sys::fd::file_number(fd).unwrap_or(0);
    with(|state| state.ready.watched.insert(fd, Watched { epoll, key, writable, file }));
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

/// Whether a wait of the loop would report an event now.
#[must_use]
pub fn is_ready(event_loop: &LoopHandle) -> bool {
    let epoll = event_loop.backend_fd();
    let is_due = with(|state| {
        let (ready, now) = (&mut state.ready, clock::time());
        let watched = &ready.watched;
        // What has nothing to report any more would be waited for in vain.
        ready.held.retain(|held| held.epoll != epoll || held.at > now || held.source(watched).is_some());
        ready.held.iter().any(|held| held.epoll == epoll && held.at <= now)
    });
    is_due.unwrap_or(false) || sys::socket::readiness(epoll) & libc::POLLIN != 0
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
        begin_turn(epoll);
        // Without asking the kernel, which would forget the edges that it reports.
        return poller.wait_interrupted();
    }
    loop {
        begin_turn(epoll);
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
        match [until, next_ready_after(clock::time()), super::next_job()].into_iter().flatten().min() {
            Some(next) => super::advance_to(next),
            None => panic!("the loop waits for an event that never comes"),
        }
    }
}

/// A turn takes a little time.
fn begin_turn(epoll: RawFd) {
    let spins = with(|state| {
        let step = state.decisions.number("turn") % 20;
        clock::advance_to(clock::time() + Duration::from_micros(1 + step));
        state.laws.begin_turn(epoll, clock::time(), state.decisions.plan().turns_per_second)
    });
    if let Some(Some(spin)) = spins {
        panic!("{spin}");
    }
}

/// Decides whether a thread that could run now does not, as another has its processor or it is stopped. Returns until when.
#[must_use]
pub fn stall() -> Option<Duration> {
    with(|state| {
        let (_, number) = state.decisions.meet("schedule", &[Kind::Late])?;
        Some(clock::time() + moment(number))
    })
    .flatten()
}

/// Holds some of these events back, adds those that are due, and chooses their order.
fn sift(epoll: RawFd, sources: Vec<Source>, holds: bool) -> Vec<Source> {
    with(|state| {
        let mut passed = Vec::new();
        for source in sources {
            match state.decisions.meet("event", if holds { &[Kind::Held] } else { &[] }) {
                Some((_, number)) => {
                    let at = clock::time() + moment(number);
                    match state.ready.what(epoll, source) {
                        Some(what) => state.ready.held.push(Held { at, epoll, what }),
                        None => passed.push(source),
                    }
                }
                None => passed.push(source),
            }
        }
        let is_end = |source: &Source| match state.ready.what(epoll, *source) {
            Some(What::Handle(fd, _)) => state.children.is_pidfd(fd),
            _ => false,
        };
        if passed.iter().any(is_end) {
            // Before a process counts as ended the kernel has closed what it had open.
            state.ready.hasten(epoll, clock::time());
        }
        passed.extend(state.ready.take_due(epoll, clock::time()));
        if passed.len() > 1
            && let Some((_, number)) = state.decisions.meet("order", &[Kind::Shuffled])
        {
            let len = passed.len();
            for index in 0..len {
                passed.swap(index, (number >> (index % 32)) as usize % len);
            }
        }
        passed
    })
    .unwrap_or_default()
}
