//! The progress that `start` prints while servers start, leave and are stopped.

use super::table::printable;
use crate::say;
use pomelo::upcall::EventHandler;
use pomelo::{AppEvent, Application, ServerInfo, State, StopNews};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// How the line begins that ends the start.
pub const READY: &str = "ready: ";

/// How often the missing servers are printed.
const SILENCE: Duration = Duration::from_secs(10);

/// Prints which servers are up, and which are missing.
pub(super) struct Progress {
    missing: Rc<RefCell<BTreeSet<String>>>,
    count: usize,
    is_ready: bool,
    is_stopping: bool,
}

impl Progress {
    /// Follows an application's servers.
    pub(super) fn watch(app: &Application) {
        let servers = app.servers_from_config();
        let ids: BTreeSet<String> = servers.iter().map(|info| text(info, "id").to_owned()).collect();
        let (count, env) = (ids.len(), app.env());
        say::out(format_args!("{} ({env}) and {count} servers; Ctrl-C stops them", app.id()));
        let missing = Rc::new(RefCell::new(ids));
        let waiting = Rc::clone(&missing);
        let watched = app.clone();
        let timer = app.environment().set_interval(SILENCE, move || {
            let waiting = waiting.borrow();
            if !waiting.is_empty() && watched.state() != State::Stopped {
                let ids: Vec<&str> = waiting.iter().map(String::as_str).collect();
                say::err(format_args!("still waiting for {}", ids.join(", ")));
            }
        });
        timer.unref();
        app.on(Self { missing, count, is_ready: false, is_stopping: false });
    }

    /// A server that leaves before all are up is missing again.
    fn left(&self, app: &Application, id: &str) {
        if !self.is_ready && app.server_from_config(id).is_some() {
            self.missing.borrow_mut().insert(id.to_owned());
        }
        if !self.is_stopping {
            say::out(format_args!("{} left", printable(id)));
        }
    }

    fn came(&self, app: &Application, info: &ServerInfo) {
        let (id, server_type) = (text(info, "id"), text(info, "serverType"));
        self.missing.borrow_mut().remove(id);
        let claim = app.master_agent().and_then(|agent| agent.server(id));
        let process = claim.map(|claim| format!(", process {}", claim.pid)).unwrap_or_default();
        let up = self.count - self.missing.borrow().len();
        let place = if self.is_ready { String::new() } else { format!("[{up}/{}] ", self.count) };
        let (id, server_type) = (printable(id), printable(server_type));
        say::out(format_args!("{place}{id} ({server_type}{process}) is here"));
    }

    fn all_came(&mut self, app: &Application) {
        self.is_ready = true;
        self.missing.borrow_mut().clear();
        for info in app.servers().iter().filter(|info| info.contains_key("clientPort")) {
            let host = info.get("clientHost").and_then(Value::as_str).unwrap_or_else(|| text(info, "host"));
            let (id, host) = (printable(text(info, "id")), printable(host));
            say::out(format_args!("{id}: http://{host}:{}/", info["clientPort"]));
        }
        let took = app.started_at().map(|at| at.elapsed()).unwrap_or_default();
        // Last: the reader of this may go on.
        say::out(format_args!("{READY}all {} servers are up after {} ms", self.count, took.as_millis()));
    }
}

impl EventHandler for Progress {
    fn on_event(&mut self, app: &Application, event: &AppEvent) {
        match event {
            AppEvent::AddServers(servers) => servers.iter().for_each(|info| self.came(app, info)),
            AppEvent::StartAll => self.all_came(app),
            AppEvent::RemoveServers(ids) => ids.iter().for_each(|id| self.left(app, id)),
            _ => {}
        }
    }

    fn on_stop_all(&mut self, _: &Application, news: &StopNews) {
        match news {
            StopNews::Begun(ids) => {
                self.is_stopping = true;
                if !ids.is_empty() {
                    say::out(format_args!("stopping {} servers", ids.len()));
                }
            }
            StopNews::Killed { id, pid } => {
                say::err(format_args!("{} (process {pid}) did not end in time: killed", printable(id)));
            }
            StopNews::Remains { id, pid, host } => say::err(format_args!(
                "{} did not end in time, and is left running on {}: process {pid} there",
                printable(id),
                printable(host)
            )),
            _ => {}
        }
    }
}

pub(super) fn text<'a>(info: &'a ServerInfo, key: &str) -> &'a str {
    info.get(key).and_then(Value::as_str).unwrap_or_default()
}
