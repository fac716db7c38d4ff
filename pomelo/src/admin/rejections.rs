//! What a master logs of peers that it sends away: the first of a kind at once, then how many there were, once in a
//! while. Whoever can reach the port could otherwise fill the log.

use async_wrap::Environment;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How long a kind is only counted after a line of it.
const QUIET: Duration = Duration::from_secs(10);

/// The most characters of a peer's own words in one line.
const MAX_SHOWN: usize = 80;

/// Why a peer was sent away, or a request refused; each kind is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Bytes or messages that the protocol does not have.
    Protocol,
    /// A user or a server that is not let in.
    Registration,
    /// A connection that never registered.
    Unregistered,
    /// A peer that is silent, or does not read.
    Silent,
    /// A request that its user may not make.
    Permission,
    /// A response to nothing.
    Response,
}

/// What is logged of a master's peers. A cheap clone.
#[derive(Clone)]
pub(crate) struct Rejections(Rc<RejectionsInner>);

struct RejectionsInner {
    env: Environment,
    /// The kinds of which a line was written a short while ago, and how many have come since.
    untold: RefCell<BTreeMap<Kind, u64>>,
}

impl Rejections {
    pub(crate) fn new(env: &Environment) -> Self {
        Self(Rc::new(RejectionsInner { env: env.clone(), untold: RefCell::default() }))
    }

    /// Logs a line, or counts it.
    pub(crate) fn tell(&self, kind: Kind, line: impl Display) {
        if let Some(count) = self.0.untold.borrow_mut().get_mut(&kind) {
            *count += 1;
            return;
        }
        log::warn!(target: "pomelo", "{line}");
        self.be_quiet(kind);
    }

    fn be_quiet(&self, kind: Kind) {
        self.0.untold.borrow_mut().insert(kind, 0);
        let weak = Rc::downgrade(&self.0);
        let timer = self.0.env.set_timeout(QUIET, move || Self::count(&weak, kind));
        timer.unref();
    }

    fn count(inner: &Weak<RejectionsInner>, kind: Kind) {
        let Some(this) = inner.upgrade().map(Self) else { return };
        let count = this.0.untold.borrow_mut().remove(&kind).unwrap_or_default();
        if count > 0 {
            log::warn!(target: "pomelo", "{count} more were rejected within {QUIET:?}: {}", kind.name());
            this.be_quiet(kind);
        }
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Protocol => "what they sent is not of the protocol",
            Self::Registration => "registrations refused",
            Self::Unregistered => "connections that did not register",
            Self::Silent => "peers that are silent or do not read",
            Self::Permission => "requests without the permission",
            Self::Response => "responses to nothing",
        }
    }
}

/// A peer's own words, for a log or a terminal: quoted, nothing in them steers a terminal, and not without end.
pub(crate) fn shown(text: &str) -> String {
    let mut cut = text.chars();
    let short: String = cut.by_ref().take(MAX_SHOWN).collect();
    let rest = if cut.as_str().is_empty() { "" } else { "…" };
    // As a `{:?}` shows it: controls, and what turns the direction of writing, as escapes.
    format!("{short:?}{rest}")
}
