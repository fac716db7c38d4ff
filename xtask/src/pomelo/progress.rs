//! What `start` says while servers come and go.

use crate::say;
use pomelo::upcall::EventHandler;
use pomelo::{AppEvent, Application, ServerInfo, State};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// How the line begins that says that there is nothing more to wait for.
pub const READY: &str = "ready: ";

/// How long nothing is said while servers are waited for.
const SILENCE: Duration = Duration::from_secs(10);

/// Says who is up, and of whom that is not known yet.
pub(super) struct Progress {
    missing: Rc<RefCell<BTreeSet<String>>>,
    count: usize,
    is_ready: bool,
}

impl Progress {
    /// Begins to tell of an application's servers.
    pub(super) fn watch(app: &Application) {
        let servers = app.servers_from_config();
        let ids: BTreeSet<String> = servers.iter().map(|info| text(info, "id").to_owned()).collect();
        let (count, env) = (ids.len(), app.env());
        say::out(format_args!("{} ({env}) and {count} servers; Ctrl-C stops them", app.id()));
        let missing = Rc::new(RefCell::new(ids));
        let waiting = Rc::clone(&missing);
        let timer = app.environment().set_interval(SILENCE, move || {
            let waiting = waiting.borrow();
            if !waiting.is_empty() {
                let ids: Vec<&str> = waiting.iter().map(String::as_str).collect();
                say::err(format_args!("still waiting for {}", ids.join(", ")));
            }
        });
        timer.unref();
        app.on(Self { missing, count, is_ready: false });
    }

    fn came(&self, app: &Application, info: &ServerInfo) {
        let (id, server_type) = (text(info, "id"), text(info, "serverType"));
        self.missing.borrow_mut().remove(id);
        let claim = app.master_agent().and_then(|agent| agent.server(id));
        let process = claim.map(|claim| format!(", process {}", claim.pid)).unwrap_or_default();
        let up = self.count - self.missing.borrow().len();
        let place = if self.is_ready { String::new() } else { format!("[{up}/{}] ", self.count) };
        say::out(format_args!("{place}{id} ({server_type}{process}) is here"));
    }

    fn all_came(&mut self, app: &Application) {
        self.is_ready = true;
        self.missing.borrow_mut().clear();
        for info in app.servers().iter().filter(|info| info.contains_key("clientPort")) {
            let host = info.get("clientHost").and_then(Value::as_str).unwrap_or_else(|| text(info, "host"));
            say::out(format_args!("{}: http://{host}:{}/", text(info, "id"), info["clientPort"]));
        }
        let took = app.started_at().map(|at| at.elapsed()).unwrap_or_default();
        // Last: whoever reads this may go on.
        say::out(format_args!("{READY}all {} servers are up after {} ms", self.count, took.as_millis()));
    }
}

impl EventHandler for Progress {
    fn on_event(&mut self, app: &Application, event: &AppEvent) {
        match event {
            AppEvent::AddServers(servers) => servers.iter().for_each(|info| self.came(app, info)),
            AppEvent::StartAll => self.all_came(app),
            AppEvent::RemoveServers(ids) if app.state() != State::Stopped => {
                ids.iter().for_each(|id| say::out(format_args!("{id} left")));
            }
            _ => {}
        }
    }
}

/// A text of a record.
pub(super) fn text<'a>(info: &'a ServerInfo, key: &str) -> &'a str {
    info.get(key).and_then(Value::as_str).unwrap_or_default()
}
