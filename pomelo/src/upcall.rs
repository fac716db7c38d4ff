//! All upcalls of this layer: the traits that a program implements for an application.

use crate::admin::{Agent, Login, MasterAgent, MonitorAgent, Reply, Schedule, ServerClaim, Session, User};
use crate::application::ShutDown;
use crate::starter::OutputOf;
use crate::{AppEvent, Application, Completion, Failure, Result, StopNews};
use serde_json::Value;

/// A part of an application, started and stopped with it. Mirrors the components that pomelo's `app.load` takes.
///
/// Each call ends with its [`Completion`], now or later; the next component waits for it. A method that is not implemented
/// succeeds at once. A component may also be an [`AsyncComponent`](crate::futures::AsyncComponent).
///
/// ```
/// use pomelo::upcall::Component;
/// use pomelo::{Application, Completion};
///
/// struct Database;
///
/// impl Component for Database {
///     fn on_start(&mut self, _: &Application, done: Completion) {
///         // Connect here, and call `done` once that has ended: the next component waits for it.
///         done.ok(());
///     }
/// }
/// ```
pub trait Component {
    /// The application starts; the components before this one have started.
    fn on_start(&mut self, app: &Application, done: Completion) {
        let _ = app;
        done.ok(());
    }

    /// Every component has started.
    fn on_after_start(&mut self, app: &Application, done: Completion) {
        let _ = app;
        done.ok(());
    }

    /// The application stops; with `force` the process will end. A failure is logged and holds up nothing.
    fn on_stop(&mut self, app: &Application, force: bool, done: Completion) {
        let _ = (app, force);
        done.ok(());
    }
}

/// The callbacks around a server's start and end. Mirrors the functions that a `lifecycle.js` exports.
pub trait Lifecycle {
    /// Before the first component starts (`beforeStartup`). A failure ends the start.
    fn on_before_startup(&mut self, app: &Application, done: Completion) {
        let _ = app;
        done.ok(());
    }

    /// After the last component has started, also if one failed in its `on_after_start` (`afterStartup`). The callback
    /// of [`Application::start`] waits for it.
    fn on_after_startup(&mut self, app: &Application, done: Completion) {
        let _ = app;
        done.ok(());
    }

    /// Before the first component stops (`beforeShutdown`).
    fn on_before_shutdown(&mut self, app: &Application, shut_down: ShutDown) {
        let _ = app;
        shut_down.go();
    }

    /// Every server of the configuration has started (`afterStartAll`); called in each of them and in the master.
    fn on_after_start_all(&mut self, app: &Application) {
        let _ = app;
    }
}

/// A lifecycle that does nothing.
impl Lifecycle for () {}

/// A listener of an application's events. Mirrors listeners of pomelo's `app.event`.
pub trait EventHandler {
    /// An event happened.
    fn on_event(&mut self, app: &Application, event: &AppEvent);

    /// A master stops all its servers: see [`Application::stop_all`].
    fn on_stop_all(&mut self, app: &Application, news: &StopNews) {
        let _ = (app, news);
    }
}

impl<F: FnMut(&Application, &AppEvent)> EventHandler for F {
    fn on_event(&mut self, app: &Application, event: &AppEvent) {
        self(app, event);
    }
}

/// A set of components and event handlers that belong together. Mirrors what pomelo's `app.use` takes.
pub trait Plugin {
    /// The plugin loads its components and adds its handlers.
    ///
    /// # Errors
    /// The error of [`Application::load`], or the plugin's own.
    fn on_use(&mut self, app: &Application) -> Result<()>;
}

/// The receiver of the output of servers that were started attached, in development.
pub trait OutputHandler {
    /// A server wrote; the bytes may begin and end anywhere in a line.
    fn on_output(&mut self, from: &OutputOf, data: &[u8]);
}

impl<F: FnMut(&OutputOf, &[u8])> OutputHandler for F {
    fn on_output(&mut self, from: &OutputOf, data: &[u8]) {
        self(from, data);
    }
}

/// A module of the admin console: one object in the master's agent, one in that of each server, the master included.
/// Mirrors the modules that pomelo's `app.registerAdmin` takes.
///
/// Each message names its module. A message to a method that is not implemented is answered with that.
pub trait Module {
    /// The module was added to an agent. Returns when the clock is to call the module, if at all. Called once.
    fn on_register(&mut self) -> Option<Schedule> {
        None
    }

    /// The agent listens, or has registered; the module before this one has started.
    fn on_start(&mut self, agent: &Agent, done: Completion) {
        let _ = agent;
        done.ok(());
    }

    /// In the master: a server sent a notice or a request; or the clock of a `Pull` module calls, without a message.
    fn on_master(&mut self, agent: &MasterAgent, message: Option<Value>, reply: Reply) {
        let _ = (agent, message);
        reply.no_method("masterHandler");
    }

    /// In a server: the master sent a notice or a request; or the clock of a `Push` module calls, without a message.
    fn on_monitor(&mut self, agent: &MonitorAgent, message: Option<Value>, reply: Reply) {
        let _ = (agent, message);
        reply.no_method("monitorHandler");
    }

    /// In the master: a user sent a notice or a request. The module checks the permission:
    /// [`User::check_level`](crate::admin::User::check_level) is pomelo's rule.
    fn on_client(&mut self, agent: &MasterAgent, session: &Session, message: Value, reply: Reply) {
        let _ = (agent, session, message);
        reply.no_method("clientHandler");
    }
}

/// A listener of the servers that come to a master and leave it. Mirrors the events of a master's `ConsoleService`.
pub trait MasterHandler {
    /// An authorized server is about to be given its id. An id belongs to the type that had it first, which is checked
    /// elsewhere.
    ///
    /// # Errors
    /// Refuses the server, which is told the reason.
    fn on_admit(&mut self, agent: &MasterAgent, server: &ServerClaim) -> Result<(), Failure> {
        let _ = (agent, server);
        Ok(())
    }

    /// A server has registered; the master's own monitor is one.
    fn on_register(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        let _ = (agent, server);
    }

    /// A server has reconnected.
    fn on_reconnect(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        let _ = (agent, server);
    }

    /// A server has left, or its connection was lost.
    fn on_disconnect(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        let _ = (agent, server);
    }
}

/// Ignores all events.
impl MasterHandler for () {}

/// Decides on registrations with a master. Mirrors `authUser` and `authServer` of pomelo's `masterConfig`.
pub trait Authority {
    /// A user logs in.
    fn on_login(&mut self, login: &Login, done: Completion<User>);

    /// A server registers, or reconnects with a token. Not called for the type `master`, which only the master's own
    /// monitor has.
    fn on_server(&mut self, server: &ServerClaim, done: Completion);
}
