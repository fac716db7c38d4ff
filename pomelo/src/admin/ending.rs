//! The end of all servers, before their master's own. Mirrors the signal `stop` without ids of pomelo's
//! `lib/modules/console.js`, which waits for 3 s and leaves running what runs then.
//!
//! It looks at the connections and processes themselves: a stop may come before the handlers were told of a server.

use crate::admin::console_module::tell_stop;
use crate::admin::fleet::{Fleet, Target};
use crate::patience::Patience;
use crate::record::text;
use crate::{StopNews, starter};
use async_wrap::{Heard, Timeout};
use std::time::Duration;

/// The time between two looks at the processes.
const LOOK: Duration = Duration::from_millis(25);

/// The time that a process may take to end after SIGKILL.
const TO_DIE: Duration = Duration::from_secs(1);

type Then = Box<dyn FnOnce(Vec<String>)>;

/// The end of all servers, while it lasts.
pub(super) struct Ending {
    /// The servers that have not ended.
    left: Vec<Target>,
    /// On the loop's clock.
    began: Duration,
    at_least: Duration,
    /// The time until SIGKILL.
    patience: Patience,
    /// The time after SIGKILL, once it was sent.
    dying: Option<Patience>,
    then: Vec<Then>,
    timer: Option<Timeout>,
}

impl Fleet {
    /// Stops all servers, and ends by SIGKILL the servers that do not stop in time. When they have ended, but not before
    /// `at_least` has passed, `then` is called with the ids of the servers that still run. Returns `false` if the servers
    /// are being stopped already; `then` is called all the same.
    pub(crate) fn stop_all(&self, at_least: Duration, then: impl FnOnce(Vec<String>) + 'static) -> bool {
        self.end();
        if let Some(ending) = &mut *self.0.ending.borrow_mut() {
            ending.then.push(Box::new(then));
            return false;
        }
        let (registered, starting) = (self.targets(), self.starting());
        let ids = registered.iter().chain(&starting).map(|target| target.id.clone()).collect();
        self.app().emit_stop(StopNews::Begun(ids));
        let stop_within = self.app().admin_times().stop_within;
        for target in &registered {
            self.order(target.clone(), "stop", [stop_within; 2], |_| {});
        }
        starting.iter().for_each(|target| starter::ask_to_end(self.app(), target.pid));
        let fleet = self.clone();
        let timer = self.app().environment().set_inspection(LOOK, move |heard| fleet.look(heard));
        self.0.ending.replace(Some(Ending {
            left: registered.into_iter().chain(starting).collect(),
            began: self.now(),
            at_least,
            patience: Patience::new(self.app().environment(), stop_within),
            dying: None,
            then: vec![Box::new(then)],
            timer: Some(timer),
        }));
        true
    }

    /// Ends by SIGKILL all servers whose processes are known. Returns their number and the number of all servers.
    pub(crate) fn kill_all(&self) -> (usize, usize) {
        self.end();
        let all: Vec<Target> = self.targets().into_iter().chain(self.starting()).collect();
        (all.iter().filter(|target| self.kill(target)).count(), all.len())
    }

    /// Stops a server that has registered after all servers were told to stop.
    pub(crate) fn is_late(&self, id: &str) {
        let (Some(agent), Some(target)) = (self.agent(), self.target(id)) else { return };
        tell_stop(&agent, id);
        if let Some(ending) = &mut *self.0.ending.borrow_mut() {
            ending.left.retain(|other| other.pid != target.pid || other.id != target.id);
            ending.left.push(target);
        }
    }

    fn look(&self, heard: Heard) {
        let Some(mut ending) = self.0.ending.take() else { return };
        ending.left.retain(|target| !self.has_ended(target));
        if ending.dying.is_none() && ending.patience.is_over(heard) {
            ending.dying = Some(Patience::new(self.app().environment(), TO_DIE));
            ending.left.iter().for_each(|target| self.end_by_force(target));
        }
        let is_over =
            ending.left.is_empty() || ending.dying.as_mut().is_some_and(|dying| dying.is_over(heard));
        if !is_over || self.now().saturating_sub(ending.began) < ending.at_least {
            self.0.ending.replace(Some(ending));
            return;
        }
        ending.timer.iter().for_each(Timeout::clear);
        let left: Vec<String> = ending.left.iter().map(|target| target.id.clone()).collect();
        ending.then.into_iter().for_each(|then| then(left.clone()));
    }

    fn end_by_force(&self, target: &Target) {
        let Target { id, pid, info } = target.clone();
        let news = if self.kill(target) {
            StopNews::Killed { id, pid }
        } else {
            StopNews::Remains { id, pid, host: text(&info, "host").unwrap_or_default().into() }
        };
        self.app().emit_stop(news);
    }
}
