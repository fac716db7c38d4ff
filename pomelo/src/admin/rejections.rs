//! The log lines about rejected peers: the first of a kind at once, then a count at intervals. Otherwise any peer that can
//! reach the port could fill the log.

use async_wrap::Environment;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The time after a line in which its kind is only counted.
const QUIET: Duration = Duration::from_secs(10);

/// The most characters of a peer's text in one line.
const MAX_SHOWN: usize = 80;

/// The kinds of rejections, which are counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A breach of the protocol.
    Protocol,
    /// A registration that is refused.
    Registration,
    /// A connection that never registered.
    Unregistered,
    /// A peer that is silent, or does not read.
    Silent,
    /// A request for which the user lacks the permission.
    Permission,
    /// A response to no request.
    Response,
}

/// The rejections of one agent. A cheap clone.
#[derive(Clone)]
pub(crate) struct Rejections(Rc<RejectionsInner>);

struct RejectionsInner {
    env: Environment,
    /// The kinds of recent lines, with the number of rejections since.
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
            Self::Protocol => "breaches of the protocol",
            Self::Registration => "registrations refused",
            Self::Unregistered => "connections that did not register",
            Self::Silent => "peers that are silent or do not read",
            Self::Permission => "requests without permission",
            Self::Response => "responses to no request",
        }
    }
}

/// A peer's text for a log or a terminal: quoted, without control sequences, and cut to a length.
pub(crate) fn shown(text: &str) -> String {
    let mut cut = text.chars();
    let short: String = cut.by_ref().take(MAX_SHOWN).collect();
    let rest = if cut.as_str().is_empty() { "" } else { "…" };
    // `{:?}` escapes control characters and those that change the direction of writing.
    format!("{short:?}{rest}")
}
