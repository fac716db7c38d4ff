//! The application: one process of many, its settings and the other servers that it knows. Mirrors pomelo's
//! `lib/application.js`.

mod components;
mod events;
mod lifecycle;
mod options;
mod servers;
mod settings;
mod start;
mod state;
mod stop;

pub use events::{AppEvent, StopNews};
pub(crate) use options::{ALL, DEVELOPMENT, MASTER};
pub use options::{Mode, Options, Program};
pub use state::{Method, State};
pub use stop::ShutDown;

use crate::admin::Admin;
use crate::config::{self, AdminServer, AdminUser, ConfigError, ServersFile};
use crate::starter::{Children, Cpus, Output};
use crate::{Result, ServerInfo, cluster_seq::ClusterSeq};
use async_wrap::Environment;
use async_wrap::layer::Place;
use async_wrap::task::Waiter;
use components::Components;
use events::Handlers;
use options::{Exit, Identity};
use serde_json::Value;
use servers::Servers;
use settings::Settings;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use uv_core::Async;

/// An application: a master or one of its servers. A cheap clone, which stays on its thread.
///
/// ```no_run
/// use pomelo::{Application, Options};
/// use async_wrap::Environment;
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let env = Environment::new(&event_loop);
/// let app = Application::new(&env, Options::from_process())?;
/// app.configure("production|development", "connector", |app| {
///     app.set("heartbeat", 3);
/// });
/// app.start(|result| result.expect("the application starts"));
/// env.run(RunMode::Default)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Application(Rc<ApplicationInner>);

pub(crate) struct ApplicationInner {
    environment: Environment,
    options: Options,
    program: Program,
    identity: Identity,
    config: ServersFile,
    state: Cell<State>,
    /// By the system's clock, and by the loop's.
    started_at: Cell<Option<(Instant, Duration)>>,
    /// Whether this process was told that all servers have started.
    is_all_started: Cell<bool>,
    is_starting: Cell<bool>,
    /// The start that a stop ends.
    starting: Waiter,
    /// Nothing of the program is held any more.
    is_released: Cell<bool>,
    settings: Settings,
    components: Components,
    handlers: Handlers,
    lifecycle: lifecycle::Registered,
    servers: RefCell<Servers>,
    cluster_seq: RefCell<ClusterSeq>,
    exit: Exit,
    pub(crate) admin: Admin,
    pub(crate) cpus: RefCell<Cpus>,
    pub(crate) children: RefCell<Children>,
    pub(crate) output: Output,
    /// Dropped with the loop.
    lifeline: OnceCell<Async>,
    /// Where the program made the application.
    place: Place,
}

impl Application {
    /// An application in the state [`State::Inited`]: reads the arguments and the configuration (`createApp`).
    ///
    /// # Errors
    /// An argument that is not `key=value`; a configuration file that is missing or wrong, with file, line and key.
    #[track_caller]
    pub fn new(environment: &Environment, mut options: Options) -> Result<Self> {
        let args = crate::args::Args::parse(&options.args)?;
        let name = args.environment(options.node_env.as_deref());
        let master = config::load_master(&options.base, &name)?;
        let mut cluster_seq = ClusterSeq::default();
        let config = config::load_servers(&options.base, &name, &mut cluster_seq)?;
        let identity = Identity::new(args, name, master)?;
        let (exit, program) = (options.take_exit(), options.take_program());
        let output = Output::new(options.output.take());
        log::info!(target: "pomelo", "application inited: {:?}", identity.id);
        Ok(Self(Rc::new(ApplicationInner {
            environment: environment.clone(),
            options,
            program,
            identity,
            config,
            state: Cell::new(State::Inited),
            started_at: Cell::new(None),
            is_all_started: Cell::new(false),
            is_starting: Cell::new(false),
            starting: Waiter::default(),
            is_released: Cell::new(false),
            settings: Settings::default(),
            components: Components::default(),
            handlers: Handlers::default(),
            lifecycle: lifecycle::Registered::default(),
            servers: RefCell::default(),
            cluster_seq: RefCell::new(cluster_seq),
            exit,
            admin: Admin::default(),
            cpus: RefCell::default(),
            children: RefCell::default(),
            output,
            lifeline: OnceCell::new(),
            place: Place::caller(),
        }))
        .tied_to_loop())
    }

    /// The environment in which the application's callbacks run.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// The name of the environment, such as `development`, which selects a part of the configuration (`app.get('env')`).
    #[must_use]
    pub fn env(&self) -> &str {
        &self.0.identity.env
    }

