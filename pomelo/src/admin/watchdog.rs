//! The servers that have registered with the master, and the servers that subscribe to changes. Mirrors pomelo's `lib/master/watchdog.js`.

use crate::admin::master_agent::MasterAgent;
use crate::admin::registration::ServerClaim;
use crate::admin::requests::{Request, RequestError};
use crate::admin::watcher::MONITOR_WATCHER;
use crate::record::text;
use crate::{Application, ServerInfo};
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

/// The servers of a master. A cheap clone.
#[derive(Clone)]
pub(crate) struct Watchdog(Rc<WatchdogInner>);

struct WatchdogInner {
    app: Application,
    /// Records by id, without the master's own, which has no type.
    servers: RefCell<Map<String, Value>>,
    listeners: RefCell<BTreeSet<String>>,
    /// The servers of the configuration, and the master, that have reported their start; a server that has left counts
    /// again once it has reconnected.
    started: RefCell<BTreeSet<String>>,
    is_all_started: Cell<bool>,
    /// Those that could not be told that all have started.
    untold: RefCell<BTreeSet<String>>,
}

impl Watchdog {
    pub(crate) fn new(app: &Application) -> Self {
        Self(Rc::new(WatchdogInner {
            app: app.clone(),
            servers: RefCell::default(),
            listeners: RefCell::default(),
            started: RefCell::default(),
            is_all_started: Cell::new(false),
            untold: RefCell::default(),
        }))
    }

    /// Adds a server that has registered, and tells the subscribers, to which the server itself does not belong yet.
    pub(crate) fn add(&self, agent: &MasterAgent, claim: &ServerClaim) {
        self.0.started.borrow_mut().remove(&claim.id);
        self.0.untold.borrow_mut().remove(&claim.id);
        if is_watched(claim) {
            self.0.servers.borrow_mut().insert(claim.id.clone(), json!(claim.info));
            self.tell(agent, json!({ "action": "addServer", "server": claim.info }));
        }
    }

    /// Adds a server that has reconnected: it is told of all servers, the subscribers are told of it, and it becomes a
    /// subscriber. So does the master's own monitor, of which the subscribers are not told.
    pub(crate) fn add_again(&self, agent: &MasterAgent, claim: &ServerClaim) {
        if is_watched(claim) {
            self.0.servers.borrow_mut().insert(claim.id.clone(), json!(claim.info));
        }
        let all = json!({ "action": "replaceServer", "servers": *self.0.servers.borrow() });
        ask(agent, &claim.id, Rc::new(all), |_| {});
        if is_watched(claim) {
            self.tell(agent, json!({ "action": "addServer", "server": claim.info }));
        }
        self.subscribe(&claim.id);
        self.tell_all_started(agent);
        let is_untold = self.0.untold.borrow_mut().remove(&claim.id);
        if is_untold {
            self.tell_start(agent, &claim.id);
        }
    }

    pub(crate) fn remove(&self, agent: &MasterAgent, id: &str) {
        self.unsubscribe(id);
        self.0.servers.borrow_mut().remove(id);
        self.tell(agent, json!({ "action": "removeServer", "id": id }));
    }

    pub(crate) fn subscribe(&self, id: &str) {
        self.0.listeners.borrow_mut().insert(id.to_owned());
    }

    pub(crate) fn unsubscribe(&self, id: &str) {
        self.0.listeners.borrow_mut().remove(id);
    }

    pub(crate) fn query(&self) -> Value {
        json!(*self.0.servers.borrow())
    }

    /// Notes that a server has started. Once all servers of the configuration and the master have, the subscribers are
    /// told. Unlike in Node a server that reports twice counts once, a server that has left does not count, and no server
    /// counts for another.
    pub(crate) fn record(&self, agent: &MasterAgent, id: &str) {
        // Others are not waited for, and any number of them may come and leave.
        if self.0.is_all_started.get() || !self.awaited().any(|awaited| awaited == id) {
            return;
        }
        self.0.started.borrow_mut().insert(id.to_owned());
        self.tell_all_started(agent);
    }

    /// The ids of the servers that have to start: those of the configuration, and the master.
    fn awaited(&self) -> impl Iterator<Item = &str> {
        let configured = self.0.app.servers_from_config().iter();
        configured.filter_map(|info| text(info, "id")).chain([self.0.app.id()])
    }

