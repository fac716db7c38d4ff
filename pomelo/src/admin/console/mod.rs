//! The console: the admin modules of a process, which are called by messages and by the clock. Mirrors pomelo-admin's
//! `ConsoleService`.

mod schedule;

pub use schedule::{Pace, Schedule};

use crate::admin::agent::{Agent, WeakAgent};
use crate::admin::message::Response;
use crate::admin::reply::Reply;
use crate::upcall::Module;
use crate::{Completion, Failure};
use async_wrap::layer::HandlerCell;
use async_wrap::{Environment, Timeout};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The modules of one process, and what they keep for each other.
#[derive(Default)]
pub(crate) struct Console {
    modules: RefCell<Vec<Rc<Record>>>,
    values: RefCell<BTreeMap<String, Value>>,
}

struct Record {
    id: String,
    module: HandlerCell<Box<dyn Module>>,
    is_enabled: Cell<bool>,
    schedule: Option<Schedule>,
    timer: RefCell<Option<Timeout>>,
}

impl Console {
    /// Adds a module; one of the same id is replaced.
    pub(crate) fn register(&self, id: &str, mut module: Box<dyn Module>) {
        let schedule = module.on_register();
        let slot = HandlerCell::empty();
        slot.set(module);
        let record = Record {
            id: id.to_owned(),
            module: slot,
            is_enabled: Cell::new(false),
            schedule,
            timer: RefCell::default(),
        };
        let mut modules = self.modules.borrow_mut();
        let old = modules.iter().position(|other| other.id == id).map(|at| modules.remove(at));
        modules.push(Rc::new(record));
        drop(modules);
        // Last: the module's own `Drop` may use the console.
        if let Some(old) = old {
            old.disable();
        }
    }

    fn find(&self, id: &str) -> Option<Rc<Record>> {
        self.modules.borrow().iter().find(|record| record.id == id).cloned()
    }

    /// Enables every module and starts the clocks.
    pub(crate) fn start(&self, agent: &Agent) {
        for record in self.modules.borrow().iter() {
            record.enable(agent);
        }
    }

    /// Disables every module and lets go of them: they may hold the agent. What was called last finishes its call.
    pub(crate) fn stop(&self) {
        for record in self.modules.take() {
            record.disable();
        }
    }

    /// Whether the module was there and disabled.
    pub(crate) fn enable(&self, agent: &Agent, id: &str) -> bool {
        self.find(id).is_some_and(|record| record.enable(agent))
    }

    /// Whether the module was there and enabled.
    pub(crate) fn disable(&self, id: &str) -> bool {
        self.find(id).is_some_and(|record| record.disable())
    }

    /// Calls a module, if it is there and enabled; else says why not, in pomelo's words.
    pub(crate) fn call(&self, id: &str, reply: Reply, call: impl FnOnce(&mut dyn Module, Reply)) {
        match self.find(id) {
            None => reply.single(format!("unknown moduleId:{id}")),
            Some(record) if !record.is_enabled.get() => reply.single(format!("module {id} is disable")),
            // Never in its own call: calls come from the loop, one after the other.
            Some(record) => record.module.call(|module| call(&mut **module, reply)),
        }
    }

    /// Calls `on_start` of the modules, one after the other, until one fails.
    pub(crate) fn start_modules(agent: &Agent, done: Completion) {
        let modules = agent.console().modules.borrow().clone();
        start_next(agent.clone(), modules.into_iter(), done);
    }

    /// A command to the console itself; pomelo's answers. The caller has looked at the level of who asks.
    pub(crate) fn command(&self, agent: &Agent, command: &str, module: &str) -> Response {
        match command {
            "list" => Response::body(json!({ "modules": self.public_ids() })),
            "enable" | "disable" if module.is_empty() => Response::single("empty moduleId".into()),
            "enable" | "disable" if self.find(module).is_none() => Response::body((-1).into()),
            "enable" => {
                self.enable(agent, module);
                Response::body(1.into())
            }
            "disable" => {
                self.disable(module);
                Response::body(1.into())
            }
            _ => Response::single(format!("unknown command:{command}").into()),
        }
    }

    /// The ids that are not of the form `__name__`.
    fn public_ids(&self) -> Vec<String> {
        let modules = self.modules.borrow();
        modules.iter().map(|record| record.id.clone()).filter(|id| !is_internal(id)).collect()
    }

    pub(crate) fn set(&self, key: &str, value: Value) {
        self.values.borrow_mut().insert(key.to_owned(), value);
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.values.borrow().get(key).cloned()
    }
}

fn is_internal(id: &str) -> bool {
    let name = id.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_word))
}

fn start_next(agent: Agent, mut modules: std::vec::IntoIter<Rc<Record>>, done: Completion) {
    let Some(record) = modules.next() else { return done.ok(()) };
    let next = {
        let agent = agent.clone();
        move |result: Result<(), Failure>| match result {
            Ok(()) => start_next(agent, modules, done),
            Err(failure) => done.fail(failure),
        }
    };
    let next = Completion::new(agent.environment(), next);
    record.module.call(|module| module.on_start(&agent, next));
}

impl Record {
    fn enable(self: &Rc<Self>, agent: &Agent) -> bool {
        if self.is_enabled.replace(true) {
            return false;
        }
        if let Some(schedule) = &self.schedule
            && schedule.is_for(agent)
        {
            self.arm(agent.environment(), agent.downgrade(), schedule.delay);
        }
        true
    }

    fn disable(&self) -> bool {
        if let Some(timer) = self.timer.take() {
            timer.clear();
        }
        self.is_enabled.replace(false)
    }

    /// Calls the module by the clock, and again, until it is disabled. Connections keep a process alive, not this.
    fn arm(self: &Rc<Self>, env: &Environment, agent: WeakAgent, after: Duration) {
        let record = Rc::downgrade(self);
        let timer = env.set_timeout(after, move || {
            if let (Some(record), Some(strong)) = (record.upgrade(), agent.upgrade()) {
                let interval = record.schedule.as_ref().map(|schedule| schedule.interval);
                // First, as the call may disable the module.
                record.arm(strong.environment(), agent, interval.unwrap_or_default());
                record.tick(&strong);
            }
        });
        timer.unref();
        self.timer.replace(Some(timer));
    }

    /// The time has come.
    fn tick(&self, agent: &Agent) {
        let reply = Reply::unwanted(&self.id);
        self.module.call(|module| match agent {
            Agent::Master(master) => module.on_master(master, None, reply),
            Agent::Monitor(monitor) => module.on_monitor(monitor, None, reply),
        });
    }
}
