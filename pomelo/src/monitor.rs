//! The component `__monitor__`: this server as its master knows it. Mirrors pomelo's `lib/components/monitor.js` and
//! `lib/monitor/monitor.js`.
//!
//! A master that cannot be reached, or that refuses the registration, is a failure of the start; Node's process ends
//! with code 0, or waits without limit. Once registered, the server reconnects whenever it loses its master.

use crate::admin::{
    Agent, CONSOLE, Credentials, MONITOR_WATCHER, MonitorAgent, MonitorConsole, MonitorOptions,
    MonitorWatcher, ServerClaim, Target,
};
use crate::futures::AsyncComponent;
use crate::record::{port, text};
use crate::{Application, Completion, Failure};
use std::cell::Cell;
use std::error::Error;
use uv_core::os;

#[derive(Default)]
pub(crate) struct Monitor {
    agent: Cell<Option<MonitorAgent>>,
}

/// The registration of this server.
fn claim(app: &Application) -> Result<ServerClaim, Failure> {
    let token = match app.master_agent().filter(|_| app.is_master()) {
        Some(master) => Some(master.secret().to_owned()),
        None => Credentials::of(app)?.token_of(app.server_type()),
    };
    Ok(ServerClaim {
        id: app.id().to_owned(),
        server_type: app.server_type().to_owned(),
        pid: os::pid(),
        info: app.cur_server().clone(),
        token,
    })
}

fn target(app: &Application) -> Result<Target, Failure> {
    // The master's own monitor connects to the port on which the master really listens.
    let own = app.master_agent().filter(|_| app.is_master());
    let own_port = own.and_then(|agent| agent.address()).and_then(|address| address.port());
    let port = own_port.or_else(|| port(app.master(), "port"));
    let port = port.ok_or_else(|| Failure::new("the master's record has no port"))?;
    let host = text(app.master(), "host").ok_or_else(|| Failure::new("the master's record has no host"))?;
    Ok(Target::new(host, port))
}

impl AsyncComponent for Monitor {
    async fn start(&self, app: &Application) -> Result<(), Box<dyn Error>> {
        let (claim, target) = (claim(app)?, target(app)?);
        let agent = MonitorAgent::new(app.environment(), MonitorOptions::new(target, claim));
        self.agent.set(Some(agent.clone()));
        app.set_monitor_agent(Some(agent.clone()));
        if app.disabled("closeWatcher") {
            agent.register(MONITOR_WATCHER, MonitorWatcher::new(app));
        }
        agent.register(CONSOLE, MonitorConsole::new(app));
        app.make_modules(&Agent::Monitor(agent.clone()));
        let (done, connected) = Completion::pair(app.environment());
        {
            let _place = app.place().mark();
            agent.connect(done);
        }
        connected.await?;
        Ok(agent.modules_started().await?)
    }

    async fn stop(&self, app: &Application, _: bool) -> Result<(), Box<dyn Error>> {
        if let Some(agent) = self.agent.take() {
            agent.close();
        }
        app.set_monitor_agent(None);
        Ok(())
    }
}
