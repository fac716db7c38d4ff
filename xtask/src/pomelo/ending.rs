//! How a master of `start` ends: first its servers, then itself, whoever said so.

use super::progress::text;
use super::signals;
use crate::say;
use pomelo::admin::{CONSOLE, MasterAgent, ServerClaim};
use pomelo::upcall::{EventHandler, Lifecycle};
use pomelo::{AppEvent, Application, ShutDown, starter};
use serde_json::json;
use std::cell::RefCell;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

/// How long the servers may take: 3 s that their own stop is limited to, and some time to be seen gone.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long the whole may take: the servers, those that had to be killed, and the master itself.
pub(super) const LIMIT: Duration = Duration::from_secs(8);

/// The end of a master. Stops when the last server has gone.
#[derive(Clone, Default)]
pub(super) struct Ending(Rc<RefCell<Option<ShutDown>>>);

impl Ending {
    /// Has this end wait for the servers of a master.
    pub(super) fn watch(app: &Application) {
        let ending = Self::default();
        app.lifecycle(app.server_type(), ending.clone()).on(ending);
    }

    /// Stops the master if nobody else is there any more.
    fn look(&self, app: &Application) {
        if others(app).is_empty()
            && let Some(shut_down) = self.0.take()
        {
            shut_down.go();
        }
    }
}

impl Lifecycle for Ending {
    fn on_before_shutdown(&mut self, app: &Application, shut_down: ShutDown) {
        self.0.replace(Some(shut_down));
        let others = others(app);
        if !others.is_empty() {
            say::out(format_args!("stopping {} servers", others.len()));
        }
        others.iter().for_each(|server| tell_to_stop(app, &server.id));
        let late = app.clone();
        let timer = app.environment().set_timeout(PATIENCE, move || kill_stragglers(&late));
        timer.unref();
        self.look(app);
    }
}

impl EventHandler for Ending {
    fn on_event(&mut self, app: &Application, event: &AppEvent) {
        if self.0.borrow().is_none() {
            return;
        }
        match event {
            AppEvent::RemoveServers(_) => self.look(app),
            // It was starting when the end began.
            AppEvent::AddServers(servers) => {
                servers.iter().for_each(|info| tell_to_stop(app, text(info, "id")))
            }
            _ => {}
        }
    }
}

/// The servers that have registered, without the master itself.
fn others(app: &Application) -> Vec<ServerClaim> {
    let servers = |agent: MasterAgent| {
        let ids = agent.server_ids().into_iter().filter(|id| id != app.id());
        ids.filter_map(|id| agent.server(&id)).collect()
    };
    app.master_agent().map(servers).unwrap_or_default()
}

fn tell_to_stop(app: &Application, id: &str) {
    if let Some(agent) = app.master_agent() {
        agent.notify(id, CONSOLE, &json!({ "signal": "stop" }));
    }
}

/// Ends servers that do not end by themselves: stopped ones, or ones in an endless loop.
fn kill_stragglers(app: &Application) {
    for server in others(app) {
        let (id, pid) = (&server.id, server.pid);
        if kill(app, &server) {
            say::err(format_args!("{id} (process {pid}) did not end in time: killed"));
        } else {
            let host = text(&server.info, "host");
            say::err(format_args!(
                "{id} did not end in time, and is left running on {host}: process {pid} there"
            ));
        }
    }
}

/// Ends the servers of this host and this process, and waits for none of them: the second signal.
pub(super) fn at_once(app: &Application) -> ! {
    let servers = others(app);
    let killed = servers.iter().filter(|server| kill(app, server)).count();
    say::err(format_args!("ended at once: {killed} of {} servers were killed", servers.len()));
    signals::end(1)
}

/// Kills a server of this host. Returns whether it is one.
fn kill(app: &Application, server: &ServerClaim) -> bool {
    let is_here = starter::is_local(app, &server.info) && is_process_of(server.pid, &server.id);
    if is_here {
        starter::kill(app, &server.info, server.pid);
    }
    is_here
}

/// Whether a process is what it says: its command line has the server's id.
fn is_process_of(pid: i32, id: &str) -> bool {
    let wanted = format!("id={id}");
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pid > 1 && words.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes())
}
