//! What happens in an application, told to whoever asked. Mirrors `app.event` and pomelo's `lib/util/events.js`.
//!
//! The event is told in a tick of its own, so `add_servers` and the like never call back from within.

use crate::upcall::EventHandler;
use crate::{Application, ServerInfo};
use async_wrap::layer::HandlerCell;
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;

/// An event of an application.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AppEvent {
    /// This server, of this id, has started (`start_server`), also if a component failed after its start.
    StartServer(String),
    /// Every server of the configuration has started (`start_all`).
    StartAll,
    /// Servers joined (`add_servers`).
    AddServers(Vec<ServerInfo>),
    /// Servers left, by their ids (`remove_servers`).
    RemoveServers(Vec<String>),
    /// These are all the servers (`replace_servers`).
    ReplaceServers(Vec<ServerInfo>),
    /// The console adds cron jobs to this server (`add_crons`).
    AddCrons(Value),
    /// The console removes cron jobs from this server (`remove_crons`).
    RemoveCrons(Value),
}

/// What happens while a master stops all its servers; pomelo has no such events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopNews {
    /// It stops these servers, all that are there, and then itself.
    Begun(Vec<String>),
    /// A server that did not stop in time was ended by SIGKILL.
    Killed {
        /// The server.
        id: String,
        /// Its process.
        pid: i32,
    },
    /// A server that did not stop in time is left running: it is on another host, or not sure to be this process.
    Remains {
        /// The server.
        id: String,
        /// Its process, as it says.
        pid: i32,
        /// Its host.
        host: String,
    },
}

type Handler = Rc<HandlerCell<Box<dyn EventHandler>>>;

#[derive(Default)]
pub(super) struct Handlers(RefCell<Vec<Handler>>);

impl Handlers {
    /// Lets go of every handler: they may hold the application.
    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}

impl Application {
    /// Tells `handler` of every event from now on.
    pub fn on(&self, handler: impl EventHandler + 'static) -> &Self {
        let slot = HandlerCell::empty();
        slot.set(Box::new(handler) as Box<dyn EventHandler>);
        self.inner().handlers.0.borrow_mut().push(Rc::new(slot));
        self
    }

    /// Tells the handlers of an event, in the order in which they were added, before anything that is queued after this
    /// call.
    pub fn emit(&self, event: AppEvent) {
        let app = self.clone();
        self.environment().next_tick(move || app.tell(&event));
    }

    pub(super) fn tell(&self, event: &AppEvent) {
        self.each_handler(|handler| handler.on_event(self, event));
    }

    /// Tells the handlers in a tick, as `emit` does.
    pub(crate) fn emit_stop(&self, news: StopNews) {
        let app = self.clone();
        self.environment().next_tick(move || app.each_handler(|handler| handler.on_stop_all(&app, &news)));
    }

    fn each_handler(&self, tell: impl Fn(&mut dyn EventHandler)) {
        let handlers = self.inner().handlers.0.borrow().clone();
        for handler in handlers {
            handler.call(|handler| tell(&mut **handler));
        }
    }
}
