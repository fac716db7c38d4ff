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
    /// `done` is called once everything has started, or with the first failure; what has started then stays so, and
    /// what has not is left alone.
    ///
    /// With `startId=` or a `type=` other than `all` and `master` this process only starts the servers that are meant:
    /// `done` is called when they are on their way, and the state stays [`State::Inited`].
    ///
    /// Called a second time, `done` is given [`Error::AlreadyStarted`] and nothing else happens; after a `stop`,
    /// [`Error::Stopped`].
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
        inner.started_at.set(Some(Instant::now()));
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
        self.on_lifecycle(before, |lifecycle, done| lifecycle.on_before_startup(&self, done));
    }

    /// Whether this process starts servers and nothing else.
    fn is_launcher(&self) -> bool {
        match self.start_id() {
            Some(id) => id != MASTER,
            None => ![ALL, MASTER].contains(&self.start_target()),
        }
    }

    /// The components that every application has come after those of the program. One of the same name that the program
    /// has loaded takes its place.
    fn load_defaults(&self) {
        if !self.has_admin() {
            return;
        }
        if self.is_master() {
            let _ = self.load("__master__", crate::master::Master::new(self));
        }
        let _ = self.load("__monitor__", crate::monitor::Monitor::new(self));
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
        self.on_lifecycle(after, |lifecycle, done| lifecycle.on_after_startup(&self, done));
        let took = self.started_at().map(|at| at.elapsed().as_millis()).unwrap_or_default();
        log::info!(target: "pomelo", "{:?} startup in {took} ms", self.id());
        // Not queued: it comes before whatever the lifecycle has finished.
        self.tell(&AppEvent::StartServer(self.id().to_owned()));
    }

    /// Calls the components from the `index`th on, each in a tick of its own, until one fails.
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

    /// Whether it is stopped, or will be as soon as its servers are.
    fn is_stopped(&self) -> bool {
        self.state() == State::Stopped || self.fleet().is_some_and(|fleet| fleet.is_over())
    }
}

fn first_failure(failures: Vec<Error>) -> Result<()> {
    failures.into_iter().next().map_or(Ok(()), Err)
}
