//! The console: the admin modules of a process, which messages and the clock call. Mirrors pomelo-admin's
//! `ConsoleService`.

mod schedule;

pub use schedule::{Pace, Schedule};

use crate::admin::agent::{Agent, WeakAgent};
use crate::admin::message::Response;
use crate::admin::reply::Reply;
use crate::upcall::Module;
use crate::{Completion, Failure, completion};
use async_wrap::layer::HandlerCell;
use async_wrap::{Environment, Timeout};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The modules of one agent, and the values that they keep for each other.
///
/// [`MasterAgent`](crate::admin::MasterAgent), [`MonitorAgent`](crate::admin::MonitorAgent) and [`Agent`] have its
/// methods.
pub struct Console {
    env: Environment,
    agent: WeakAgent,
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
    pub(crate) fn new(env: &Environment, agent: WeakAgent) -> Self {
        Self { env: env.clone(), agent, modules: RefCell::default(), values: RefCell::default() }
    }

    /// The environment in which the agent lives.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.env
    }

    /// Adds a module, which replaces one of the same id. A module that is registered after the agent listens or connects
    /// is enabled by [`enable`](Self::enable).
    pub fn register(&self, id: &str, mut module: impl Module + 'static) {
        let schedule = module.on_register();
        let slot = HandlerCell::empty();
        slot.set(Box::new(module) as Box<dyn Module>);
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

    /// Calls `on_start` of all modules, one after the other, until one fails.
    pub fn start_modules(&self, done: Completion) {
        if let Some(agent) = self.agent.upgrade() {
            done.finish_with(async move { Ok(agent.modules_started().await?) });
        }
    }

    /// Does what [`start_modules`](Self::start_modules) does.
    pub(crate) async fn modules_started(&self) -> Result<(), Failure> {
        let modules = self.modules.borrow().clone();
        for record in modules {
            let agent = self.agent.upgrade();
            let start = move |done| {
                if let Some(agent) = agent {
                    record.module.call(|module| module.on_start(&agent, done));
                }
            };
            completion::call(&self.env, start).await?;
        }
        Ok(())
    }

    /// Enables a module of this process. Returns whether it was disabled.
    pub fn enable(&self, module: &str) -> bool {
        let (record, agent) = (self.find(module), self.agent.upgrade());
        record.zip(agent).is_some_and(|(record, agent)| record.enable(&agent))
    }

    /// Disables a module of this process. Returns whether it was enabled.
    pub fn disable(&self, module: &str) -> bool {
        self.find(module).is_some_and(|record| record.disable())
    }

    /// Keeps a value for other modules.
    pub fn set(&self, key: &str, value: Value) {
        self.values.borrow_mut().insert(key.to_owned(), value);
    }

    /// The value that a module keeps under this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.values.borrow().get(key).cloned()
    }

    fn find(&self, id: &str) -> Option<Rc<Record>> {
        self.modules.borrow().iter().find(|record| record.id == id).cloned()
    }

    /// Enables every module and starts their clocks.
    pub(crate) fn start(&self) {
        if let Some(agent) = self.agent.upgrade() {
            for record in &*self.modules.borrow() {
                record.enable(&agent);
            }
        }
    }

    /// Disables and drops every module: modules may hold the agent. A call that is under way is finished.
    pub(crate) fn stop(&self) {
        for record in self.modules.take() {
            record.disable();
        }
    }

    /// Calls a module that is there and enabled; else the reply is the reason, in pomelo's words.
    pub(crate) fn call(&self, id: &str, reply: Reply, call: impl FnOnce(&mut dyn Module, Reply)) {
        match self.find(id) {
            None => reply.single(format!("unknown moduleId:{id}")),
            Some(record) if !record.is_enabled.get() => reply.single(format!("module {id} is disable")),
            // Never within its own call: the loop makes the calls one after the other.
            Some(record) => record.module.call(|module| call(&mut **module, reply)),
        }
    }

    /// Obeys a command to the console itself; pomelo's answers. The caller has checked the user's level.
    pub(crate) fn command(&self, command: &str, module: &str) -> Response {
        match command {
            "list" => Response::body(json!({ "modules": self.public_ids() })),
            "enable" | "disable" if module.is_empty() => Response::single("empty moduleId".into()),
            "enable" | "disable" if self.find(module).is_none() => Response::body((-1).into()),
            "enable" => {
                self.enable(module);
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
}

fn is_internal(id: &str) -> bool {
    let name = id.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_word))
}

impl Record {
    fn enable(self: &Rc<Self>, agent: &Agent) -> bool {
        if self.is_enabled.replace(true) {
            return false;
        }
        if let Some(schedule) = self.schedule.as_ref().filter(|schedule| schedule.is_for(agent)) {
            self.arm(&agent.env, agent.agent.clone(), schedule.delay);
        }
        true
    }

    fn disable(&self) -> bool {
        if let Some(timer) = self.timer.take() {
            timer.clear();
        }
        self.is_enabled.replace(false)
    }

    /// Calls the module after a time, and again after each interval, until it is disabled. The timer does not keep the
    /// process alive.
    fn arm(self: &Rc<Self>, env: &Environment, agent: WeakAgent, after: Duration) {
        let record = Rc::downgrade(self);
        let timer = env.set_timeout(after, move || {
            if let (Some(record), Some(strong)) = (record.upgrade(), agent.upgrade()) {
                let interval = record.schedule.as_ref().map(|schedule| schedule.interval);
                // Before the call, which may disable the module.
                record.arm(&strong.env, agent, interval.unwrap_or_default());
                record.tick(&strong);
            }
        });
        timer.unref();
        self.timer.replace(Some(timer));
    }

    /// Calls the module without a message.
    fn tick(&self, agent: &Agent) {
        let reply = Reply::unwanted(&self.id);
        self.module.call(|module| match agent {
            Agent::Master(master) => module.on_master(master, None, reply),
            Agent::Monitor(monitor) => module.on_monitor(monitor, None, reply),
        });
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("modules", &self.public_ids()).finish_non_exhaustive()
    }
}
