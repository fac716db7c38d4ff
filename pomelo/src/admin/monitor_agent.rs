//! The server's side of the admin protocol: registers with the master, comes back when the connection is lost, answers
//! and asks. Mirrors pomelo-admin's `MonitorAgent` and the reconnecting of its `MqttClient`.

use crate::Completion;
use crate::admin::agent::Agent;
use crate::admin::console::Console;
use crate::admin::dial::{Dial, DialHandler, Target};
use crate::admin::link::Link;
use crate::admin::message::{self, Message, Response, Topic};
use crate::admin::registration::ServerClaim;
use crate::admin::rejections::Rejections;
use crate::admin::reply::{Reply, Ticket};
use crate::admin::requests::{Request, RequestError, Requests};
use crate::upcall::Module;
use async_wrap::{Environment, Timeout};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How long the master may take to answer (`TIME_WAIT_COUNTDOWN`).
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How a monitor finds its master, and who it is.
#[derive(Clone, Debug)]
pub struct MonitorOptions {
    /// The master.
    pub target: Target,
    /// What to say about oneself; with the token that the master wants.
    pub claim: ServerClaim,
    /// The pause before the first attempt to come back; each further one is twice as long. pomelo's 1 s at first.
    pub first_pause: Duration,
    /// The longest pause; pomelo's 60 s at first.
    pub longest_pause: Duration,
}

impl MonitorOptions {
    /// A server that registers with the master at `target`.
    #[must_use]
    pub fn new(target: Target, claim: ServerClaim) -> Self {
        let (first_pause, longest_pause) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { target, claim, first_pause, longest_pause }
    }
}

/// How far an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorState {
    /// It was not told to connect.
    Inited,
    /// It connects or waits for its registration, for the first time.
    Connecting,
    /// It is registered.
    Registered,
    /// It has lost the master and tries to come back.
    Lost,
    /// It was closed, or never got to be registered.
    Closed,
}

/// The agent of a server. A cheap clone.
///
/// It lives until [`close`](Self::close): its connection and its modules hold it.
#[derive(Clone)]
pub struct MonitorAgent(Rc<MonitorAgentInner>);

pub(crate) struct WeakMonitor(Weak<MonitorAgentInner>);

struct MonitorAgentInner {
    env: Environment,
    options: MonitorOptions,
    console: Console,
    requests: Requests,
    state: Cell<MonitorState>,
    /// Whoever waits for the first registration.
    starting: RefCell<Option<Completion>>,
    dial: RefCell<Option<Dial>>,
    link: RefCell<Option<Link>>,
    pause: Cell<Duration>,
    timer: RefCell<Option<Timeout>>,
}

impl MonitorAgent {
    /// An agent that is not connected yet.
    #[must_use]
    pub fn new(env: &Environment, options: MonitorOptions) -> Self {
        Self(Rc::new(MonitorAgentInner {
            env: env.clone(),
            pause: Cell::new(options.first_pause),
            options,
            console: Console::default(),
            requests: Requests::new(env, Rejections::new(env)),
            state: Cell::new(MonitorState::Inited),
            starting: RefCell::default(),
            dial: RefCell::default(),
            link: RefCell::default(),
            timer: RefCell::default(),
        }))
    }

    /// Connects and registers, and enables the modules that were registered. Once it has succeeded, the agent comes
    /// back by itself when it loses the master, until it is closed. A first attempt that fails is not repeated: in Node
    /// it ends the process, here it is reported.
    pub fn connect(&self, done: Completion) {
        if self.0.state.get() != MonitorState::Inited {
            return done.fail("the monitor has connected or closed");
        }
        self.0.state.set(MonitorState::Connecting);
        self.0.starting.replace(Some(done));
        let Target { host, port, .. } = &self.0.options.target;
        log::info!(target: "pomelo", "try to connect master: {:?}, {host:?}, {port}", self.server_type());
        self.dial();
        self.0.console.start(&Agent::Monitor(self.clone()));
    }

    fn dial(&self) {
        let handler = Attempt { agent: self.clone() };
        let dial = Dial::start(&self.0.env, self.0.options.target.clone(), handler);
        self.0.dial.replace(Some(dial));
    }

    /// Leaves the master and lets go of the modules. Idempotent.
    pub fn close(&self) {
        self.end("the agent was closed");
    }

    fn end(&self, reason: &str) {
        if self.0.state.replace(MonitorState::Closed) == MonitorState::Closed {
            return;
        }
        if let Some(timer) = self.0.timer.take() {
            timer.clear();
        }
        self.0.link.take();
        if let Some(dial) = self.0.dial.take() {
            dial.hang_up();
        }
        self.0.requests.fail_all();
        self.0.console.stop();
        if let Some(starting) = self.0.starting.take() {
            starting.fail(reason);
        }
    }

    /// Adds a module; one of the same id is replaced.
    pub fn register(&self, id: &str, module: impl Module + 'static) {
        self.0.console.register(id, Box::new(module));
    }

    pub(crate) fn register_boxed(&self, id: &str, module: Box<dyn Module>) {
        self.0.console.register(id, module);
    }

    /// Calls the `on_start` of all modules, one after the other.
    pub fn start_modules(&self, done: Completion) {
        Console::start_modules(&Agent::Monitor(self.clone()), done);
    }

    /// Enables a module here; whether it was disabled.
    pub fn enable(&self, module: &str) -> bool {
        self.0.console.enable(&Agent::Monitor(self.clone()), module)
    }

