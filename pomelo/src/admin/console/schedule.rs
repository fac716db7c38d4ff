//! The calls of a module by the clock: `pull` modules in the master, `push` modules in every monitor. Mirrors
//! `registerRecord` and `addToSchedule` of pomelo-admin's `ConsoleService`.

use crate::admin::Agent;
use std::time::Duration;

/// The side that calls a module by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The master, through `on_master` (`type: 'pull'`).
    Pull,
    /// Every monitor, the master's own included, through `on_monitor` (`type: 'push'`).
    Push,
}

/// The times at which a module is called by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The side that calls.
    pub pace: Pace,
    /// The time before the first call.
    pub delay: Duration,
    /// The time between calls, at least a millisecond. (Node rounds it up to whole seconds.)
    pub interval: Duration,
}

impl Schedule {
    pub(super) const fn is_for(&self, agent: &Agent) -> bool {
        matches!((self.pace, agent), (Pace::Pull, Agent::Master(_)) | (Pace::Push, Agent::Monitor(_)))
    }
}
