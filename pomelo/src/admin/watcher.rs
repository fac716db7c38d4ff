//! The two modules by which servers know of each other: `__masterwatcher__` answers in the master, `__monitorwatcher__`
//! asks and listens in every server. Mirrors pomelo's `lib/modules/masterwatcher.js` and `monitorwatcher.js`.

use crate::admin::agent::Agent;
use crate::admin::master_agent::MasterAgent;
use crate::admin::monitor_agent::{MonitorAgent, MonitorState};
use crate::admin::reply::Reply;
use crate::admin::watchdog::{Watchdog, records};
use crate::upcall::Module;
use crate::{AppEvent, Application, Completion, State};
use serde_json::{Value, json};

/// The module in the master.
pub(crate) const MASTER_WATCHER: &str = "__masterwatcher__";
/// The module in every server, the master included.
pub(crate) const MONITOR_WATCHER: &str = "__monitorwatcher__";

/// The answers of a watcher, which stand in the place of the error.
const OK: i64 = 1;
const FAIL: i64 = 0;

pub(crate) struct MasterWatcher {
    watchdog: Watchdog,
}

impl MasterWatcher {
    pub(crate) const fn new(watchdog: Watchdog) -> Self {
        Self { watchdog }
    }
}

fn text<'a>(message: &'a Value, key: &str) -> Option<&'a str> {
    message.get(key).and_then(Value::as_str)
}

impl Module for MasterWatcher {
    fn on_master(&mut self, agent: &MasterAgent, message: Option<Value>, reply: Reply) {
        let message = message.unwrap_or_default();
        let action = text(&message, "action").unwrap_or_default();
        // Only ids of registered servers: others are not remembered.
        let id = text(&message, "id").filter(|id| agent.server(id).is_some());
        match (action, id) {
            ("query", _) => reply.ok(self.watchdog.query()),
            ("subscribe", Some(id)) => {
                self.watchdog.subscribe(id);
                reply.ok(self.watchdog.query());
            }
            ("unsubscribe", Some(id)) => {
                self.watchdog.unsubscribe(id);
                reply.ok(Value::Null);
            }
            ("record", Some(id)) => {
                self.watchdog.record(agent, id);
                reply.ok(Value::Null);
            }
            ("subscribe" | "unsubscribe" | "record", None) => {
                reply.fail(format_args!("masterwatcher {action} of an unknown server"));
            }
            _ => reply.fail("masterwatcher unknown action"),
        }
    }
}

pub(crate) struct MonitorWatcher {
    app: Application,
}

impl MonitorWatcher {
    /// The watcher, which reports the start of this server.
    pub(crate) fn new(app: &Application) -> Self {
        app.on(|app: &Application, event: &AppEvent| {
            if let (AppEvent::StartServer(_), Some(agent)) = (event, app.monitor_agent()) {
                report_start(&agent);
            }
        });
        Self { app: app.clone() }
    }

    /// Obeys a message. Returns whether it could.
    fn obey(&self, message: &mut Value) -> bool {
        let action = text(message, "action").unwrap_or_default().to_owned();
        match (action.as_str(), message) {
            ("addServer", message) => match message.get_mut("server").map(Value::take) {
                Some(Value::Object(info)) => self.app.add_servers(vec![info]),
                _ => return false,
            },
            ("removeServer", message) => match text(message, "id") {
                Some(id) => self.app.remove_servers(&[id.to_owned()]),
                None => return false,
            },
            ("replaceServer", message) => match message.get_mut("servers").map(Value::take) {
                Some(servers @ Value::Object(_)) => self.app.replace_servers(records(servers)),
                _ => return false,
            },
            ("startOver", _) => self.app.all_started(),
            _ => {
                log::info!(target: "pomelo", "monitorwatcher unknown action: {action:?}");
                return false;
            }
        }
        true
    }
}

/// Reports to the master that this server has started.
fn report_start(agent: &MonitorAgent) {
    // Without a connection it is repeated when the server is back.
    agent.notify(MASTER_WATCHER, &json!({ "action": "record", "id": agent.id() }));
}

impl Module for MonitorWatcher {
    /// Asks for all servers, and subscribes to changes.
    fn on_start(&mut self, agent: &Agent, done: Completion) {
        let Agent::Monitor(agent) = agent else { return done.ok(()) };
        let (app, asking) = (self.app.clone(), agent.clone());
        let message = json!({ "action": "subscribe", "id": agent.id() });
        agent.request(MASTER_WATCHER, message, move |response| match response {
            Ok(response) => match response.error_text() {
                None => {
                    app.add_servers(records(response.body.unwrap_or_default()));
                    done.ok(());
                }
                Some(error) => done.fail(error),
            },
            // The connection was lost meanwhile: after the reconnect the master sends all servers, and changes.
            Err(_) if asking.state() == MonitorState::Lost => done.ok(()),
            Err(error) => done.fail(error),
        });
    }

    fn on_monitor(&mut self, agent: &MonitorAgent, message: Option<Value>, reply: Reply) {
        let mut message = message.unwrap_or_default();
        let is_back = text(&message, "action") == Some("replaceServer");
        reply.single(if self.obey(&mut message) { OK } else { FAIL });
        if is_back && self.app.state() == State::Started && !self.app.has_all_started() {
            // A report may have been lost with the connection. In Node every report counts, so that a repeated one stands for
            // another server's.
            report_start(agent);
        }
    }
}