    /// Whether the environment is `development`, in which servers are children that share the master's terminal.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.env() == DEVELOPMENT
    }

    /// The folder of `config/`.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.0.options.base
    }

    /// This server's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.identity.id
    }

    /// This server's type; `master` for the master.
    #[must_use]
    pub fn server_type(&self) -> &str {
        &self.0.identity.server_type
    }

    /// Whether this is the master.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.server_type() == MASTER
    }

    /// Whether clients connect to this server: its record has `"frontend": true`, or `"true"`.
    #[must_use]
    pub fn is_frontend(&self) -> bool {
        let frontend = self.0.identity.cur_server.get("frontend");
        frontend.is_some_and(|value| value == &Value::Bool(true) || value == "true")
    }

    /// The master's record: `id`, `host` and `port` of `master.json`.
    #[must_use]
    pub fn master(&self) -> &ServerInfo {
        &self.0.identity.master
    }

    /// The record with which this server registers: its arguments, `main` and `env` included; in the master its record of
    /// `master.json` (`getCurServer`).
    #[must_use]
    pub fn cur_server(&self) -> &ServerInfo {
        &self.0.identity.cur_server
    }

    /// Whether a master starts servers.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.identity.mode
    }

    /// The program that the servers of this application run.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.0.program
    }

    /// The state of the application.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.state.get()
    }

    /// The time of the call of `start`; a refused call does not change it.
    #[must_use]
    pub fn started_at(&self) -> Option<Instant> {
        self.0.started_at.get().map(|(at, _)| at)
    }

    /// The time since then, by the loop's clock.
    pub(crate) fn uptime(&self) -> Duration {
        let started_at = self.0.started_at.get();
        started_at.map(|(_, at)| self.loop_time().saturating_sub(at)).unwrap_or_default()
    }

    /// The time of the loop, as of now.
    fn loop_time(&self) -> Duration {
        let event_loop = self.environment().loop_handle();
        event_loop.update_time();
        event_loop.now()
    }

    /// The users of the admin console; nothing if there is no `adminUser.json`.
    pub(crate) fn admin_users(&self) -> Result<Option<Vec<AdminUser>>, ConfigError> {
        config::load_users(self.base(), self.env())
    }

    /// The tokens of server types; nothing if there is no `adminServer.json`.
    pub(crate) fn admin_servers(&self) -> Result<Option<Vec<AdminServer>>, ConfigError> {
        config::load_tokens(self.base(), self.env())
    }

    /// The servers to start: `all`, a server type, or a server's id (`startId=`, else `type=`).
    pub(crate) fn start_target(&self) -> &str {
        self.start_id().unwrap_or(&self.0.identity.run_type)
    }

    /// Ends the process by [`Options::on_exit`].
    fn exit(&self, code: i32) {
        (self.0.exit)(code);
    }

    /// Ends the process without a stop. All that the program gave is dropped first, in case the process goes on.
    pub(crate) fn end(&self, code: i32) {
        self.0.state.set(State::Stopped);
        self.release();
        self.exit(code);
    }

    pub(crate) fn inner(&self) -> &ApplicationInner {
        &self.0
    }

    /// Has the application released when its loop is dropped, also if it was never stopped.
    fn tied_to_loop(self) -> Self {
        let end = EndOfLoop(Rc::downgrade(&self.0));
        let _place = self.place().mark();
        let lifeline = Async::new(self.environment().loop_handle(), move |_| {
            let _ = &end;
        });
        lifeline.unref();
        // It is empty.
        let _ = self.0.lifeline.set(lifeline);
        self
    }

    /// Drops all that the program gave, which may hold the application.
    fn release(&self) {
        self.0.is_released.set(true);
        self.0.lifeline.get().iter().for_each(|lifeline| lifeline.close());
        self.0.components.clear();
        self.0.handlers.clear();
        self.0.lifecycle.clear();
        self.0.admin.clear();
        self.0.starting.wake();
    }

    pub(crate) fn start_id(&self) -> Option<&str> {
        self.0.identity.start_id.as_deref()
    }

    fn has_admin(&self) -> bool {
        self.0.options.has_admin
    }

    /// The place for which the application makes its handles.
    pub(crate) fn place(&self) -> Place {
        self.0.place
    }

    fn stop_limit(&self) -> Duration {
        self.0.options.stop_limit
    }
}

/// Releases an application when its loop is dropped: its components and its modules hold it, and it holds the loop.
struct EndOfLoop(Weak<ApplicationInner>);

impl Drop for EndOfLoop {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            Application(inner).release();
        }
    }
}

impl Drop for ApplicationInner {
    fn drop(&mut self) {
        self.lifeline.get().iter().for_each(|lifeline| lifeline.close());
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("id", &self.id())
            .field("env", &self.env())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