    /// Disables a module here; whether it was enabled.
    pub fn disable(&self, module: &str) -> bool {
        self.0.console.disable(module)
    }

    /// Keeps a value for other modules.
    pub fn set(&self, key: &str, value: Value) {
        self.0.console.set(key, value);
    }

    /// A value that a module has kept.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.0.console.get(key)
    }

    /// This server's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.options.claim.id
    }

    /// This server's type.
    #[must_use]
    pub fn server_type(&self) -> &str {
        &self.0.options.claim.server_type
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> MonitorState {
        self.0.state.get()
    }

    /// Asks the master; the callback is called once, with its response within 10 s.
    pub fn request(
        &self,
        module: &str,
        body: Value,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let Some(link) = self.registered_link() else {
            return self.0.requests.refuse(RequestError::NotConnected, callback);
        };
        let body = Rc::new(body);
        let request = Request {
            to: String::new(),
            module: module.to_owned(),
            body: Rc::clone(&body),
            limit: ANSWER_WITHIN,
        };
        if let Some(id) = self.0.requests.add(request, callback) {
            link.send(message::request_packet(Topic::Monitor, &id.into(), module, &body));
        }
    }

    /// Tells the master something; whether there is a connection to it.
    pub fn notify(&self, module: &str, body: &Value) -> bool {
        let packet = || message::notice_packet(Topic::Monitor, module, body);
        self.registered_link().is_some_and(|link| link.send(packet()))
    }

    fn registered_link(&self) -> Option<Link> {
        if self.state() == MonitorState::Registered { self.0.link.borrow().clone() } else { None }
    }

    pub(crate) fn console(&self) -> &Console {
        &self.0.console
    }

    /// The environment in which the agent lives.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }

    pub(crate) fn downgrade(&self) -> WeakMonitor {
        WeakMonitor(Rc::downgrade(&self.0))
    }
}

impl WeakMonitor {
    pub(crate) fn upgrade(&self) -> Option<MonitorAgent> {
        self.0.upgrade().map(MonitorAgent)
    }
}

/// What one connection means to the agent.
struct Attempt {
    agent: MonitorAgent,
}

impl DialHandler for Attempt {
    fn on_open(&mut self, link: &Link) {
        let agent = &self.agent;
        agent.0.link.replace(Some(link.clone()));
        let is_first = agent.state() == MonitorState::Connecting;
        let topic = if is_first { Topic::Register } else { Topic::Reconnect };
        link.send(message::registration_packet(topic, &agent.0.options.claim.message()));
    }

    fn on_message(&mut self, topic: Topic, payload: &[u8]) -> Result<(), String> {
        let agent = &self.agent;
        match (topic, agent.state()) {
            (Topic::Register, MonitorState::Connecting) | (Topic::ReconnectOk, MonitorState::Lost) => {
                match message::parse_answer(payload).map_err(|error| error.to_string())? {
                    None => agent.registered(),
                    Some(reason) => return Err(format!("the master refused the registration: {reason}")),
                }
                Ok(())
            }
            (Topic::Monitor, MonitorState::Registered) => agent.on_monitor(payload),
            _ => Err("a message out of place".into()),
        }
    }

    fn on_lost(&mut self, reason: String) {
        self.agent.lost(&reason);
    }
}

impl MonitorAgent {
    fn registered(&self) {
        self.0.state.set(MonitorState::Registered);
        self.0.pause.set(self.0.options.first_pause);
        match self.0.starting.take() {
            Some(starting) => starting.ok(()),
            None => log::info!(target: "pomelo", "{:?} is back at its master", self.id()),
        }
    }

    /// The connection could not be opened, or is over: back off, unless it was the first.
    fn lost(&self, reason: &str) {
        let Target { host, port, .. } = &self.0.options.target;
        self.0.link.take();
        self.0.dial.take();
        if self.state() == MonitorState::Connecting {
            return self.end(&format!("master {host}:{port}: {reason}"));
        }
        self.0.state.set(MonitorState::Lost);
        self.0.requests.fail_all();
        let pause = self.0.pause.get();
        self.0.pause.set(pause.saturating_mul(2).min(self.0.options.longest_pause));
        log::warn!(target: "pomelo", "master {host}:{port}: {reason}; reconnect delay {} s", pause.as_secs_f64());
        let agent = self.clone();
        let timer = self.0.env.set_timeout(pause, move || agent.dial());
        self.0.timer.replace(Some(timer));
    }

    fn on_monitor(&self, payload: &[u8]) -> Result<(), String> {
        let message = Message::parse(payload).map_err(|error| error.to_string())?;
        let Some(link) = self.registered_link() else { return Ok(()) };
        match message {
            Message::Response { id, response } => self.0.requests.answer(id, "", response),
            Message::Request { id, module, body } => {
                let reply = Reply::to_request(&link, Topic::Monitor, id, &module, Ticket::none());
                self.call(&module, body, reply);
            }
            Message::Notice { module, body } => self.call(&module, body, Reply::unwanted(&module)),
            // The master has looked at who asks; it wants no answer.
            Message::Command { command, module, .. } => {
                self.0.console.command(&Agent::Monitor(self.clone()), &command, &module);
            }
        }
        Ok(())
    }

    fn call(&self, module: &str, body: Value, reply: Reply) {
        self.0.console.call(module, reply, |module, reply| module.on_monitor(self, Some(body), reply));
    }
}

impl fmt::Debug for MonitorAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorAgent")
            .field("id", &self.id())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
