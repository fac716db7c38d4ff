//! Whom a module belongs to: the agent of a master or that of a monitor.

use crate::admin::console::Console;
use crate::admin::master_agent::{MasterAgent, WeakMaster};
use crate::admin::monitor_agent::{MonitorAgent, WeakMonitor};
use async_wrap::Environment;

/// The agent of a process's console. A cheap clone.
#[derive(Clone, Debug)]
pub enum Agent {
    /// Of a master.
    Master(MasterAgent),
    /// Of a server, or of the master as one of its own servers.
    Monitor(MonitorAgent),
}

pub(crate) enum WeakAgent {
    Master(WeakMaster),
    Monitor(WeakMonitor),
}

impl Agent {
    pub(crate) fn console(&self) -> &Console {
        match self {
            Self::Master(master) => master.console(),
            Self::Monitor(monitor) => monitor.console(),
        }
    }

    pub(crate) fn environment(&self) -> &Environment {
        match self {
            Self::Master(master) => master.environment(),
            Self::Monitor(monitor) => monitor.environment(),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakAgent {
        match self {
            Self::Master(master) => WeakAgent::Master(master.downgrade()),
            Self::Monitor(monitor) => WeakAgent::Monitor(monitor.downgrade()),
        }
    }
}

impl WeakAgent {
    pub(crate) fn upgrade(&self) -> Option<Agent> {
        match self {
            Self::Master(master) => master.upgrade().map(Agent::Master),
            Self::Monitor(monitor) => monitor.upgrade().map(Agent::Monitor),
        }
    }
}
