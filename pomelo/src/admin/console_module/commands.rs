//! The commands for servers that run: `stop`, `kill` and `restart`.

use super::{CONSOLE, Gather, texts};
use crate::admin::fleet::{Fleet, Target};
use crate::admin::master_agent::MasterAgent;
use crate::admin::message::Response;
use crate::admin::orders::Outcome;
use crate::admin::reply::Reply;
use crate::record::text;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Node's `process.exit(-1)`.
pub(super) const KILLED: i32 = 255;

/// The time that a process may take to end after SIGKILL, or after it agreed to end by itself.
const TO_DIE: Duration = Duration::from_secs(1);

/// pomelo's words.
const UNKNOWN: &str = "Cannot find the server to stop.";

/// Tells a server that has just registered to stop.
pub(crate) fn tell_stop(agent: &MasterAgent, id: &str) {
    agent.notify(id, CONSOLE, &json!({ "signal": "stop" }));
}

/// A command of a user.
pub(super) struct Command {
    pub(super) agent: MasterAgent,
    pub(super) fleet: Fleet,
    pub(super) body: Value,
}

impl Command {
    /// Stops some servers, or all and the master. Unlike in Node the answer comes when they have ended, and names the
    /// servers that have not.
    pub(super) fn stop(self, reply: Reply) {
        let Some(ids) = texts(&self.body, "ids") else {
            return reply.fail("Error server parameters format.");
        };
        if ids.is_empty() {
            return self.stop_all(reply);
        }
        // A server that is named twice is stopped once.
        let ids: BTreeSet<String> = ids.into_iter().collect();
        let gather = Gather::new(ids.len(), move |mut troubles: Vec<String>| {
            let mut known = BTreeSet::new();
            troubles.retain(|trouble| known.insert(trouble.clone()));
            if troubles.is_empty() {
                reply.ok(json!({ "status": "part" }));
            } else {
                reply.fail(troubles.join("; "));
            }
        });
        for id in ids {
            let gather = Rc::clone(&gather);
            self.stop_one(id, move |trouble| gather.add(trouble));
        }
    }

    fn stop_one(&self, id: String, then: impl FnOnce(Option<String>) + 'static) {
        let times = self.agent.times();
        let Some(target) = self.fleet.target(&id) else { return self.stop_coming(&id, then) };
        self.fleet.stop(&id, Some(target.pid));
        self.fleet.forget_restart(&id);
        let fleet = self.fleet.clone();
        self.fleet.order(target, "stop", [times.answer_within, times.stop_within], move |outcome| {
            match outcome {
                Outcome::Ended => then(None),
                Outcome::Obeys => then(Some(format!("server {id} has not ended yet"))),
                Outcome::Refused(reason) => {
                    fleet.goes_on(&id);
                    then(Some(format!("server {id} does not stop: {reason}")));
                }
            }
        });
    }

    /// Stops a server that has not registered yet, or waits for its next start.
    fn stop_coming(&self, id: &str, then: impl FnOnce(Option<String>) + 'static) {
        if !self.fleet.is_coming(id) {
            return then(Some(UNKNOWN.into()));
        }
        let starting = self.fleet.give_up(id).into_iter().next();
        self.fleet.stop(id, starting.as_ref().map(|target| target.pid));
        let Some(target) = starting else { return then(None) };
        let id = id.to_owned();
        self.fleet.wait_for_end(target, self.agent.times().stop_within, move |has_ended| {
            then((!has_ended).then(|| format!("server {id} has not ended yet")));
        });
    }

    fn stop_all(self, reply: Reply) {
        let app = self.fleet.app().clone();
        self.fleet.stop_all(self.agent.times().stop_after, move |left| {
            // Before the stop, which closes the connection.
            if left.is_empty() {
                reply.ok(json!({ "status": "all" }));
            } else {
                reply.fail(format_args!("the master stops, these servers do not: {}", left.join(", ")));
            }
            app.stop(true);
        });
    }

