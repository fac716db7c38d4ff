//! The servers that a master may start: their records, the set of stopped servers, and their start. Mirrors what pomelo's
//! `lib/modules/console.js` and `lib/master/master.js` share: `runServer` and `STOP_SERVERS`.
//!
//! Only the records of the configuration and of `add` are started. Node starts the record that a server has registered
//! with, so that any peer that can register can have the master run a program of its choice.

use crate::admin::auto_restart::Watches;
use crate::admin::ending::Ending;
use crate::admin::master_agent::MasterAgent;
use crate::admin::orders::Orders;
use crate::admin::registration::ServerClaim;
use crate::record::text;
use crate::{Application, ServerInfo, State, starter};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A master's servers. A cheap clone.
#[derive(Clone)]
pub(crate) struct Fleet(pub(super) Rc<FleetInner>);

pub(super) struct FleetInner {
    app: Application,
    /// Records that `add` has started.
    added: RefCell<BTreeMap<String, ServerInfo>>,
    /// Servers that a user has stopped or restarted, each with the process that is to end, until another one registers or is
    /// started.
    stopped: RefCell<BTreeMap<String, Option<i32>>>,
    /// Whether servers show tokens, so that their claims can be believed.
    has_tokens: bool,
    /// Whether all servers, and soon the master, are to end.
    is_ending: Cell<bool>,
    pub(super) watches: Watches,
    pub(super) orders: Orders,
    pub(super) ending: RefCell<Option<Ending>>,
}

/// A server's process, as it was when a command named it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) pid: i32,
    pub(crate) info: ServerInfo,
}

impl From<ServerClaim> for Target {
    fn from(claim: ServerClaim) -> Self {
        Self { id: claim.id, pid: claim.pid, info: claim.info }
    }
}

impl Fleet {
    pub(crate) fn new(app: &Application, has_tokens: bool) -> Self {
        Self(Rc::new(FleetInner {
            app: app.clone(),
            added: RefCell::default(),
            stopped: RefCell::default(),
            has_tokens,
            is_ending: Cell::new(false),
            watches: Watches::default(),
            orders: Orders::default(),
            ending: RefCell::default(),
        }))
    }

    pub(crate) fn app(&self) -> &Application {
        &self.0.app
    }

    /// The time on the loop's clock.
    pub(super) fn now(&self) -> Duration {
        self.0.app.environment().loop_handle().now()
    }

    /// The agent that speaks to the servers.
    pub(crate) fn agent(&self) -> Option<MasterAgent> {
        self.0.app.master_agent()
    }

    /// Whether a server of this id is registered, whatever its process.
    pub(crate) fn is_here(&self, id: &str) -> bool {
        self.agent().is_some_and(|agent| agent.has_server(id))
    }

    /// A registered server, unless it is the master.
    pub(crate) fn target(&self, id: &str) -> Option<Target> {
        self.agent()?.server(id).filter(|claim| !claim.is_master()).map(Target::from)
    }

