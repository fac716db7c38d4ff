//! The module `__console__`: list, stop, add, kill and restart servers. Mirrors pomelo's `lib/modules/console.js`.
//!
//! Every command but `list` needs a user of level 1; in Node `restart`, `addCron`, `removeCron` and `blacklist` are open to
//! every user. A request is answered once, also where Node answers twice or not at all.

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
use std::cell::{Cell, RefCell};
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
    /// Confirms an order to the server that received it: see `orders`.
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

/// Refuses a command. Node's command line reads the body of an answer to `kill` also after an error, and breaks without
/// one.
fn refuse(agent: &MasterAgent, signal: &str, reason: &str, reply: Reply) {
    let mut response = Response::error(reason);
    if signal == "kill" {
        response.body = Some(json!({ "code": "remained", "serverIds": agent.server_ids() }));
    }
    reply.send(response);
}

type Then<T> = Box<dyn FnOnce(Vec<T>)>;

/// Collects the outcomes of several servers, and hands them over once all have one: at once if there are no servers.
struct Gather<T> {
    missing: Cell<usize>,
    parts: RefCell<Vec<T>>,
    then: Cell<Option<Then<T>>>,
}

impl<T> Gather<T> {
    fn new(count: usize, then: impl FnOnce(Vec<T>) + 'static) -> Rc<Self> {
        let (missing, parts) = (Cell::new(count), RefCell::default());
        let gather = Rc::new(Self { missing, parts, then: Cell::new(Some(Box::new(then))) });
        gather.finish_if_complete();
        gather
    }

    /// Adds the outcome of one server, or counts a server without one.
    fn add(&self, part: Option<T>) {
        self.parts.borrow_mut().extend(part);
        self.missing.set(self.missing.get().saturating_sub(1));
        self.finish_if_complete();
    }

    fn finish_if_complete(&self) {
        if self.missing.get() == 0
            && let Some(then) = self.then.take()
        {
            then(self.parts.take());
        }
    }
}

/// The texts of an array; nothing if the value is no array, or has an element that is no text.
fn texts(body: &Value, key: &str) -> Option<Vec<String>> {
    let entries = body.get(key)?.as_array()?;
    entries.iter().map(|entry| entry.as_str().map(str::to_owned)).collect()
}
