//! Starts servers, and starts them again when they have crashed: with growing pauses, until they are up or a user has
//! stopped them. Mirrors the `disconnect` listener of pomelo's `lib/master/master.js`, which tries once.

use crate::ServerInfo;
use crate::admin::Times;
use crate::admin::fleet::{Fleet, Target};
use crate::admin::registration::ServerClaim;
use crate::record::text;
use crate::starter::{self, ServerExit, Started};
use async_wrap::Timeout;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// The pause after the first attempt to reach a host that does not answer; the next two are twice and three times as
/// long.
const PING_PAUSE: Duration = Duration::from_secs(30);
/// The pause after the fourth and every further attempt.
const LONG_PING_PAUSE: Duration = Duration::from_secs(300);

/// The starts of servers that have a record, by their ids.
#[derive(Default)]
pub(super) struct Watches(RefCell<BTreeMap<String, Watch>>);

#[derive(Default)]
struct Watch {
    /// Starts in a row that failed, or whose server soon ended.
    failures: u32,
    /// On the loop's clock.
    up_since: Option<Duration>,
    /// The process that is starting, or the `ssh` that starts it.
    starting: Option<i32>,
    /// The pause before the next start.
    timer: Option<Timeout>,
    /// The process after whose end the server is started again, whatever its record says.
    restarting: Option<i32>,
    /// A user's last command for the server is `restart`, and no process was started for that yet.
    awaits_restart: bool,
}

impl Watches {
    fn with<T>(&self, id: &str, see: impl FnOnce(&mut Watch) -> T) -> T {
        see(self.0.borrow_mut().entry(id.to_owned()).or_default())
    }

    pub(super) fn starts(&self, started: &Started) {
        self.with(&started.id, |watch| {
            watch.starting = Some(started.pid);
            watch.forget_restart();
        });
    }

    pub(super) fn came_up(&self, id: &str, pid: i32, now: Duration) {
        // There is no entry for a server that this process has not started.
        if let Some(watch) = self.0.borrow_mut().get_mut(id) {
            watch.clear_timer();
            watch.starting = None;
            // A process that is to end may have lost its connection meanwhile.
            watch.restarting.take_if(|restarting| *restarting != pid);
            watch.up_since = Some(now);
        }
    }

    /// Cancels all starts.
    pub(super) fn forget_all(&self) {
        self.0.take().into_values().for_each(|mut watch| watch.clear_timer());
    }
}

impl Watch {
    fn forget_restart(&mut self) {
        (self.restarting, self.awaits_restart) = (None, false);
    }

    fn clear_timer(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.clear();
        }
    }

    /// Returns the pause before the next start.
    fn next_pause(&mut self, times: &Times, now: Duration) -> Duration {
        if self.up_since.take().is_some_and(|since| now.saturating_sub(since) >= times.stable_after) {
            self.failures = 0;
        }
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = (self.failures + 1).min(u32::BITS);
        times.auto_restart_after.saturating_mul(factor).min(times.auto_restart_at_most)
    }
}

/// The start of one server.
struct Attempt {
    fleet: Fleet,
    target: Target,
    reason: String,
}

/// Whether a setting of a record is `"true"`, or `true`, which Node takes for off.
fn is_on(info: &ServerInfo, key: &str) -> bool {
    info.get(key).is_some_and(|value| value == "true" || value == &Value::Bool(true))
}

fn is_kept_up(info: &ServerInfo) -> bool {
    is_on(info, "auto-restart") || is_on(info, "restart-force")
}

impl Fleet {
    /// Starts a server of the configuration for the first time: the only time, unless the server is kept up.
    pub(super) fn start_first(&self, info: ServerInfo) {
        if !is_kept_up(&info) {
            // The error has been logged.
            let _ = self.run(&info);
            return;
        }
        let id = text(&info, "id").unwrap_or_default().to_owned();
        Attempt { fleet: self.clone(), target: Target { id, pid: 0, info }, reason: String::new() }.start();
    }

    /// Starts a server that has left again, if it is kept up and was not stopped. Called before the watchdog removes the
    /// server.
    pub(crate) fn server_left(&self, claim: &ServerClaim) {
        let Some(info) = self.record(&claim.id) else { return };
        let is_restarting = self.0.watches.with(&claim.id, |watch| watch.restarting == Some(claim.pid));
        if is_restarting || (is_kept_up(&info) && !self.is_stopped(&claim.id)) {
            let reason =
                if is_restarting { "it has ended, to be restarted" } else { "it left without being stopped" };
            self.try_again(Target { id: claim.id.clone(), pid: claim.pid, info }, reason);
        }
    }

    /// Starts a server again whose process has ended before it had registered, if it is kept up.
    pub(super) fn process_ended(&self, exit: &ServerExit) {
        let Started { id, pid, .. } = &exit.started;
        let was_starting =
            self.0.watches.with(id, |watch| watch.starting.take_if(|starting| starting == pid).is_some());
        let Some(info) = self.record(id).filter(|_| was_starting) else { return };
        if is_kept_up(&info) && !self.is_stopped(id) {
            let reason = format!("its process ended before it had registered: {}", exit.status);
            self.try_again(Target { id: id.clone(), pid: 0, info }, reason);
        }
    }

    /// Has a server that agreed to restart, and has not ended in time, started when it has ended.
    pub(crate) fn restart_when_ended(&self, target: Target) {
        self.0.watches.with(&target.id, |watch| watch.restarting = Some(target.pid));
        // Else it is started when it leaves.
        if !self.is_here(&target.id) {
            self.try_again(target, "it has left, to be restarted");
        }
    }

