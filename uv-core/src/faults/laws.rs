//! The laws of the loop, checked by what is traced anyway: no upcall inside of a downcall, none after the handle was closed but
//! for what was pending and `on_close`, none after `on_close`; no loop that spins.

use super::{is_on, with};
use crate::layer::trace::Facts;
use crate::traced;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// The layer whose laws these are.
const LAYER: &str = "uv_core";

/// Upcalls that a closing handle still makes, for what was pending.
const AFTER_CLOSE: &[&str] = &[
    traced::ON_WRITE,
    traced::ON_SHUTDOWN,
    traced::ON_CONNECT,
    traced::ON_CLOSE,
    traced::ON_CLOSE_LISTENING,
];

/// The last upcalls of a handle.
const LAST: &[&str] = &[traced::ON_CLOSE, traced::ON_CLOSE_LISTENING];

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
    activity: u64,
    /// Turns since the begin of this second.
    recent: (u64, Duration),
    /// The calls of this layer that are open, the innermost last: whether each is an upcall.
    open: Vec<(u64, bool)>,
    last_open: u64,
    /// By the loop's number and the handle's.
    handles: BTreeMap<(u32, u32), Closing>,
    /// Laws that were reported already, since one mistake is often made again and again.
    reported: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Asked,
    Done,
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

    pub(super) fn activity(&self) -> u64 {
        self.activity
    }

    pub(super) fn act(&mut self) {
        self.activity += 1;
    }

    pub(super) fn violate(&mut self, law: String) {
        log::trace!(target: "faults", "BROKEN LAW: {law}");
        if self.reported.insert(law.clone()) {
            self.violations.push(Violation(law));
        }
    }

    /// Returns whether the loops spin.
    pub(super) fn begin_turn(&mut self, now: Duration, bound: u64) -> bool {
        self.turns += 1;
        let (count, since) = &mut self.recent;
        if now.saturating_sub(*since) >= Duration::from_secs(1) {
            (*count, *since) = (0, now);
        }
        *count += 1;
        *count > bound
    }

    fn up(&mut self, call: &str, handle: Option<(u32, u32)>) {
        if self.open.last().is_some_and(|(_, is_up)| !is_up) {
            self.violate(format!("{call} inside of a downcall"));
        }
        let Some(key) = handle else { return };
        let is_last = LAST.contains(&call);
        match self.handles.get(&key) {
            Some(Closing::Done) if !is_last => self.violate(format!("{call} after on_close")),
            Some(Closing::Asked) if !AFTER_CLOSE.contains(&call) => {
                self.violate(format!("{call} after close"));
            }
            _ => {}
        }
        if is_last {
            self.handles.insert(key, Closing::Done);
        }
    }
}

/// Reports the breach of a law unless it `holds`.
pub(crate) fn check(holds: bool, law: &str) {
    if !holds {
        with(|state| state.laws.violate(law.to_owned()));
    }
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
            let handle = facts.handle().map(|(epoll, handle)| (state.ready.loop_number(epoll), handle));
            if is_up {
                laws.up(call, handle);
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
