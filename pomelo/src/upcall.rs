//! Everything that this layer calls upward: what a program gives to an application.

use crate::admin::{Agent, Login, MasterAgent, MonitorAgent, Reply, Schedule, ServerClaim, Session, User};
use crate::application::ShutDown;
use crate::starter::OutputOf;
use crate::{AppEvent, Application, Completion, Failure, Result, StopNews};
use serde_json::Value;

/// A part of an application, started and stopped with it. Mirrors the components that pomelo's `app.load` takes.
///
/// Each call is to end with its [`Completion`], now or later; the next component waits for it. What is not implemented
/// succeeds at once.
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

    /// The application stops; `force` says that the process will end. A failure is logged and stops nothing.
    fn on_stop(&mut self, app: &Application, force: bool, done: Completion) {
        let _ = (app, force);
        done.ok(());
    }
}

/// What a server does around its start and its end. Mirrors the functions that a `lifecycle.js` exports.
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

/// Whoever wants to know what happens in an application. Mirrors listeners of pomelo's `app.event`.
pub trait EventHandler {
    /// Something happened.
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
    /// What `Application::load` says, or a reason of the plugin's own.
    fn on_use(&mut self, app: &Application) -> Result<()>;
}

/// Where the output of servers goes that were started attached, in development.
pub trait OutputHandler {
    /// A server wrote; the bytes are lent for the call, and may begin or end anywhere in a line.
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
/// Messages name the module that they are for. What is not implemented is answered so.
pub trait Module {
    /// The module was added to an agent, once: when is it to be called by the clock, if at all?
    fn on_register(&mut self) -> Option<Schedule> {
        None
    }

    /// The agent listens, or has registered; the module before this one has started.
    fn on_start(&mut self, agent: &Agent, done: Completion) {
        let _ = agent;
        done.ok(());
    }

    /// In the master: a server says or asks something; or the clock of a `Pull` module calls, without a message.
    fn on_master(&mut self, agent: &MasterAgent, message: Option<Value>, reply: Reply) {
        let _ = (agent, message);
        reply.no_method("masterHandler");
    }

    /// In a server: the master says or asks something; or the clock of a `Push` module calls, without a message.
    fn on_monitor(&mut self, agent: &MonitorAgent, message: Option<Value>, reply: Reply) {
        let _ = (agent, message);
        reply.no_method("monitorHandler");
    }

    /// In the master: a user says or asks something. Whether the user may do so is the module's to say:
    /// [`User::check_level`](crate::admin::User::check_level) is pomelo's rule.
    fn on_client(&mut self, agent: &MasterAgent, session: &Session, message: Value, reply: Reply) {
        let _ = (agent, session, message);
        reply.no_method("clientHandler");
    }
}

/// Whoever wants to know of a master's servers. Mirrors the events of a master's `ConsoleService`.
pub trait MasterHandler {
    /// A server that may register for its type is about to have its id: may it? Ids are tied to the type that had them
    /// first; this is for what else is known of them.
    ///
    /// # Errors
    /// Why not; the server is told.
    fn on_admit(&mut self, agent: &MasterAgent, server: &ServerClaim) -> Result<(), Failure> {
        let _ = (agent, server);
        Ok(())
    }

    /// A server has registered; the master's own monitor is one.
    fn on_register(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        let _ = (agent, server);
    }

    /// A server has come back.
    fn on_reconnect(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        let _ = (agent, server);
    }

    /// A server has left, or its connection was lost.
    fn on_disconnect(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        let _ = (agent, server);
    }
}

/// Nobody wants to know.
impl MasterHandler for () {}

/// Decides who may register with a master. Mirrors `authUser` and `authServer` of pomelo's `masterConfig`.
pub trait Authority {
    /// A user logs in.
    fn on_login(&mut self, login: &Login, done: Completion<User>);

    /// A server registers, or comes back with a token. One of type `master` is not asked about: only the master's own
    /// monitor is one.
    fn on_server(&mut self, server: &ServerClaim, done: Completion);
}
