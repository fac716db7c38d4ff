//! The laws of the loop, checked by what is traced anyway: no upcall inside of a downcall, none after the handle was closed but
//! for what was pending and `on_close`, none after `on_close`; each request that ends is told, once; no loop that spins.

use super::{is_on, with};
use crate::Errno;
use crate::layer::trace::Facts;
use crate::traced;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

/// The layer whose laws these are.
const LAYER: &str = "uv_core";

/// Upcalls that a closing handle still makes, for what was pending.
const AFTER_CLOSE: &[&str] = &[
    traced::ON_WRITE,
    traced::ON_SHUTDOWN,
    traced::ON_CONNECT,
    traced::ON_SEND,
    traced::ON_CLOSE,
    traced::ON_CLOSE_LISTENING,
    traced::ON_CLOSE_UDP,
];

/// The last upcalls of a handle.
const LAST: &[&str] = &[traced::ON_CLOSE, traced::ON_CLOSE_LISTENING, traced::ON_CLOSE_UDP];

/// The upcalls that tell of a request's end.
const COMPLETIONS: &[&str] =
    &[traced::ON_WRITE, traced::ON_SHUTDOWN, traced::ON_CONNECT, traced::ON_SEND, traced::AFTER_WORK];

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub(super) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Default)]
pub(super) struct Laws {
    violations: Vec<Violation>,
    turns: u64,
    /// By their epoll descriptors.
    loops: BTreeMap<RawFd, Turns>,
    /// The loop whose turn it is.
    current: RawFd,
    /// The calls of this layer that are open, the innermost last: whether each is an upcall.
    open: Vec<(u64, bool)>,
    last_open: u64,
    /// By the loop's number and the handle's.
    handles: BTreeMap<(u32, u32), Closing>,
    /// Laws that were reported already, since one mistake is often made again and again.
    reported: BTreeSet<String>,
}

/// The turns of a loop.
#[derive(Default)]
struct Turns {
    /// Since the begin of this second.
    recent: (u64, Duration),
    /// Since something was called, sent, received or accepted, in this second.
    idle: u64,
    /// Requests that have ended and are not told yet.
    untold: u64,
}

/// Turns in which nothing happens that a loop may take one after the other in a second: events that are of no use come one by
/// one, and what the system refuses for a while is tried again a hundred times a second, but no loop needs this many.
const IDLE_TURNS: u64 = 200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Asked,
    /// With its last upcall so far.
    Done(&'static str),
}

/// A traced call that is open.
#[derive(Debug)]
pub(crate) struct Span(u64);

impl Laws {
    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    pub(super) fn violate(&mut self, law: String) {
        log::trace!(target: "faults", "BROKEN LAW: {law}");
        if self.reported.insert(law.clone()) {
            self.violations.push(Violation(law));
        }
    }

    pub(super) fn new_loop(&mut self, epoll: RawFd) {
        self.loops.insert(epoll, Turns::default());
    }