    /// A user restarts a server: one process is started once it has ended, whatever was commanded before.
    pub(crate) fn await_restart(&self, id: &str) {
        self.0.watches.with(id, |watch| watch.awaits_restart = true);
    }

    /// Whether the server that has ended is to be started by this restart: not if another one has, or if a user has stopped
    /// it meanwhile.
    pub(crate) fn takes_restart(&self, id: &str) -> bool {
        self.0.watches.with(id, |watch| std::mem::take(&mut watch.awaits_restart))
    }

    /// Undoes [`restart_when_ended`](Self::restart_when_ended) and [`await_restart`](Self::await_restart): the server is to
    /// stop.
    pub(crate) fn forget_restart(&self, id: &str) {
        if let Some(watch) = self.0.watches.0.borrow_mut().get_mut(id) {
            watch.forget_restart();
        }
    }

    /// Repeats a start that failed, if the server is kept up, and logs the repetition.
    pub(crate) fn keep_trying(&self, target: Target, reason: &str) {
        if is_kept_up(&target.info) {
            self.goes_on(&target.id);
            self.try_again(target, reason);
        }
    }

    fn try_again(&self, target: Target, reason: impl Into<String>) {
        if !self.is_over() {
            Attempt { fleet: self.clone(), target, reason: reason.into() }.reach(1);
        }
    }

    /// Whether a server is coming: started and not registered, or to be started after a pause.
    pub(crate) fn is_coming(&self, id: &str) -> bool {
        let waits = self.0.watches.0.borrow().get(id).is_some_and(|watch| watch.timer.is_some());
        waits || !self.app().inner().children.borrow().of(id).is_empty()
    }

    /// Cancels the start of a server: its processes are asked to end, and returned.
    pub(crate) fn give_up(&self, id: &str) -> Vec<Target> {
        if let Some(mut watch) = self.0.watches.0.borrow_mut().remove(id) {
            watch.clear_timer();
        }
        let starting = self.starting().into_iter().filter(|target| target.id == id);
        starting.inspect(|target| starter::ask_to_end(self.app(), target.pid)).collect()
    }
}

impl Attempt {
    /// Whether the start is no longer needed: the server came back by itself, is starting or was stopped, another start has
    /// restarted it, or the master was stopped.
    fn is_moot(&self) -> bool {
        let Self { fleet, target, .. } = self;
        let is_starting = fleet.0.watches.with(&target.id, |watch| watch.starting.is_some());
        let is_restarting = fleet.0.watches.with(&target.id, |watch| watch.restarting.is_some());
        fleet.is_over()
            || is_starting
            || fleet.is_here(&target.id)
            || !(is_restarting || is_kept_up(&target.info) && !fleet.is_stopped(&target.id))
    }

    fn reach(self, attempt: u32) {
        let (app, info) = (self.fleet.app().clone(), self.target.info.clone());
        starter::is_reachable(&app, &info, move |is_reachable| {
            if is_reachable {
                return self.look();
            }
            let pause = if attempt > 3 { LONG_PING_PAUSE } else { PING_PAUSE * attempt };
            log::warn!(target: "pomelo", "the host of server {:?} does not answer; again in {pause:?}", self.target.id);
            self.wait(pause, move |this| this.reach(attempt + 1));
        });
    }

    /// Checks the ports: the server's process may still run. Ports that another process has may be free by the time of the
    /// start, which checks them again: the ports of a killed process outlast its connections.
    fn look(self) {
        let (app, info) = (self.fleet.app().clone(), self.target.info.clone());
        starter::check_ports(&app, &info, move |busy| {
            if self.is_moot() {
                return;
            }
            if (busy.is_some() || self.lives_on()) && is_on(&self.target.info, "restart-force") {
                self.fleet.kill(&self.target);
            }
            self.start_later();
        });
    }

    /// Whether the server's process still runs, although the server has left.
    fn lives_on(&self) -> bool {
        let Target { id, pid, info } = &self.target;
        starter::is_local(self.fleet.app(), info) && starter::is_process_of(*pid, id)
    }

    fn start_later(self) {
        let Self { fleet, target, reason } = &self;
        let times = fleet.app().admin_times();
        let now = fleet.now();
        let pause = fleet.0.watches.with(&target.id, |watch| watch.next_pause(&times, now));
        let most = times.auto_restart_at_most;
        log::warn!(
            target: "pomelo",
            "server {:?}: {reason}; started again in {pause:?} (at most {most:?}, until it is up or stopped)",
            target.id
        );
        self.wait(pause, Self::start);
    }

    fn wait(self, pause: Duration, then: impl FnOnce(Self) + 'static) {
        let (fleet, id) = (self.fleet.clone(), self.target.id.clone());
        let timer = fleet.app().environment().set_deadline(pause, move |_| {
            self.fleet.0.watches.with(&self.target.id, |watch| drop(watch.timer.take()));
            if !self.is_moot() {
                then(self);
            }
        });
        // The connections keep the master's loop alive.
        timer.unref();
        fleet.0.watches.with(&id, |watch| {
            watch.clear_timer();
            watch.timer = Some(timer);
        });
    }

    fn start(self) {
        if self.lives_on() {
            let reason = format!("its process {} still runs, without its master", self.target.pid);
            return Self { reason, ..self }.reach(1);
        }
        log::info!(target: "pomelo", "server {:?} is started", self.target.id);
        let fleet = self.fleet.clone();
        fleet.launch(self.target.info.clone(), move |result| match result {
            Err(reason) if !self.is_moot() => Self { reason, ..self }.reach(1),
            _ => {}
        });
    }
}
