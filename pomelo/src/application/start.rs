//! The start: one component after the other, then one `on_after_start` after the other. Mirrors `start` and
//! `afterStart` of pomelo's `lib/application.js`, and `startByType` of its `lib/util/appUtil.js`.

use super::components::{Call, failed};
use super::options::{ALL, MASTER};
use crate::futures::Awaited;
use crate::master::Master;
use crate::monitor::Monitor;
use crate::{AppEvent, Application, Error, Method, Result, State, starter};
use async_wrap::layer::OnDrop;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

impl Application {
    /// Starts the application: the components that were loaded, then the default ones, strictly one after the other.
    /// `done` is called once all have started, or with the first failure; components that have started then stay started.
    ///
    /// With `startId=` or a `type=` other than `all` and `master` this process only starts the servers that are named:
    /// `done` is called when their processes have been started, and the state stays [`State::Inited`].
    ///
    /// A second call only gives `done` [`Error::AlreadyStarted`]; a call after `stop`, [`Error::Stopped`]. A stop ends a start, with
    /// [`Error::Stopped`], at the latest when it has ended itself.
    pub fn start(&self, done: impl FnOnce(Result<()>) + 'static) {
        let (app, claimed) = (self.clone(), self.claim_start());
        let starting = async move {
            claimed?;
            app.start_until_stopped().await
        };
        self.environment().spawn_detached(async move { done(starting.await) });
    }

    /// Like [`start`](Self::start), for a task that awaits it. Dropping the future gives the start up: the component that is
    /// starting may still finish, those after it are not started, and a [`stop`](Self::stop) stops them all.
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`], [`Error::Stopped`], or the first failure.
    pub async fn startup(&self) -> Result<()> {
        self.claim_start()?;
        self.start_until_stopped().await
    }

    /// Awaits the start, or the end of the stop that interrupts it: a component whose completion is never used may hold it up.
    async fn start_until_stopped(&self) -> Result<()> {
        let inner = self.inner();
        let _left = OnDrop::new(|| {
            inner.starting.leave();
        });
        let mut started = pin!(self.start_claimed());
        poll_fn(|context| {
            let polled = started.as_mut().poll(context);
            if polled.is_pending() && inner.is_released.get() {
                return Poll::Ready(Err(Error::Stopped));
            }
            inner.starting.wait(context);
            polled
        })
        .await
    }

    fn claim_start(&self) -> Result<()> {
        self.check_running()?;
        let inner = self.inner();
        if inner.is_starting.replace(true) || self.state() > State::Inited {
            return Err(Error::AlreadyStarted);
        }
        inner.started_at.set(Some((Instant::now(), self.loop_time())));
        Ok(())
    }

    async fn start_claimed(&self) -> Result<()> {
        self.check_running()?;
        if self.is_launcher() {
            self.inner().is_starting.set(false);
            return starter::run_servers(self)?.into_iter().next().map_or(Ok(()), Err);
        }
        self.load_defaults();
        let started = self.start_components().await;
        self.reach(State::Start)?;
        started?;
        log::info!(target: "pomelo", "{:?} enter after start...", self.id());
        let started =
            self.call_components(Method::AfterStart, |part, app, done| part.on_after_start(app, done)).await;
        self.reach(State::Started)?;
        if started.is_ok() {
            log::info!(target: "pomelo", "{:?} finish start", self.id());
        }
        let told = self.call_lifecycle(|lifecycle, app, done| lifecycle.on_after_startup(app, done));
        self.announce_start();
        started.and(told.await.map_err(|failure| failed("lifecycle", Method::AfterStartup, failure)))
    }

    async fn start_components(&self) -> Result<()> {
        let told = self.call_lifecycle(|lifecycle, app, done| lifecycle.on_before_startup(app, done)).await;
        self.check_running()?;
        told.map_err(|failure| failed("lifecycle", Method::BeforeStartup, failure))?;
        self.call_components(Method::Start, |part, app, done| part.on_start(app, done)).await
    }

    /// Calls the components one after the other, until one fails.
    async fn call_components(&self, method: Method, call: Call) -> Result<()> {
        for component in self.loaded() {
            let name = component.name.clone();
            let called = self.call_component(component, call).await;
            // What is given up because of the stop has not failed.
            self.check_running()?;
            called.map_err(|failure| failed(name, method, failure))?;
        }
        Ok(())
    }

    /// In a tick, behind the call of the lifecycle and before anything that comes of it.
    fn announce_start(&self) {
        let app = self.clone();
        self.environment().next_tick(move || {
            log::info!(target: "pomelo", "{:?} startup in {} ms", app.id(), app.uptime().as_millis());
            app.tell(&AppEvent::StartServer(app.id().to_owned()));
        });
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
            let _ = self.load("__master__", Awaited::new(Master::default()));
        }
        let _ = self.load("__monitor__", Awaited::new(Monitor::default()));
    }

    fn reach(&self, state: State) -> Result<()> {
        self.check_running()?;
        self.inner().state.set(state);
        Ok(())
    }

    /// Fails if the application is stopped, or will be as soon as its servers are.
    fn check_running(&self) -> Result<()> {
        let is_stopped = self.state() == State::Stopped || self.fleet().is_some_and(|fleet| fleet.is_over());
        if is_stopped { Err(Error::Stopped) } else { Ok(()) }
    }
}