    /// The registered servers, without the master.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let ids = self.agent().map(|agent| agent.server_ids()).unwrap_or_default();
        ids.iter().filter_map(|id| self.target(id)).collect()
    }

    /// The processes of this host that were started and have not registered.
    pub(crate) fn starting(&self) -> Vec<Target> {
        let children = self.app().inner().children.borrow().all();
        let agent = self.agent();
        let is_here = |id: &str, pid| agent.as_ref().is_some_and(|agent| agent.has_process(id, pid));
        let starting = children.into_iter().filter(|(pid, id)| !is_here(id, *pid));
        starting.map(|(pid, id)| Target { info: self.record(&id).unwrap_or_default(), id, pid }).collect()
    }

    /// Whether a process of this host was started for a server that is not registered.
    pub(crate) fn is_starting(&self, id: &str) -> bool {
        self.starting().iter().any(|target| target.id == id)
    }

    /// Whether a server's process has ended. On another host, whether the server has left.
    pub(crate) fn has_ended(&self, target: &Target) -> bool {
        let Target { id, pid, info } = target;
        if self.agent().is_some_and(|agent| agent.has_process(id, *pid)) {
            return false;
        }
        let is_child = || self.app().inner().children.borrow().has(*pid);
        let runs_here = || starter::is_local(self.app(), info) && starter::is_process_of(*pid, id);
        !is_child() && !runs_here()
    }

    /// Starts nothing from now on: all servers are to end, and the master after them. (In Node a pending restart, or a
    /// crash just before, leaves a server behind.)
    pub(crate) fn end(&self) {
        self.0.is_ending.set(true);
        self.0.watches.forget_all();
    }

    /// Whether the master itself is being stopped.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_ending.get() || self.0.app.state() == State::Stopped
    }

    /// The record with which a server is started again.
    pub(crate) fn record(&self, id: &str) -> Option<ServerInfo> {
        let added = self.0.added.borrow().get(id).cloned();
        added.or_else(|| self.0.app.server_from_config(id).cloned())
    }

    /// Marks a server as stopped, and its process, if it has one, as a process that is to end.
    pub(crate) fn stop(&self, id: &str, pid: Option<i32>) {
        // Only servers that can be started again, so that the map stays small.
        if self.record(id).is_some() {
            self.0.stopped.borrow_mut().insert(id.to_owned(), pid);
        }
    }

    /// Marks a server as not stopped.
    pub(crate) fn goes_on(&self, id: &str) {
        self.0.stopped.borrow_mut().remove(id);
    }

    pub(crate) fn is_stopped(&self, id: &str) -> bool {
        self.0.stopped.borrow().contains_key(id)
    }

    /// Notes that a server has registered. (In Node a server that was stopped once and started again is never restarted.) A
    /// process that was told to end, and only comes back after its connection was lost, is still to end.
    pub(crate) fn came_up(&self, id: &str, pid: i32) {
        let is_to_end = self.0.stopped.borrow().get(id) == Some(&Some(pid));
        if !is_to_end {
            self.goes_on(id);
        }
        self.0.watches.came_up(id, pid, self.now());
    }

    /// Starts servers one after the other, each in its own turn of the loop, so that a stop is not held up.
    pub(crate) fn start_all(&self, mut servers: std::vec::IntoIter<ServerInfo>) {
        let Some(info) = servers.next().filter(|_| !self.is_over()) else { return };
        self.start_first(info);
        let fleet = self.clone();
        self.app().environment().set_immediate(move || fleet.start_all(servers));
    }

    /// Starts a server by a record that `add` brought, and remembers the record.
    pub(crate) fn add(&self, info: ServerInfo, then: impl FnOnce(Result<(), String>) + 'static) {
        let (fleet, added) = (self.clone(), info.clone());
        self.launch(info, move |result| {
            if result.is_ok()
                && let Some(id) = text(&added, "id")
            {
                fleet.0.added.borrow_mut().insert(id.to_owned(), added.clone());
            }
            then(result);
        });
    }

    /// Starts a server, if its ports are free and the master does not stop. Succeeds when its process has been started.
    pub(crate) fn launch(&self, info: ServerInfo, then: impl FnOnce(Result<(), String>) + 'static) {
        let fleet = self.clone();
        starter::check_ports(&self.0.app, &info.clone(), move |busy| {
            if fleet.is_over() {
                return then(Err("the master stops".into()));
            }
            let id = text(&info, "id").unwrap_or_default();
            if fleet.is_here(id) || fleet.is_starting(id) {
                // Another start was ahead, while the ports were checked.
                return then(Err(format!("id has been registered. id:{}", info["id"])));
            }
            if let Some(port) = busy {
                log::error!(target: "pomelo", "port {port} of server {id:?} is taken");
                return then(Err("Port occupied already, check your server to add.".into()));
            }
            then(fleet.run(&info));
        });
    }

    /// Starts a server's process and watches for its end.
    pub(super) fn run(&self, info: &ServerInfo) -> Result<(), String> {
        let fleet = self.clone();
        let started = starter::run(&self.0.app, info, move |exit| fleet.process_ended(&exit));
        let started = started.map_err(|error| error.to_string())?;
        self.goes_on(&started.id);
        self.0.watches.starts(&started);
        Ok(())
    }

    /// Ends a server's process by SIGKILL, if it is certainly that server's: a child of this process; on this host, a
    /// process whose command line has the server's id; on other hosts, a process id that came with a token. Returns
    /// whether it is.
    pub(crate) fn kill(&self, target: &Target) -> bool {
        let Target { id, pid, info } = target;
        let is_child = self.app().inner().children.borrow().has(*pid);
        let is_sure = is_child
            || if starter::is_local(&self.0.app, info) {
                starter::is_process_of(*pid, id)
            } else {
                self.0.has_tokens && *pid > 1
            };
        if is_sure {
            starter::kill(&self.0.app, info, *pid);
        } else {
            log::error!(target: "pomelo", "process {pid} is not known to be server {id:?}; not killed");
        }
        is_sure
    }
}
