//! What a user can do with the servers that run: stop, kill and restart them.

use super::{CONSOLE, Latch, texts};
use crate::admin::fleet::Fleet;
use crate::admin::master_agent::MasterAgent;
use crate::admin::message::Response;
use crate::admin::reply::Reply;
use crate::admin::requests::RequestError;
use crate::record::text;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Node's `process.exit(-1)`.
pub(super) const KILLED: i32 = 255;

/// Tells a server to stop.
pub(crate) fn tell_stop(agent: &MasterAgent, id: &str) {
    agent.notify(id, CONSOLE, &json!({ "signal": "stop" }));
}

/// One request of a user.
pub(super) struct Command {
    pub(super) agent: MasterAgent,
    pub(super) fleet: Fleet,
    pub(super) body: Value,
}

impl Command {
    fn ask(
        &self,
        id: &str,
        question: &Rc<Value>,
        within: Duration,
        then: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        self.agent.request_within(id, CONSOLE, Rc::clone(question), within, then);
    }

    /// Stops some servers, or all and the master.
    pub(super) fn stop(self, reply: Reply) {
        let Some(ids) = texts(&self.body, "ids") else {
            return reply.fail("Error server parameters format.");
        };
        if ids.is_empty() {
            return self.stop_all(reply);
        }
        let (there, unknown): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| self.is_server(id));
        self.fleet.stop(there.iter().cloned());
        there.iter().for_each(|id| tell_stop(&self.agent, id));
        if unknown.is_empty() {
            reply.ok(json!({ "status": "part" }));
        } else {
            reply.fail("Cannot find the server to stop.");
        }
    }

    fn stop_all(self, reply: Reply) {
        self.fleet.end();
        self.agent.notify_all(CONSOLE, &json!({ "signal": "stop" }));
        let app = self.fleet.app().clone();
        let env = app.environment().clone();
        env.set_timeout(self.agent.times().stop_after, move || {
            // Before the stop, which ends the connection.
            reply.ok(json!({ "status": "all" }));
            app.stop(true);
        });
    }

    /// Whether a server of this id is registered that is not the master.
    fn is_server(&self, id: &str) -> bool {
        self.agent.server(id).is_some_and(|claim| claim.info.contains_key("serverType"))
    }

    /// Ends every process, the master's too, without a stop.
    pub(super) fn kill(self, reply: Reply) {
        let ids = self.agent.server_ids();
        self.fleet.end();
        let silent = Rc::new(RefCell::new(ids.clone()));
        let (remained, app) = (Rc::clone(&silent), self.fleet.app().clone());
        let after = self.agent.times().kill_after;
        let latch = Latch::new(ids.len(), move || {
            let remained = remained.take();
            reply.ok(if remained.is_empty() {
                json!({ "code": "ok" })
            } else {
                json!({ "code": "remained", "serverIds": remained })
            });
            let env = app.environment().clone();
            env.set_timeout(after, move || app.exit(KILLED));
        });
        let question = Rc::new(json!({ "signal": "kill" }));
        for id in ids {
            let (silent, latch, server) = (Rc::clone(&silent), Rc::clone(&latch), id.clone());
            self.ask(&id, &question, self.agent.times().kill_within, move |response| {
                if response.is_ok_and(|response| response.data() == Some(&Value::from(server.as_str()))) {
                    silent.borrow_mut().retain(|other| *other != server);
                }
                latch.done();
            });
        }
    }

    /// Stops servers and starts them again: some, those of a type, or all but the master.
    pub(super) fn restart(self, reply: Reply) {
        let Some(ids) = self.ids_to_restart() else {
            let of_type = self.body.get("type").and_then(Value::as_str).unwrap_or_default();
            return reply.fail(format_args!("restart servers with unknown server type: {of_type}"));
        };
        let failed = Rc::new(RefCell::new(ids.clone()));
        let (all, count) = (Rc::clone(&failed), ids.len());
        let latch = Latch::new(count, move || {
            let failed = all.take();
            if count > 0 && failed.len() == count {
                reply.send(Response { body: None, ..Response::error("all servers start failed.") });
            } else {
                reply.ok(failed);
            }
        });
        for id in ids {
            let (failed, latch, server) = (Rc::clone(&failed), Rc::clone(&latch), id.clone());
            self.restart_one(&id, move |result: Result<(), String>| {
                match result {
                    Ok(()) => failed.borrow_mut().retain(|other| *other != server),
                    Err(reason) => log::error!(target: "pomelo", "restart {server:?} failed: {reason}"),
                }
                latch.done();
            });
        }
    }

    /// Which servers; nothing if there are none of the type that was asked for.
    fn ids_to_restart(&self) -> Option<Vec<String>> {
        let ids: BTreeSet<String> = texts(&self.body, "ids").unwrap_or_default().into_iter().collect();
        if !ids.is_empty() {
            // Each once, however often it is named.
            return Some(ids.into_iter().collect());
        }
        let app = self.fleet.app();
        let of_type = self.body.get("type").and_then(Value::as_str).filter(|of_type| !of_type.is_empty());
        let servers = match of_type {
            Some(of_type) => app.servers_by_type(of_type),
            None => app.servers(),
        };
        let ids: Vec<String> =
            servers.iter().filter_map(|info| text(info, "id").map(str::to_owned)).collect();
        if of_type.is_some() && ids.is_empty() { None } else { Some(ids) }
    }

    fn restart_one(&self, id: &str, then: impl FnOnce(Result<(), String>) + 'static) {
        // First: one that can not be started again is better left running.
        let Some(info) = self.fleet.record(id) else {
            return then(Err("neither in the configuration nor added".into()));
        };
        // So that it is not restarted as one that has crashed.
        self.fleet.stop([id.to_owned()]);
        let (fleet, agent, own) = (self.fleet.clone(), self.agent.clone(), id.to_owned());
        let question = Rc::new(json!({ "signal": "restart" }));
        let after = self.agent.times().restart_after;
        self.ask(id, &question, self.agent.times().answer_within, move |response| {
            if let Err(reason) = agrees(response) {
                if agent.server(&own).is_some() {
                    // It lives on, and may crash later.
                    fleet.came_up(&own);
                }
                return then(Err(reason));
            }
            let env = fleet.app().environment().clone();
            env.set_timeout(after, move || match agent.server(&own) {
                // A second process would only wait for the first one's end.
                Some(_) => then(Err("it has not ended in time, or runs again already".into())),
                None => fleet.launch(info, then),
            });
        });
    }
}

/// Whether a server that was told to restart does so: it answers with its record.
fn agrees(response: Result<Response, RequestError>) -> Result<(), String> {
    let response = response.map_err(|error| error.to_string())?;
    if response.data().is_some_and(Value::is_object) { Ok(()) } else { Err("it does not restart".into()) }
}
