//! The component `__master__`: listens for servers and users, starts the servers, restarts crashed servers. Mirrors
//! pomelo's `lib/components/master.js` and `lib/master/master.js`.
//!
//! A port that is taken is a failure of the start; Node's process ends with code 0.

use crate::admin::{
    Agent, CONSOLE, Credentials, Fleet, MASTER_WATCHER, MasterAgent, MasterConsole, MasterOptions,
    MasterWatcher, ServerClaim, Watchdog,
};
use crate::futures::AsyncComponent;
use crate::record::{port, text};
use crate::upcall::MasterHandler;
use crate::{Application, Failure, Mode, State, starter};
use net::ListenOptions;
use std::cell::Cell;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};

/// The setting that leaves the watchers out (`masterConfig.closeWatcher`).
const CLOSE_WATCHER: &str = "closeWatcher";

/// The setting that lets servers reconnect without a token, as in Node: see [`MasterOptions::admits_any_reconnect`].
const ANY_RECONNECT: &str = "reconnectWithoutToken";

#[derive(Default)]
pub(crate) struct Master {
    agent: Cell<Option<MasterAgent>>,
}

impl Master {
    fn listen(&self, app: &Application) -> Result<MasterAgent, Failure> {
        let credentials = Credentials::of(app)?;
        let has_tokens = credentials.tokens.is_some();
        let own_authority = app.take_authority();
        if own_authority.is_none() && !has_tokens && loopback(app).is_none() {
            log::warn!(target: "pomelo", "no adminServer.json: any peer that reaches the master's port can join as a server");
        }
        let authority = own_authority.unwrap_or_else(|| Box::new(credentials));
        let options = MasterOptions::boxed(authority)
            .admits_any_reconnect(app.enabled(ANY_RECONNECT))
            .times(app.admin_times());
        let fleet = Fleet::new(app, has_tokens);
        app.set_fleet(fleet.clone());
        let watchdog = app.disabled(CLOSE_WATCHER).then(|| Watchdog::new(app));
        let overseer = Overseer { fleet: fleet.clone(), watchdog: watchdog.clone() };
        let agent = MasterAgent::new(app.environment(), options, overseer).map_err(Failure::new)?;
        if let Some(watchdog) = watchdog {
            agent.register(MASTER_WATCHER, MasterWatcher::new(watchdog));
        }
        agent.register(CONSOLE, MasterConsole::new(fleet));
        app.make_modules(&Agent::Master(agent.clone()));
        self.agent.set(Some(agent.clone()));
        let _place = app.place().mark();
        agent.listen(listen_options(app)).map_err(Failure::new)?;
        Ok(agent)
    }
}

/// Listens on the loopback interface if that is the master's host, since all its servers are on this host then; else on
/// every address. Node always listens on every address.
fn listen_options(app: &Application) -> ListenOptions {
    let port = port(app.master(), "port").unwrap_or_default();
    loopback(app).map_or_else(|| ListenOptions::port(port), |host| ListenOptions::host(host, port))
}

/// The master's host, if that is on the loopback interface.
fn loopback(app: &Application) -> Option<IpAddr> {
    match text(app.master(), "host")? {
        "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok().filter(IpAddr::is_loopback),
    }
}

impl AsyncComponent for Master {
    async fn start(&self, app: &Application) -> Result<(), Box<dyn Error>> {
        let agent = self.listen(app)?;
        app.set_master_agent(Some(agent.clone()));
        agent.modules_started().await?;
        if app.state() == State::Stopped {
            return Err("the application was stopped while its modules started".into());
        }
        if let Some(fleet) = app.fleet().filter(|_| app.mode() == Mode::Clusters) {
            fleet.start_all(starter::chosen(app)?.into_iter());
        }
        Ok(())
    }

    async fn stop(&self, app: &Application, _: bool) -> Result<(), Box<dyn Error>> {
        if let Some(agent) = self.agent.take() {
            agent.close();
        }
        app.set_master_agent(None);
        Ok(())
    }
}

/// The master's handler of servers that come and leave.
struct Overseer {
    fleet: Fleet,
    watchdog: Option<Watchdog>,
}

impl Overseer {
    fn came_up(&self, server: &ServerClaim) {
        self.fleet.came_up(&server.id, server.pid);
        if self.fleet.is_over() && !server.is_master() {
            self.fleet.is_late(&server.id);
        }
        starter::bind_cpus(self.fleet.app(), &server.id, server.pid);
    }
}

impl MasterHandler for Overseer {
    /// Refuses a server whose record is of another type.
    fn on_admit(&mut self, _: &MasterAgent, server: &ServerClaim) -> Result<(), Failure> {
        let app = self.fleet.app();
        let record = self.fleet.record(&server.id);
        let of_type = record.as_ref().and_then(|record| text(record, "serverType"));
        if server.id == app.id() || of_type.is_some_and(|of_type| of_type != server.server_type) {
            let of_type = of_type.unwrap_or_else(|| app.server_type());
            return Err(Failure::new(format_args!("id {} is one of type {of_type}", server.id)));
        }
        Ok(())
    }

    fn on_register(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        self.came_up(server);
        if let Some(watchdog) = &self.watchdog {
            watchdog.add(agent, server);
        }
    }

    fn on_reconnect(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        self.came_up(server);
        if let Some(watchdog) = &self.watchdog {
            watchdog.add_again(agent, server);
        }
    }

    fn on_disconnect(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        log::info!(target: "pomelo", "server {:?} of type {:?} left", server.id, server.server_type);
        // Before the watchdog tells the other servers and removes it.
        self.fleet.server_left(server);
        if let Some(watchdog) = &self.watchdog {
            watchdog.remove(agent, &server.id);
        }
    }
}
