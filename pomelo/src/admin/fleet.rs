//! The servers that a master may start: their records, which of them somebody has stopped, and their start. Mirrors
//! what pomelo's `lib/modules/console.js` and `lib/master/master.js` share: `runServer` and `STOP_SERVERS`.
//!
//! What is started are the records of the configuration and of `add`. Node starts what a server has said about itself,
//! so that whoever can register can have the master run a program of his choice.

use crate::record::text;
use crate::{Application, ServerInfo, State, starter};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A master's servers. A cheap clone.
#[derive(Clone)]
pub(crate) struct Fleet(Rc<Inner>);

struct Inner {
    app: Application,
    /// Started by `add`.
    added: RefCell<BTreeMap<String, ServerInfo>>,
    /// Stopped, killed or restarted by somebody, until they register again.
    stopped: RefCell<BTreeSet<String>>,
    /// Whether servers show tokens, so that what they say of themselves can be believed.
    has_tokens: bool,
    /// Whether all were told to end, which the master soon does too.
    is_ending: Cell<bool>,
}

impl Fleet {
    pub(crate) fn new(app: &Application, has_tokens: bool) -> Self {
        let (added, stopped) = (RefCell::default(), RefCell::default());
        Self(Rc::new(Inner { app: app.clone(), added, stopped, has_tokens, is_ending: Cell::new(false) }))
    }

    pub(crate) fn app(&self) -> &Application {
        &self.0.app
    }

    /// All servers are to end, and the master after them: nothing is started any more. (In Node a restart that is under
    /// way, or a crash just before, leaves a server behind.)
    pub(crate) fn end(&self) {
        self.0.is_ending.set(true);
    }

    /// Whether the master itself is being stopped.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_ending.get() || self.0.app.state() == State::Stopped
    }

    /// With what a server is started again.
    pub(crate) fn record(&self, id: &str) -> Option<ServerInfo> {
        let added = self.0.added.borrow().get(id).cloned();
        added.or_else(|| self.0.app.server_from_config(id).cloned())
    }

    /// These servers are to stay away.
    pub(crate) fn stop(&self, ids: impl IntoIterator<Item = String>) {
        // Only of those that can be started again, so that it stays small.
        let known = ids.into_iter().filter(|id| self.record(id).is_some());
        self.0.stopped.borrow_mut().extend(known);
    }

    pub(crate) fn is_stopped(&self, id: &str) -> bool {
        self.0.stopped.borrow().contains(id)
    }

    /// A server has registered. (In Node one that was stopped once and started again is never restarted.)
    pub(crate) fn came_up(&self, id: &str) {
        self.0.stopped.borrow_mut().remove(id);
    }

    /// Starts a server whose record was added, remembering it.
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

    /// Starts a server if its ports are free and the master goes on; succeeds when its process has been started.
    pub(crate) fn launch(&self, info: ServerInfo, then: impl FnOnce(Result<(), String>) + 'static) {
        let fleet = self.clone();
        starter::check_ports(&self.0.app, &info.clone(), move |busy| {
            if fleet.is_over() {
                return then(Err("the master stops".into()));
            }
            if let Some(port) = busy {
                log::error!(target: "pomelo", "port {port} of server {:?} is taken", text(&info, "id"));
                return then(Err("Port occupied already, check your server to add.".into()));
            }
            let started = starter::run(&fleet.0.app, &info, |_| {});
            then(started.map(drop).map_err(|error| error.to_string()));
        });
    }

    /// Ends a server's process that holds its ports although it is not registered any more, if it is sure to be that
    /// server's: on this host its command line has the server's id; on others tokens vouch for what it said.
    pub(crate) fn kill(&self, info: &ServerInfo, id: &str, pid: i32) {
        let is_sure =
            if starter::is_local(&self.0.app, info) { is_process_of(pid, id) } else { self.0.has_tokens };
        if is_sure {
            starter::kill(&self.0.app, info, pid);
        } else {
            log::error!(target: "pomelo", "process {pid} is not known to be server {id:?}; left alone");
        }
    }
}

/// Whether the command line of a process has the argument `id=ID`.
fn is_process_of(pid: i32, id: &str) -> bool {
    let wanted = format!("id={id}");
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pid > 1 && words.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes())
}
