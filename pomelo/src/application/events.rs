//! The events of an application. Mirrors `app.event` and pomelo's `lib/util/events.js`.
//!
//! Handlers are called in a tick of their own, never from within `add_servers` and the like.

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

/// The events while a master stops all its servers; pomelo has none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopNews {
    /// The master stops these servers, which are all of its servers, and then itself.
    Begun(Vec<String>),
    /// A server that did not stop in time was ended by SIGKILL.
    Killed {
        /// The server.
        id: String,
        /// Its process.
        pid: i32,
    },
    /// A server that did not stop in time is left running: it is on another host, or not certainly this process.
    Remains {
        /// The server.
        id: String,
        /// Its process id, as it registered.
        pid: i32,
        /// Its host.
        host: String,
    },
}

type Handler = Rc<HandlerCell<Box<dyn EventHandler>>>;

#[derive(Default)]
pub(super) struct Handlers(RefCell<Vec<Handler>>);

impl Handlers {
    /// Drops every handler: they may hold the application.
    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}

impl Application {
    /// Calls `handler` for every event from now on.
    pub fn on(&self, handler: impl EventHandler + 'static) -> &Self {
        let slot = HandlerCell::empty();
        slot.set(Box::new(handler) as Box<dyn EventHandler>);
        self.inner().handlers.0.borrow_mut().push(Rc::new(slot));
        self
    }

    /// Reports an event to the handlers, in the order in which they were added, before any tick that is queued after this
    /// call.
    pub fn emit(&self, event: AppEvent) {
        let app = self.clone();
        self.environment().next_tick(move || app.tell(&event));
    }

    pub(super) fn tell(&self, event: &AppEvent) {
        self.each_handler(|handler| handler.on_event(self, event));
    }

    /// Reports to the handlers in a tick, as `emit` does.
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
