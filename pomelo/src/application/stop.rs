//! The stop: one component after the other, in the order of the start, within a time limit. Mirrors `stop` of pomelo's
//! `lib/application.js` and `stopComps` of its `lib/util/appUtil.js`.

use super::components::failed;
use crate::patience::Limit;
use crate::upcall::Component;
use crate::{Application, Completion, Method, State};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Continues the stop after [`Lifecycle::on_before_shutdown`](crate::upcall::Lifecycle::on_before_shutdown): the components
/// stop once it is [used](Self::go) or dropped.
pub struct ShutDown {
    done: Completion,
    limit: Rc<Limit>,
}

impl Application {
    /// Stops every server of this master and then the master itself, as [`stop`](Self::stop) does.
    ///
    /// Registered servers are told to stop, starting servers are sent SIGTERM, and no server is started from then on.
    /// Servers that have not ended within [`Times::stop_within`](crate::admin::Times::stop_within) are ended by SIGKILL, if
    /// their processes are known: children of this process, and processes of this host whose command line has the
    /// server's id. [`StopNews`](crate::StopNews) reports all this to the handlers, and the servers that are left running.
    ///
    /// A server, and a master that has not begun to start, only stop themselves. A second call only logs a warning.
    pub fn stop_all(&self, force: bool) {
        let Some(fleet) = self.fleet().filter(|_| self.state() != State::Stopped) else {
            return self.stop(force);
        };
        let app = self.clone();
        if !fleet.stop_all(Duration::ZERO, move |_| app.stop(force)) {
            log::warn!(target: "pomelo", "all servers are being stopped already");
        }
    }

    /// Ends every server of this master whose process is known by SIGKILL, without waiting: for a user who waits for
    /// [`stop_all`](Self::stop_all) no longer. Returns the number of these servers and the number of all.
    pub fn kill_all(&self) -> (usize, usize) {
        self.fleet().map(|fleet| fleet.kill_all()).unwrap_or_default()
    }

    /// Stops the components in the order in which they were loaded, then, with `force`, ends the process. A component
    /// that fails does not hold up the others; a component that does not finish is named in the log when the time limit
    /// ends the process, with code 0. Without `force` the process goes on.
    ///
    /// A master's servers go on: in production they outlive it. [`stop_all`](Self::stop_all) stops them too.
    ///
    /// A second call only logs a warning.
    pub fn stop(&self, force: bool) {
        // Up to its first `await` now: the state is `Stopped` when this returns.
        self.environment().start_detached(self.clone().end_components(force));
    }

    /// Like [`stop`](Self::stop), for a task that awaits it; after a second call it waits for nothing. Dropping the future
    /// lets the stop go on.
    pub async fn shutdown(&self, force: bool) {
        let (app, (done, stopped)) = (self.clone(), Completion::pair(self.environment()));
        self.environment().start_detached(async move {
            app.end_components(force).await;
            done.ok(());
        });
        // Fails if the loop has ended.
        let _ = stopped.await;
    }

    async fn end_components(self, force: bool) {
        if self.inner().state.replace(State::Stopped) == State::Stopped {
            log::warn!(target: "pomelo", "[pomelo application] application is not running now.");
            return;
        }
        let limit = Rc::new(Limit::new(self.environment(), self.stop_limit()));
        let waits_for = RefCell::new("beforeShutdown of the lifecycle".to_owned());
        let is_in_time = limit.hold(self.stop_components(force, &limit, &waits_for)).await.is_some();
        if !is_in_time {
            let (waits_for, limit) = (waits_for.borrow(), self.stop_limit());
            log::error!(target: "pomelo", "{:?}: {waits_for} did not finish its stop within {limit:?}", self.id());
        }
        self.release();
        if force || !is_in_time {
            self.exit(0);
        }
    }

    /// Calls the lifecycle and then each component, and tells `waits_for` what it waits for, in words.
    async fn stop_components(&self, force: bool, limit: &Rc<Limit>, waits_for: &RefCell<String>) {
        let limit = Rc::clone(limit);
        let told = self.call_lifecycle(move |lifecycle, app, done| {
            lifecycle.on_before_shutdown(app, ShutDown { done, limit });
        });
        // Dropped is as good as used.
        let _ = told.await;
        for component in self.loaded() {
            let name = component.name.clone();
            waits_for.replace(format!("component {name:?}"));
            let stop =
                move |part: &mut dyn Component, app: &Self, done: Completion| part.on_stop(app, force, done);
            if let Err(failure) = self.call_component(component, stop).await {
                failed(name, Method::Stop, failure);
            }
        }
    }
}

impl ShutDown {
    /// Continues the stop.
    pub fn go(self) {
        self.done.ok(());
    }

    /// Removes the time limit of this stop: the process ends when the components have stopped, however long it takes.
    pub fn cancel_time_limit(&self) {
        self.limit.take_off();
    }
}

impl fmt::Debug for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutDown").finish_non_exhaustive()
    }
}
