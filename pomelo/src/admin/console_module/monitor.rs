//! The orders that a server takes from its master. Mirrors `monitorHandler` of pomelo's `lib/modules/console.js`.

use super::commands::KILLED;
use super::report;
use crate::admin::monitor_agent::MonitorAgent;
use crate::admin::reply::Reply;
use crate::upcall::Module;
use crate::{AppEvent, Application};
use serde_json::{Value, json};

/// The setting with the addresses of the blacklist, for the component that accepts connections.
const BLACKLIST: &str = "blacklist";

/// The module in a server.
pub(crate) struct MonitorConsole {
    app: Application,
}

impl MonitorConsole {
    pub(crate) fn new(app: &Application) -> Self {
        Self { app: app.clone() }
    }

    /// Obeys at once, or once the master has confirmed the order, which may have waited for long.
    fn obey(
        &self,
        agent: &MonitorAgent,
        message: &Value,
        reply: Reply,
        act: fn(&Self, &MonitorAgent, Reply),
    ) {
        let Some(order) = message.get("confirm") else { return act(self, agent, reply) };
        let (this, asking) = (Self { app: self.app.clone() }, agent.clone());
        let question = json!({ "signal": "confirm", "order": order });
        agent.request(super::CONSOLE, question, move |answer| {
            if answer.is_ok_and(|answer| answer.body == Some(Value::Bool(true))) {
                act(&this, &asking, reply);
            } else {
                log::warn!(target: "pomelo", "an order that its master has withdrawn is not obeyed");
            }
        });
    }

    /// Answers first: the stop closes the connection.
    fn restart(&self, _: &MonitorAgent, reply: Reply) {
        reply.single(json!(self.app.cur_server()));
        let app = self.app.clone();
        self.app.environment().next_tick(move || app.stop(true));
    }

    fn kill(&self, agent: &MonitorAgent, reply: Reply) {
        reply.single(agent.id());
        // The master ends its own process when all servers have answered.
        if !self.app.is_master() {
            let app = self.app.clone();
            self.app.environment().set_timeout(self.app.admin_times().kill_after, move || app.end(KILLED));
        }
    }

    fn add_to_blacklist(&self, addresses: Option<&Value>) {
        let added = addresses.and_then(Value::as_array).cloned().unwrap_or_default();
        if self.app.is_frontend() {
            let mut all = match self.app.get(BLACKLIST) {
                Some(Value::Array(all)) => all,
                _ => Vec::new(),
            };
            all.extend(added);
            self.app.set(BLACKLIST, all);
        }
    }
}

impl Module for MonitorConsole {
    fn on_monitor(&mut self, agent: &MonitorAgent, message: Option<Value>, reply: Reply) {
        let message = message.unwrap_or_default();
        let cron = || json!([message.get("cron")]);
        match message.get("signal").and_then(Value::as_str).unwrap_or_default() {
            "list" => reply.single(report::of_process(&self.app, agent)),
            "kill" => self.obey(agent, &message, reply, Self::kill),
            // The master stops by its own command, and no process restarts it.
            "stop" | "restart" if self.app.is_master() => {}
            "stop" => self.obey(agent, &message, reply, |this, _, _| this.app.stop(true)),
            "restart" => self.obey(agent, &message, reply, Self::restart),
            "addCron" => self.app.emit(AppEvent::AddCrons(cron())),
            "removeCron" => self.app.emit(AppEvent::RemoveCrons(cron())),
            "blacklist" => self.add_to_blacklist(message.get("blacklist")),
            other => log::error!(target: "pomelo", "receive error signal: {other:?}"),
        }
    }
}
