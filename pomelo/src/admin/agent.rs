//! The agent of a process's console, whichever side it is on.

use crate::admin::console::Console;
use crate::admin::master_agent::{MasterAgent, MasterAgentInner};
use crate::admin::monitor_agent::{MonitorAgent, MonitorAgentInner};
use std::ops::Deref;
use std::rc::Weak;

/// The agent to which a module belongs. A cheap clone.
#[derive(Clone, Debug)]
pub enum Agent {
    /// The agent of a master.
    Master(MasterAgent),
    /// The agent of a server, or of the master as one of its own servers.
    Monitor(MonitorAgent),
}

/// An agent that is not kept alive.
#[derive(Clone)]
pub(crate) enum WeakAgent {
    Master(Weak<MasterAgentInner>),
    Monitor(Weak<MonitorAgentInner>),
}

impl WeakAgent {
    pub(crate) fn upgrade(&self) -> Option<Agent> {
        match self {
            Self::Master(master) => master.upgrade().map(|inner| Agent::Master(MasterAgent(inner))),
            Self::Monitor(monitor) => monitor.upgrade().map(|inner| Agent::Monitor(MonitorAgent(inner))),
        }
    }
}

impl Deref for Agent {
    type Target = Console;

    fn deref(&self) -> &Console {
        match self {
            Self::Master(master) => master,
            Self::Monitor(monitor) => monitor,
        }
    }
}
