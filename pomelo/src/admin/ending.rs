//! The end of all servers, before their master's own. Mirrors the signal `stop` without ids of pomelo's
//! `lib/modules/console.js`, which waits for 3 s and leaves behind what lives then.
//!
//! It looks at the connections and processes themselves: a stop may come before whoever is told of servers has been.

use crate::admin::console_module::tell_stop;
use crate::admin::fleet::{Fleet, Target};
use crate::patience::Patience;
use crate::record::text;
use crate::{StopNews, starter};
use async_wrap::{Heard, Timeout};
use std::time::{Duration, Instant};

/// How often it is looked whether all have gone.
const LOOK: Duration = Duration::from_millis(25);

/// How long processes may take to be gone that were ended by the system's signal.
const TO_DIE: Duration = Duration::from_secs(1);

type Then = Box<dyn FnOnce(Vec<String>)>;

/// An end that is under way.
pub(super) struct Ending {
    /// Those that have not gone.
    left: Vec<Target>,
    began: Instant,
    at_least: Duration,
    /// Until they are ended by the system's signal.
    patience: Patience,
    /// Until those are gone, once they were.
    dying: Option<Patience>,
    then: Vec<Then>,
    timer: Option<Timeout>,
}

impl Fleet {
    /// Stops all servers, and ends those that do not stop in time. `then` is told who runs on, when `at_least` has
    /// passed. If they are being stopped already it is told with the others; returns whether they were not.
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
            began: Instant::now(),
            at_least,
            patience: Patience::new(self.app().environment(), stop_within),
            dying: None,
            then: vec![Box::new(then)],
            timer: Some(timer),
        }));
        true
    }

    /// Ends all servers by the system's signal whose processes are known; how many those are, and how many there are.
    pub(crate) fn kill_all(&self) -> (usize, usize) {
        self.end();
        let all: Vec<Target> = self.targets().into_iter().chain(self.starting()).collect();
        (all.iter().filter(|target| self.kill(target)).count(), all.len())
    }

    /// A server has registered that was on its way when all were told to stop.
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
        ending.left.retain(|target| !self.is_gone(target));
        if ending.dying.is_none() && ending.patience.is_over(heard) {
            ending.dying = Some(Patience::new(self.app().environment(), TO_DIE));
            ending.left.iter().for_each(|target| self.end_by_force(target));
        }
        let is_over =
            ending.left.is_empty() || ending.dying.as_mut().is_some_and(|dying| dying.is_over(heard));
        if !is_over || ending.began.elapsed() < ending.at_least {
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
