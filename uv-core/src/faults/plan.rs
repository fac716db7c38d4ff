//! Which faults a world injects: the seed, the kinds that it draws from, and the record of what was injected.

use super::clock;
use crate::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// How a world treats the system calls.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) seed: u64,
    /// Of 1024 calls that a kind of fault may meet, so many meet it.
    pub(super) rate: u64,
    /// The only faults to inject, by their numbers; all if `None`.
    pub(super) only: Option<BTreeSet<u64>>,
    pub(super) turns_per_second: u64,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The call fails with this error.
    Refused(Errno),
    /// The call transfers fewer bytes or descriptors than it could.
    Short,
    /// An event is reported later than the kernel knew of it.
    Held,
    /// The events of one wait come in another order.
    Shuffled,
    /// A job of the pool takes its time, or a loop's thread runs later than it could.
    Late,
}

/// A fault that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The number of the decision, which is the same in every run of the seed that gets there.
    pub number: u64,
    /// The call, as the trace names it, or what else was decided: `event`, `order`, `job`, `schedule`.
    pub call: &'static str,
    /// How often the call had been made in this world before.
    pub occurrence: u64,
    /// What happened to it.
    pub kind: Kind,
    /// How long a shortage lasts: further calls meet it, too, without being faults of their own.
    pub lasts: Duration,
}

impl Plan {
    /// The faults of a seed. A seed also decides how many and which kinds of faults there are: some worlds are without any, and
    /// some have many of one kind, which finds more than the same mixture always.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rate = [0, 8, 32, 96, 256][(mix(seed ^ 0x5eed) % 5) as usize];
        Self { seed, rate, only: None, turns_per_second: 20_000 }
    }

    /// Injects no fault but these, by their numbers.
    #[must_use]
    pub fn only(mut self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.only = Some(numbers.into_iter().collect());
        self
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Of 1024 calls that a kind of fault may meet, so many meet it. Default: chosen by the seed.
    #[must_use]
    pub fn rate(mut self, rate: u64) -> Self {
        self.rate = rate;
        self
    }

    /// A loop that takes more turns than this in a second of virtual time spins. Default: 20,000.
    #[must_use]
    pub fn turns_per_second(mut self, turns: u64) -> Self {
        self.turns_per_second = turns;
        self
    }
}

/// The decisions of one world.
pub(super) struct Decisions {
    plan: Plan,
    /// How often each call was made.
    occurrences: BTreeMap<&'static str, u64>,
    injected: Vec<Fault>,
    shortages: Vec<Shortage>,
    is_calm: bool,
}

impl Decisions {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            occurrences: BTreeMap::new(),
            injected: Vec::new(),
            shortages: Vec::new(),
            is_calm: false,
        }
    }

    pub(super) fn injected(&self) -> &[Fault] {
        &self.injected
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn calm(&mut self) {
        self.is_calm = true;
    }

    /// The next number about `what`, and how often it was asked for before.
    fn next(&mut self, what: &'static str) -> (u64, u64) {
        let occurrence = self.occurrences.entry(what).or_default();
        let before = *occurrence;
        *occurrence += 1;
        (mix(mix(self.plan.seed ^ hash(what)) ^ before), before)
    }

    pub(super) fn number(&mut self, what: &'static str) -> u64 {
        self.next(what).0
    }

    /// Decides whether the next `call` meets one of these kinds. Returns the kind and a number for its details.
    pub(super) fn meet(&mut self, call: &'static str, kinds: &[Kind]) -> Option<(Kind, u64)> {
        self.meet_if(call, kinds, |_| true)
    }

    /// As [`meet`](Self::meet), for kinds of which only some are possible now.
    pub(super) fn meet_if(
        &mut self,
        call: &'static str,
        kinds: &[Kind],
        is_possible: impl Fn(Kind) -> bool,
    ) -> Option<(Kind, u64)> {
        let (number, occurrence) = self.next(call);
        if self.is_calm {
            return None;
        }
        let details = mix(number ^ 1);
        if let Some(kind) = self.lasting(call, kinds).filter(|kind| is_possible(*kind)) {
            log::trace!(target: "faults", "{call} number {occurrence}: still {kind}");
            return Some((kind, details));
        }
        if kinds.is_empty() || number % 1024 >= self.plan.rate {
            return None;
        }
        let kind = kinds[(mix(number) % kinds.len() as u64) as usize];
        // Half of the kinds of each call do not happen under a seed.
        if mix(self.plan.seed ^ hash(call) ^ kind.code()) & 1 == 0 || !is_possible(kind) {
            return None;
        }
        let known = hash(call) ^ occurrence;
        if self.plan.only.as_ref().is_some_and(|only| !only.contains(&known)) {
            return None;
        }
        let lasts = if kind.is_shortage() && mix(number ^ 2) & 3 == 0 {
            moment(mix(number ^ 3))
        } else {
            Duration::ZERO
        };
        if !lasts.is_zero() {
            self.shortages.push(Shortage { call, kind, until: clock::time() + lasts });
        }
        let fault = Fault { number: known, call, occurrence, kind, lasts };
        log::trace!(target: "faults", "{fault}");
        self.injected.push(fault);
        Some((kind, details))
    }

    /// The kind that this call meets since a shortage lasts.
    fn lasting(&mut self, call: &'static str, kinds: &[Kind]) -> Option<Kind> {
        let now = clock::time();
        self.shortages.retain(|shortage| shortage.until > now);
        let meets = |shortage: &&Shortage| {
            kinds.contains(&shortage.kind) && (shortage.call == call || shortage.kind.is_of_all_calls())
        };
        self.shortages.iter().find(meets).map(|shortage| shortage.kind)
    }
}

/// Something that is lacking for a while.
struct Shortage {
    /// The call that met it first.
    call: &'static str,
    kind: Kind,
    until: Duration,
}

/// How long something lasts, or how late it is: mostly a moment, sometimes longer than a timeout.
pub(super) fn moment(number: u64) -> Duration {
    let bound = [50, 2_000, 50_000, 3_000_000][(number % 64 / 21) as usize];
    Duration::from_micros((number >> 8) % bound)
}

impl Kind {
    /// Whether it may last: what is lacking now may be lacking for a while.
    fn is_shortage(self) -> bool {
        let Self::Refused(errno) = self else { return false };
        matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::ETOOMANYREFS)
    }

    /// Whether no call gets what is lacking: a process without descriptors has none for any call.
    fn is_of_all_calls(self) -> bool {
        matches!(self, Self::Refused(Errno::EMFILE | Errno::ENFILE))
    }

    fn code(self) -> u64 {
        match self {
            Self::Refused(errno) => errno.raw() as u64,
            Self::Short => 1 << 32,
            Self::Held => 2 << 32,
            Self::Shuffled => 3 << 32,
            Self::Late => 4 << 32,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => f.write_str(errno.name()),
            Self::Short => f.write_str("cut short"),
            Self::Held => f.write_str("held back"),
            Self::Shuffled => f.write_str("shuffled"),
            Self::Late => f.write_str("late"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} number {}: {}", self.call, self.occurrence, self.kind)?;
        if self.lasts.is_zero() { Ok(()) } else { write!(f, " for {:?}", self.lasts) }
    }
}

/// The finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// FNV-1a.
fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