    /// Ends every process without a stop, the master's too. SIGKILL follows for a process that does not end by itself.
    pub(super) fn kill(self, reply: Reply) {
        self.fleet.end();
        let (registered, starting) = (self.fleet.targets(), self.fleet.starting());
        let (app, after) = (self.fleet.app().clone(), self.agent.times().kill_after);
        let gather = Gather::new(registered.len() + starting.len(), move |remained: Vec<String>| {
            reply.ok(if remained.is_empty() {
                json!({ "code": "ok" })
            } else {
                json!({ "code": "remained", "serverIds": remained })
            });
            let env = app.environment().clone();
            env.set_timeout(after, move || app.end(KILLED));
        });
        let done = |id: &str| {
            let (gather, id) = (Rc::clone(&gather), id.to_owned());
            move |has_ended: bool| gather.add((!has_ended).then_some(id))
        };
        for target in registered {
            let (fleet, done, own) = (self.fleet.clone(), done(&target.id), target.clone());
            let within = [self.agent.times().kill_within, after + TO_DIE];
            self.fleet.order(target, "kill", within, move |outcome| match outcome {
                Outcome::Ended => done(true),
                Outcome::Obeys | Outcome::Refused(_) => end_by_force(&fleet, own, done),
            });
        }
        for target in starting {
            let done = done(&target.id);
            end_by_force(&self.fleet, target, done);
        }
    }

    /// Stops servers and starts them again: some, those of a type, or all but the master.
    pub(super) fn restart(self, reply: Reply) {
        let Some(ids) = self.ids_to_restart() else {
            let of_type = self.body.get("type").and_then(Value::as_str).unwrap_or_default();
            return reply.fail(format_args!("restart servers with unknown server type: {of_type}"));
        };
        let mut all = ids.clone();
        let gather = Gather::new(ids.len(), move |failed: Vec<String>| {
            if !all.is_empty() && failed.len() == all.len() {
                reply.send(Response { body: None, ..Response::error("all servers start failed.") });
            } else {
                all.retain(|id| failed.contains(id));
                reply.ok(all);
            }
        });
        for id in ids {
            let (gather, server) = (Rc::clone(&gather), id.clone());
            self.restart_one(id, move |result: Result<(), String>| {
                if let Err(reason) = &result {
                    log::error!(target: "pomelo", "restart {server:?} failed: {reason}");
                }
                gather.add(result.err().map(|_| server));
            });
        }
    }

    /// The servers to restart; nothing if no server is of the type that was asked for.
    fn ids_to_restart(&self) -> Option<Vec<String>> {
        let ids: BTreeSet<String> = texts(&self.body, "ids").unwrap_or_default().into_iter().collect();
        if !ids.is_empty() {
            // A server that is named twice is restarted once.
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

    fn restart_one(&self, id: String, then: impl FnOnce(Result<(), String>) + 'static) {
        // First: a server that cannot be started again is better left running.
        let Some(info) = self.fleet.record(&id) else {
            return then(Err("neither in the configuration nor added".into()));
        };
        let times = self.agent.times();
        let Some(target) = self.fleet.target(&id) else {
            return self.start_now(Target { id, pid: 0, info }, then);
        };
        // So that it is not taken for a crashed server when it ends.
        self.fleet.stop(&id, Some(target.pid));
        self.fleet.await_restart(&id);
        let fleet = self.fleet.clone();
        let within = [times.answer_within, times.restart_after];
        let pid = target.pid;
        self.fleet.order(target, "restart", within, move |outcome| match outcome {
            Outcome::Ended if fleet.is_here(&id) => then(Err("another process has its id".into())),
            Outcome::Ended if fleet.takes_restart(&id) => start(&fleet, Target { id, pid: 0, info }, then),
            // By another user's `restart`.
            Outcome::Ended if fleet.is_coming(&id) => then(Ok(())),
            Outcome::Ended => then(Err("it was stopped meanwhile".into())),
            Outcome::Obeys => {
                // A second process would only wait for the first one's end.
                fleet.restart_when_ended(Target { id, pid, info });
                then(Err("it has not ended in time, and is started when it has".into()));
            }
            Outcome::Refused(reason) => {
                fleet.goes_on(&id);
                then(Err(reason));
            }
        });
    }

    /// Starts a server that waits for its next start.
    fn start_now(&self, target: Target, then: impl FnOnce(Result<(), String>) + 'static) {
        if !self.fleet.is_coming(&target.id) {
            return then(Err("it does not run".into()));
        }
        if self.fleet.is_starting(&target.id) {
            return then(Err("it is starting".into()));
        }
        self.fleet.give_up(&target.id);
        start(&self.fleet, target, then);
    }
}

/// Starts a server that has ended. If that fails, the start of a server that is kept up is repeated.
fn start(fleet: &Fleet, target: Target, then: impl FnOnce(Result<(), String>) + 'static) {
    let trying = fleet.clone();
    fleet.launch(target.info.clone(), move |result| {
        if let Err(reason) = &result {
            trying.keep_trying(target, reason);
        }
        then(result);
    });
}

fn end_by_force(fleet: &Fleet, target: Target, done: impl FnOnce(bool) + 'static) {
    if fleet.kill(&target) {
        fleet.wait_for_end(target, TO_DIE, done);
    } else {
        done(false);
    }
}
