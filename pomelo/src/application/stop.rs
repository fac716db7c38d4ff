//! The stop: one component after the other, in the order of the start, within a time limit. Mirrors `stop` of pomelo's
//! `lib/application.js` and `stopComps` of its `lib/util/appUtil.js`.

use crate::patience::set_patience;
use crate::upcall::Component;
use crate::{Application, Method, State};
use async_wrap::Timeout;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Continues the stop after [`Lifecycle::on_before_shutdown`](crate::upcall::Lifecycle::on_before_shutdown): the components
/// stop once it is [used](Self::go) or dropped.
pub struct ShutDown(Option<Stopping>);

/// A stop in progress.
#[derive(Clone)]
struct Stopping {
    app: Application,
    force: bool,
    progress: Rc<Progress>,
}

struct Progress {
    /// What the stop waits for, in words.
    waits_for: RefCell<String>,
    /// Whether the time limit has ended the stop.
    is_over: Cell<bool>,
    limit: RefCell<Option<Timeout>>,
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
        if self.inner().state.replace(State::Stopped) == State::Stopped {
            log::warn!(target: "pomelo", "[pomelo application] application is not running now.");
            return;
        }
        let progress = Progress {
            waits_for: RefCell::new("beforeShutdown of the lifecycle".into()),
            is_over: Cell::new(false),
            limit: RefCell::default(),
        };
        let stopping = Stopping { app: self.clone(), force, progress: Rc::new(progress) };
        let late = stopping.clone();
        let limit = set_patience(self.environment(), self.stop_limit(), move || late.time_is_up());
        stopping.progress.limit.replace(Some(limit));
        self.environment().next_tick(move || stopping.begin());
    }
}

impl Stopping {
    fn begin(self) {
        let app = self.app.clone();
        let shut_down = ShutDown(Some(self));
        app.on_lifecycle(|lifecycle| lifecycle.on_before_shutdown(&app, shut_down));
    }

    fn stop_from(self, index: usize) {
        if self.progress.is_over.get() {
            return;
        }
        let Some(loaded) = self.app.inner().components.nth(index) else { return self.finish() };
        self.progress.waits_for.replace(format!("component {:?}", loaded.name));
        let (app, force) = (self.app.clone(), self.force);
        let call = |component: &mut dyn Component, done| component.on_stop(&app, force, done);
        // A failure has been logged.
        app.operate(&loaded, Method::Stop, call, move |_| self.stop_from(index + 1));
    }

    fn finish(&self) {
        self.progress.cancel_limit();
        self.end(self.force);
    }

    fn time_is_up(&self) {
        let (limit, waits_for) = (self.app.stop_limit(), self.progress.waits_for.borrow().clone());
        log::error!(target: "pomelo", "{:?}: {waits_for} did not finish its stop within {limit:?}", self.app.id());
        self.progress.is_over.set(true);
        self.end(true);
    }

    fn end(&self, exits: bool) {
        self.app.release();
        if exits {
            self.app.exit(0);
        }
    }
}

impl Progress {
    fn cancel_limit(&self) {
        if let Some(limit) = self.limit.take() {
            limit.clear();
        }
    }
}

impl ShutDown {
    /// Continues the stop.
    pub fn go(mut self) {
        self.proceed();
    }

    /// Removes the time limit of this stop: the process ends when the components have stopped, however long it takes.
    pub fn cancel_time_limit(&self) {
        if let Some(stopping) = &self.0 {
            stopping.progress.cancel_limit();
        }
    }

    fn proceed(&mut self) {
        if let Some(stopping) = self.0.take() {
            let environment = stopping.app.environment().clone();
            environment.next_tick(move || stopping.stop_from(0));
        }
    }
}

impl Drop for ShutDown {
    fn drop(&mut self) {
        self.proceed();
    }
}

impl fmt::Debug for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutDown").finish_non_exhaustive()
    }
}