    fn tell_all_started(&self, agent: &MasterAgent) {
        if self.0.is_all_started.get() {
            return;
        }
        let is_here = |id: &str| id == self.0.app.id() || self.0.servers.borrow().contains_key(id);
        let has_started = |id: &str| is_here(id) && self.0.started.borrow().contains(id);
        if !self.awaited().all(has_started) {
            return;
        }
        self.0.is_all_started.set(true);
        self.0.started.take();
        let took = self.0.app.uptime().as_millis();
        log::info!(target: "pomelo", "all servers startup in {took} ms");
        let listeners = self.0.listeners.borrow();
        self.0
            .untold
            .borrow_mut()
            .extend(self.awaited().filter(|id| !listeners.contains(*id)).map(str::to_owned));
        listeners.iter().for_each(|id| self.tell_start(agent, id));
    }

    /// Tells a server that all have started, unless it is lost meanwhile: then it is told when it comes back.
    fn tell_start(&self, agent: &MasterAgent, id: &str) {
        let (watchdog, server) = (Rc::downgrade(&self.0), id.to_owned());
        ask(agent, id, Rc::new(json!({ "action": "startOver" })), move |is_told| {
            let Some(watchdog) = watchdog.upgrade().map(Self).filter(|_| !is_told) else { return };
            if watchdog.awaited().any(|awaited| awaited == server) {
                watchdog.0.untold.borrow_mut().insert(server);
            }
        });
    }

    fn tell(&self, agent: &MasterAgent, message: Value) {
        let message = Rc::new(message);
        for id in &*self.0.listeners.borrow() {
            ask(agent, id, Rc::clone(&message), |_| {});
        }
    }
}

/// Whether other servers are told of a server: not of the master's own monitor.
fn is_watched(claim: &ServerClaim) -> bool {
    claim.info.contains_key("serverType")
}

/// Sends a message to the watcher of one server, which answers 1; `then` is called with whether it has. A server that comes
/// back is sent all servers, and not what it has missed: another process of its id would take that for the present.
fn ask(agent: &MasterAgent, id: &str, message: Rc<Value>, then: impl FnOnce(bool) + 'static) {
    let (server, sent) = (id.to_owned(), Rc::clone(&message));
    agent.request_with(id, Request::new(MONITOR_WATCHER, message).once(), move |response| {
        let is_done = matches!(&response, Ok(response) if response.data() == Some(&Value::from(1)));
        match response {
            Ok(_) if is_done => {}
            Ok(_) => log::error!(target: "pomelo", "server {server:?} refused: {}", action(&sent)),
            // It has left meanwhile, of which the subscribers are told.
            Err(RequestError::NotConnected) => {
                log::debug!(target: "pomelo", "server {server:?} left before {}", action(&sent));
            }
            Err(error) => log::error!(target: "pomelo", "server {server:?}: {}: {error}", action(&sent)),
        }
        then(is_done);
    });
}

fn action(message: &Value) -> &str {
    message.get("action").and_then(Value::as_str).unwrap_or_default()
}

/// The records in a map by ids.
pub(crate) fn records(servers: Value) -> Vec<ServerInfo> {
    let Value::Object(servers) = servers else { return Vec::new() };
    let record = |server| match server {
        Value::Object(info) => Some(info),
        _ => None,
    };
    servers.into_iter().filter_map(|(_, server)| record(server)).collect()
}

#[cfg(test)]
mod tests {
    use super::Watchdog;
    use crate::admin::{Credentials, MasterAgent, MasterOptions};
    use crate::{Application, Options};
    use async_wrap::Environment;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn only_servers_of_the_configuration_are_remembered_as_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config");
        fs::create_dir(&config).expect("a folder");
        let write = |name, text| fs::write(config.join(name), text).expect("a file");
        write("master.json", r#"{"id": "master-1", "host": "127.0.0.1", "port": 3005}"#);
        write("servers.json", r#"{"chat": [{"id": "chat-1", "host": "127.0.0.1", "port": 6050}]}"#);
        let env = Environment::with_new_loop().expect("a loop");
        let app = Application::new(&env, Options::new(folder.path())).expect("a good configuration");
        let agent = MasterAgent::new(&env, MasterOptions::new(Credentials::new()), ()).expect("an agent");
        let watchdog = Watchdog::new(&app);
        for number in 0..1000 {
            watchdog.record(&agent, &format!("visitor-{number}"));
        }
        watchdog.record(&agent, "chat-1");
        assert_eq!(*watchdog.0.started.borrow(), BTreeSet::from(["chat-1".to_owned()]));
    }
}
