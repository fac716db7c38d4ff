//! The start: one component after the other, then one `on_after_start` after the other. Mirrors `start` and
//! `afterStart` of pomelo's `lib/application.js`, and `startByType` of its `lib/util/appUtil.js`.

use super::components::failed;
use super::options::{ALL, MASTER};
use crate::{AppEvent, Application, Completion, Error, Failure, Method, Result, State, starter};
use std::time::Instant;

type Callback = Box<dyn FnOnce(Result<()>)>;
type Then = Box<dyn FnOnce(Application, Result<()>)>;

impl Application {
    /// Starts the application: the components that were loaded, then the default ones, strictly one after the other.
    /// `done` is called once all have started, or with the first failure; components that have started then stay started.
    ///
    /// With `startId=` or a `type=` other than `all` and `master` this process only starts the servers that are named:
    /// `done` is called when their processes have been started, and the state stays [`State::Inited`].
    ///
    /// A second call only gives `done` [`Error::AlreadyStarted`]; a call after `stop`, [`Error::Stopped`].
    pub fn start(&self, done: impl FnOnce(Result<()>) + 'static) {
        let inner = self.inner();
        if self.is_stopped() {
            self.environment().next_tick(|| done(Err(Error::Stopped)));
            return;
        }
        if inner.is_starting.replace(true) || self.state() > State::Inited {
            self.environment().next_tick(|| done(Err(Error::AlreadyStarted)));
            return;
        }
        inner.started_at.set(Some((Instant::now(), self.loop_time())));
        let (app, done): (_, Callback) = (self.clone(), Box::new(done));
        self.environment().next_tick(move || app.begin(done));
    }

    fn begin(self, done: Callback) {
        if self.is_stopped() {
            return done(Err(Error::Stopped));
        }
        if self.is_launcher() {
            self.inner().is_starting.set(false);
            return done(starter::run_servers(&self).and_then(first_failure));
        }
        self.load_defaults();
        let (app, name) = (self.clone(), Method::BeforeStartup);
        let before = Completion::new(self.environment(), move |result: Result<(), Failure>| match result {
            Ok(()) => app.start_components(done),
            Err(failure) => app.components_started(Err(failed("lifecycle", name, failure)), done),
        });
        self.on_lifecycle(|lifecycle| lifecycle.on_before_startup(&self, before));
    }

    /// Whether this process only starts servers.
    fn is_launcher(&self) -> bool {
        match self.start_id() {
            Some(id) => id != MASTER,
            None => ![ALL, MASTER].contains(&self.start_target()),
        }
    }

    /// Loads the default components, after those of the program. A component of the same name that the program has loaded
    /// takes the place of a default one.
    fn load_defaults(&self) {
        if !self.has_admin() {
            return;
        }
        if self.is_master() {
            let _ = self.load("__master__", crate::master::Master::default());
        }
        let _ = self.load("__monitor__", crate::monitor::Monitor::default());
    }

    fn start_components(self, done: Callback) {
        self.series(0, Method::Start, Box::new(|app, result| app.components_started(result, done)));
    }

    fn components_started(self, result: Result<()>, done: Callback) {
        if self.is_stopped() {
            return done(Err(Error::Stopped));
        }
        self.inner().state.set(State::Start);
        if result.is_err() {
            return done(result);
        }
        log::info!(target: "pomelo", "{:?} enter after start...", self.id());
        self.series(0, Method::AfterStart, Box::new(|app, result| app.finish(result, done)));
    }

    fn finish(self, result: Result<()>, done: Callback) {
        if self.is_stopped() {
            return done(Err(Error::Stopped));
        }
        self.inner().state.set(State::Started);
        if result.is_ok() {
            log::info!(target: "pomelo", "{:?} finish start", self.id());
        }
        let after = Completion::new(self.environment(), move |told: Result<(), Failure>| {
            let told = told.map_err(|failure| failed("lifecycle", Method::AfterStartup, failure));
            done(result.and(told));
        });
        self.on_lifecycle(|lifecycle| lifecycle.on_after_startup(&self, after));
        let took = self.uptime().as_millis();
        log::info!(target: "pomelo", "{:?} startup in {took} ms", self.id());
        // Not queued: it comes before the completion of the lifecycle.
        self.tell(&AppEvent::StartServer(self.id().to_owned()));
    }

    /// Calls the components from the `index`th on, each in its own tick, until one fails.
    fn series(self, index: usize, method: Method, then: Then) {
        if self.is_stopped() {
            return then(self, Err(Error::Stopped));
        }
        let Some(loaded) = self.inner().components.nth(index) else { return then(self, Ok(())) };
        let app = self.clone();
        let next = move |result| match result {
            Ok(()) => app.series(index + 1, method, then),
            Err(error) => then(app, Err(error)),
        };
        let call = |component: &mut dyn crate::upcall::Component, done| match method {
            Method::AfterStart => component.on_after_start(&self, done),
            _ => component.on_start(&self, done),
        };
        self.operate(&loaded, method, call, next);
    }

    /// Whether the application is stopped, or will be as soon as its servers are.
    fn is_stopped(&self) -> bool {
        self.state() == State::Stopped || self.fleet().is_some_and(|fleet| fleet.is_over())
    }
}

fn first_failure(failures: Vec<Error>) -> Result<()> {
    failures.into_iter().next().map_or(Ok(()), Err)
}
