//! The program's additions to the admin side of its application, before the start. Mirrors `app.registerAdmin` and the
//! settings `masterConfig` and `monitorConfig` of pomelo.

use crate::admin::agent::Agent;
use crate::admin::{Fleet, MasterAgent, MonitorAgent, Times};
use crate::upcall::{Authority, Module};
use crate::{Application, Result};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Makes a module for an agent, and registers it.
type Factory = Rc<dyn Fn(&Application, &Agent)>;

/// The admin side's part of an application.
#[derive(Default)]
pub(crate) struct Admin {
    factories: RefCell<Vec<(String, Factory)>>,
    authority: RefCell<Option<Box<dyn Authority>>>,
    times: Cell<Times>,
    master: RefCell<Option<MasterAgent>>,
    monitor: RefCell<Option<MonitorAgent>>,
    fleet: RefCell<Option<Fleet>>,
}

impl Application {
    /// Adds a module to the admin console. `make` is called for each agent of this process: in a master twice, for its own
    /// agent and for that of its monitor. A module of the same id is replaced, also one of pomelo's own.
    pub fn register_admin<M: Module + 'static>(
        &self,
        id: &str,
        make: impl Fn(&Self, &Agent) -> M + 'static,
    ) -> &Self {
        let name = id.to_owned();
        let factory: Factory = Rc::new(move |app, agent| agent.register(&name, make(app, agent)));
        let mut factories = self.inner().admin.factories.borrow_mut();
        let old = factories.iter().position(|(other, _)| other == id).map(|at| factories.remove(at));
        factories.push((id.to_owned(), factory));
        drop(factories);
        // Last: the destructors of its captures may use the application.
        drop(old);
        self
    }

    /// Sets the authority of a master, which decides on registrations instead of `adminUser.json` and
    /// `adminServer.json`.
    pub fn set_authority(&self, authority: impl Authority + 'static) -> &Self {
        self.inner().admin.authority.replace(Some(Box::new(authority)));
        self
    }

    /// Sets the time limits of a master, before its start.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for a time limit of 0.
    pub fn set_admin_times(&self, times: Times) -> Result<&Self> {
        times.check()?;
        self.inner().admin.times.set(times);
        Ok(self)
    }

    pub(crate) fn admin_times(&self) -> Times {
        self.inner().admin.times.get()
    }

    /// The master's agent, once the component `__master__` has started.
    #[must_use]
    pub fn master_agent(&self) -> Option<MasterAgent> {
        self.inner().admin.master.borrow().clone()
    }

    /// The agent by which this server speaks to the master, once the component `__monitor__` is starting.
    #[must_use]
    pub fn monitor_agent(&self) -> Option<MonitorAgent> {
        self.inner().admin.monitor.borrow().clone()
    }

    /// Makes the program's modules for an agent.
    pub(crate) fn make_modules(&self, agent: &Agent) {
        let factories = self.inner().admin.factories.borrow().clone();
        factories.iter().for_each(|(_, factory)| factory(self, agent));
    }

    pub(crate) fn take_authority(&self) -> Option<Box<dyn Authority>> {
        self.inner().admin.authority.take()
    }

    /// The servers of this master.
    pub(crate) fn fleet(&self) -> Option<Fleet> {
        self.inner().admin.fleet.borrow().clone()
    }

    pub(crate) fn set_fleet(&self, fleet: Fleet) {
        self.inner().admin.fleet.replace(Some(fleet));
    }

    pub(crate) fn set_master_agent(&self, agent: Option<MasterAgent>) {
        self.inner().admin.master.replace(agent);
    }

    pub(crate) fn set_monitor_agent(&self, agent: Option<MonitorAgent>) {
        self.inner().admin.monitor.replace(agent);
    }
}

impl Admin {
    /// Drops all additions, which may hold the application, and closes the agents that a component which hung in its stop
    /// has left open: their connections would hold them.
    pub(crate) fn clear(&self) {
        drop((self.factories.take(), self.authority.take()));
        if let Some(fleet) = self.fleet.take() {
            fleet.end();
        }
        if let Some(monitor) = self.monitor.take() {
            monitor.close();
        }
        if let Some(master) = self.master.take() {
            master.close();
        }
    }
}
