//! Brings servers back that have crashed. Mirrors the `disconnect` listener of pomelo's `lib/master/master.js`.

use crate::ServerInfo;
use crate::admin::fleet::Fleet;
use crate::admin::master_agent::MasterAgent;
use crate::admin::registration::ServerClaim;
use crate::starter;
use serde_json::Value;
use std::time::Duration;

/// The pause after the first attempt to reach a host that does not answer; each of the first three is longer by it.
const PING_PAUSE: Duration = Duration::from_secs(30);
/// The pause after the fourth and every further attempt.
const LONG_PING_PAUSE: Duration = Duration::from_secs(300);

/// One server that left and is to come back.
struct Attempt {
    fleet: Fleet,
    agent: MasterAgent,
    info: ServerInfo,
    claim: ServerClaim,
}

/// A server has left: if its record says `auto-restart` or `restart-force`, and nobody stopped it, it is started again.
/// Looks at what is known of it now, before anything that its leaving changes.
pub(crate) fn server_left(fleet: &Fleet, agent: &MasterAgent, claim: &ServerClaim) {
    let Some(info) = fleet.record(&claim.id) else { return };
    let is_wanted = is_on(&info, "auto-restart") || is_on(&info, "restart-force");
    if is_wanted && !fleet.is_stopped(&claim.id) && !fleet.is_over() {
        let (fleet, agent) = (fleet.clone(), agent.clone());
        Attempt { fleet, agent, info, claim: claim.clone() }.reach(1);
    }
}

/// A setting of a record: `"true"`, or `true`, which Node takes for off.
fn is_on(info: &ServerInfo, key: &str) -> bool {
    info.get(key).is_some_and(|value| value == "true" || value == &Value::Bool(true))
}

impl Attempt {
    /// Whether there is nothing to do any more: the server came back by itself, was stopped, or the master is.
    fn is_moot(&self) -> bool {
        let Self { fleet, agent, claim, .. } = self;
        fleet.is_over() || fleet.is_stopped(&claim.id) || agent.server(&claim.id).is_some()
    }

    fn reach(self, attempt: u32) {
        let (app, info) = (self.fleet.app().clone(), self.info.clone());
        starter::is_reachable(&app, &info, move |is_reachable| {
            if is_reachable {
                return self.look();
            }
            let pause = if attempt > 3 { LONG_PING_PAUSE } else { PING_PAUSE * attempt };
            log::warn!(target: "pomelo", "the host of server {:?} does not answer; again in {pause:?}", self.claim.id);
            let env = self.fleet.app().environment().clone();
            let timer = env.set_timeout(pause, move || {
                if !self.is_moot() {
                    self.reach(attempt + 1);
                }
            });
            // The master lives by its connections.
            timer.unref();
        });
    }

    /// Looks at the ports: something may live on in the server's process. Ports that are taken by anything else may be
    /// free by the time of the start, which looks again: those of a process that is killed outlast its connections.
    fn look(self) {
        let (app, info) = (self.fleet.app().clone(), self.info.clone());
        starter::check_ports(&app, &info, move |busy| {
            if self.is_moot() {
                return;
            }
            if busy.is_some() && is_on(&self.info, "restart-force") {
                self.fleet.kill(&self.info, &self.claim.id, self.claim.pid);
            }
            self.start_later();
        });
    }

    fn start_later(self) {
        let env = self.fleet.app().environment().clone();
        let timer = env.set_timeout(self.agent.times().auto_restart_after, move || {
            if self.is_moot() {
                return;
            }
            let id = self.claim.id.clone();
            log::info!(target: "pomelo", "server {id:?} left without being stopped: started again");
            let fleet = self.fleet.clone();
            fleet.launch(self.info, move |result| {
                if let Err(error) = result {
                    log::error!(target: "pomelo", "server {id:?} is not restarted: {error}");
                }
            });
        });
        timer.unref();
    }
}