    /// Returns what is wrong if the loop spins.
    pub(super) fn begin_turn(&mut self, epoll: RawFd, now: Duration, bound: u64) -> Option<&'static str> {
        self.turns += 1;
        self.current = epoll;
        let turns = self.loops.entry(epoll).or_default();
        let (count, since) = &mut turns.recent;
        if now.saturating_sub(*since) >= Duration::from_secs(1) {
            (*count, *since) = (0, now);
            turns.idle = 0;
        }
        *count += 1;
        turns.idle += 1;
        let untold = std::mem::take(&mut turns.untold);
        let (is_busy, is_idle) = (*count > bound, turns.idle > IDLE_TURNS);
        if untold > 0 {
            self.violate("a request has ended and is not told".to_owned());
        }
        match () {
            () if is_idle => Some("the loop spins: it takes turn after turn in which nothing happens"),
            () if is_busy => Some("the loop spins: it takes too many turns in a second"),
            () => None,
        }
    }

    /// Something happens in this turn.
    fn progress(&mut self) {
        if let Some(turns) = self.loops.get_mut(&self.current) {
            turns.idle = 0;
        }
    }

    /// A request of a loop has ended. It is told next.
    fn end_request(&mut self, epoll: RawFd) {
        self.loops.entry(epoll).or_default().untold += 1;
    }

    /// A request is told: to a handle's loop, or to the one whose turn it is.
    fn told(&mut self, call: &str, epoll: Option<RawFd>) {
        let turns = self.loops.entry(epoll.unwrap_or(self.current)).or_default();
        match turns.untold.checked_sub(1) {
            Some(untold) => turns.untold = untold,
            None => self.violate(format!("{call} without a request that has ended")),
        }
    }

    fn up(&mut self, call: &'static str, handle: Option<(u32, u32)>, epoll: Option<RawFd>) {
        self.progress();
        if COMPLETIONS.contains(&call) {
            self.told(call, epoll);
        }
        if self.open.last().is_some_and(|(_, is_up)| !is_up) {
            self.violate(format!("{call} inside of a downcall"));
        }
        let Some(key) = handle else { return };
        let is_last = LAST.contains(&call);
        match self.handles.get(&key) {
            // A listener tells its stream's upcall first.
            Some(Closing::Done(traced::ON_CLOSE)) if call == traced::ON_CLOSE_LISTENING => {}
            Some(Closing::Done(_)) => self.violate(format!("{call} after on_close")),
            Some(Closing::Asked) if !AFTER_CLOSE.contains(&call) => {
                self.violate(format!("{call} after close"));
            }
            _ => {}
        }
        if is_last {
            self.handles.insert(key, Closing::Done(call));
        }
    }
}

/// A loop begins to run: what happens before its wait is its own.
pub(crate) fn begin_run(epoll: RawFd) {
    with(|state| state.laws.current = epoll);
}

/// A request of a loop has ended, of those that `are_open`.
pub(crate) fn end_request(epoll: RawFd, are_open: usize) {
    with(|state| {
        if are_open == 0 {
            state.laws.violate("a request has ended twice".to_owned());
        }
        state.laws.end_request(epoll);
    });
}

/// The outcome of a system call: a loop in whose turn bytes or connections are transferred does not spin.
pub(crate) fn progress<T>(outcome: Result<T, Errno>) -> Result<T, Errno> {
    if outcome.is_ok() {
        with(|state| state.laws.progress());
    }
    outcome
}

impl Span {
    /// A call of a layer begins; `is_up` is `None` for what is neither an upcall nor a downcall. Also returns the facts, which
    /// are computed once.
    pub(crate) fn begin(
        layer: &'static str,
        is_up: Option<bool>,
        call: &'static str,
        facts: impl FnOnce() -> Facts,
    ) -> (Option<Self>, impl FnOnce() -> Facts) {
        let mut facts = Some(facts);
        let watched = is_up.filter(|_| layer == LAYER && is_on());
        let known = watched.and_then(|_| Some(facts.take()?()));
        let span = watched.zip(known.as_ref()).and_then(|(is_up, facts)| Self::open(is_up, call, facts));
        (span, move || known.or_else(|| Some(facts?())).unwrap_or_default())
    }

    fn open(is_up: bool, call: &'static str, facts: &Facts) -> Option<Self> {
        with(|state| {
            let laws = &mut state.laws;
            let epoll = facts.handle().map(|(epoll, _)| epoll);
            let handle = facts.handle().map(|(epoll, handle)| (state.ready.loop_number(epoll), handle));
            if is_up {
                laws.up(call, handle, epoll);
            } else if call == traced::CLOSE
                && let Some(handle) = handle
            {
                laws.handles.entry(handle).or_insert(Closing::Asked);
            }
            laws.last_open += 1;
            laws.open.push((laws.last_open, is_up));
            Self(laws.last_open)
        })
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        with(|state| state.laws.open.retain(|(open, _)| *open != self.0));
    }
}
