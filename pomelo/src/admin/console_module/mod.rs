//! The module `__console__`: list, stop, add, kill and restart servers. Mirrors pomelo's `lib/modules/console.js`.
//!
//! Everything but `list` needs a user of level 1; in Node `restart`, `addCron`, `removeCron` and `blacklist` are open to
//! everybody who can log in. A request is answered once, also where Node answers twice or not at all.

mod add;
mod commands;
mod list;
mod monitor;
mod report;

pub(crate) use commands::tell_stop;
pub(crate) use monitor::MonitorConsole;

use crate::admin::fleet::Fleet;
use crate::admin::master_agent::MasterAgent;
use crate::admin::message::Response;
use crate::admin::peers::Session;
use crate::admin::rejections::{Kind, shown};
use crate::admin::reply::Reply;
use crate::upcall::Module;
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;

/// The module's id.
pub const CONSOLE: &str = "__console__";

/// The module in the master.
pub(crate) struct MasterConsole {
    fleet: Fleet,
    lists: list::Lists,
}

impl MasterConsole {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet, lists: list::Lists::default() }
    }
}

impl Module for MasterConsole {
    /// A server asks whether to obey: see `orders`.
    fn on_master(&mut self, _: &MasterAgent, message: Option<Value>, reply: Reply) {
        let message = message.unwrap_or_default();
        let text = |key| message.get(key).and_then(Value::as_str);
        match (text("signal"), text("order")) {
            (Some("confirm"), Some(word)) => reply.ok(self.fleet.confirm(word)),
            _ => reply.no_method("masterHandler"),
        }
    }

    fn on_client(&mut self, agent: &MasterAgent, session: &Session, body: Value, reply: Reply) {
        let signal = body.get("signal").and_then(Value::as_str).unwrap_or_default().to_owned();
        if signal != "list"
            && let Err(reason) = session.user.check_level()
        {
            let line = format_args!("{}: {}: {reason}", session.user.username, shown(&signal));
            agent.rejections().tell(Kind::Permission, line);
            return refuse(agent, &signal, reason, reply);
        }
        let command = commands::Command { agent: agent.clone(), fleet: self.fleet.clone(), body };
        match signal.as_str() {
            "list" => self.lists.ask(agent, reply),
            "stop" => command.stop(reply),
            "kill" => command.kill(reply),
            "restart" => command.restart(reply),
            "add" => command.add(reply),
            "addCron" => command.cron(&signal, &["id", "action", "time"], reply),
            "removeCron" => command.cron(&signal, &["id"], reply),
            "blacklist" => command.blacklist(reply),
            _ => reply.fail("The command cannot be recognized, please check."),
        }
    }
}

/// Node's command line looks into the body of an answer to `kill` whatever the error says, and breaks if there is none.
fn refuse(agent: &MasterAgent, signal: &str, reason: &str, reply: Reply) {
    let mut response = Response::error(reason);
    if signal == "kill" {
        response.body = Some(json!({ "code": "remained", "serverIds": agent.server_ids() }));
    }
    reply.send(response);
}

/// Calls back when it was told so often that something is done; at once if that is never.
struct Latch {
    missing: Cell<usize>,
    then: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Latch {
    fn new(count: usize, then: impl FnOnce() + 'static) -> Rc<Self> {
        let latch = Rc::new(Self { missing: Cell::new(count), then: Cell::new(Some(Box::new(then))) });
        latch.look();
        latch
    }

    fn done(&self) {
        self.missing.set(self.missing.get().saturating_sub(1));
        self.look();
    }

    fn look(&self) {
        if self.missing.get() == 0
            && let Some(then) = self.then.take()
        {
            then();
        }
    }
}

/// The texts of an array; nothing if it is none, or has anything else in it.
fn texts(body: &Value, key: &str) -> Option<Vec<String>> {
    let entries = body.get(key)?.as_array()?;
    entries.iter().map(|entry| entry.as_str().map(str::to_owned)).collect()
}
