//! The server's side of the admin protocol: registers with the master, comes back when the connection is lost, answers
//! and asks. Mirrors pomelo-admin's `MonitorAgent` and the reconnecting of its `MqttClient`.

use crate::Completion;
use crate::admin::agent::WeakAgent;
use crate::admin::console::Console;
use crate::admin::dial::{Dial, DialHandler, Target};
use crate::admin::link::Link;
use crate::admin::message::{self, Message, Response, Topic};
use crate::admin::registration::ServerClaim;
use crate::admin::rejections::Rejections;
use crate::admin::reply::{Reply, Ticket};
use crate::admin::requests::{Outgoing, Request, RequestError, Requests};
use crate::admin::times::positive;
use async_wrap::layer::Place;
use async_wrap::{Environment, Timeout};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The time limit of the master's responses (`TIME_WAIT_COUNTDOWN`).
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The options of [`MonitorAgent::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MonitorOptions {
    /// The master.
    pub target: Target,
    /// What this server registers with: its id, type and record, and the token of its type.
    pub claim: ServerClaim,
    /// The pause before the first attempt to reconnect; each further one is twice as long. Default: 1 s, as in pomelo.
    pub first_pause: Duration,
    /// The longest pause between attempts to reconnect. Default: 60 s, as in pomelo.
    pub longest_pause: Duration,
}

impl MonitorOptions {
    /// A server that registers as `claim` with the master at `target`.
    #[must_use]
    pub fn new(target: Target, claim: ServerClaim) -> Self {
        let (first_pause, longest_pause) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { target, claim, first_pause, longest_pause }
    }

    /// Sets [`first_pause`](Self#structfield.first_pause).
    #[must_use]
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Sets [`longest_pause`](Self#structfield.longest_pause).
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }
}

/// The state of a [`MonitorAgent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorState {
    /// `connect` was not called.
    Inited,
    /// It connects or waits for its registration, for the first time.
    Connecting,
    /// It is registered.
    Registered,
    /// It has lost the master and tries to reconnect.
    Lost,
    /// It was closed, or its first attempt failed.
    Closed,
}

/// The agent of a server. A cheap clone, with the methods of [`Console`].
///
/// It lives until [`close`](Self::close): its connection and its modules hold it.
#[derive(Clone)]
pub struct MonitorAgent(pub(super) Rc<MonitorAgentInner>);

pub(crate) struct MonitorAgentInner {
    console: Console,
    options: MonitorOptions,
    requests: Requests,
    state: Cell<MonitorState>,
    /// The completion of the first registration.
    starting: RefCell<Option<Completion>>,
    dial: RefCell<Option<Dial>>,
    pause: Cell<Duration>,
    timer: RefCell<Option<Timeout>>,
    /// Where the program connects.
    place: Cell<Place>,
}

impl MonitorAgent {
    /// An agent that is not connected yet.
    #[must_use]
    #[track_caller]
    pub fn new(env: &Environment, options: MonitorOptions) -> Self {
        Self(Rc::new_cyclic(|this| MonitorAgentInner {
            console: Console::new(env, WeakAgent::Monitor(Weak::clone(this))),
            pause: Cell::new(options.first_pause),
            options,
            requests: Requests::new(env, Topic::Monitor, Rejections::new(env)),
            state: Cell::new(MonitorState::Inited),
            starting: RefCell::default(),
            dial: RefCell::default(),
            timer: RefCell::default(),
            place: Cell::new(Place::caller()),
        }))
    }

    /// Connects and registers, and enables the modules that were registered. Once this has succeeded, the agent
    /// reconnects whenever it loses the master, until it is closed. A first attempt that fails is reported and not
    /// repeated; in Node it ends the process.
    #[track_caller]
    pub fn connect(&self, done: Completion) {
        if self.0.state.get() != MonitorState::Inited {
            return done.fail("the monitor has connected or closed");
        }
        if let Err(error) = positive("first_pause", self.0.options.first_pause) {
            return done.fail(error);
        }
        self.0.place.set(Place::marked());
        self.0.state.set(MonitorState::Connecting);
        self.0.starting.replace(Some(done));
        let Target { host, port, .. } = &self.0.options.target;
        log::info!(target: "pomelo", "try to connect master: {:?}, {host:?}, {port}", self.server_type());
        self.dial();
        self.0.console.start();
    }

    fn dial(&self) {
        let handler = Attempt { agent: self.clone() };
        let _place = self.0.place.get().mark();
        let dial = Dial::start(self.environment(), self.0.options.target.clone(), handler);
        self.0.dial.replace(Some(dial));
    }

    /// Disconnects from the master and drops the modules. Idempotent.
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
        if let Some(dial) = self.0.dial.take() {
            dial.hang_up();
        }
        self.0.requests.fail_all();
        self.0.console.stop();
        if let Some(starting) = self.0.starting.take() {
            starting.fail(reason);
        }
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

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> MonitorState {
        self.0.state.get()
    }

    /// Asks a module of the master; the callback is called once, with the response within 10 s.
    pub fn request(
        &self,
        module: &str,
        body: Value,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let outgoing = Outgoing::request(Request::new(module, body), ANSWER_WITHIN);
        self.0.requests.send(self.link(), outgoing, callback);
    }

    /// Sends a notice to a module of the master. Returns whether this server is connected.
    pub fn notify(&self, module: &str, body: &Value) -> bool {
        let packet = || message::notice_packet(Topic::Monitor, module, body);
        self.link().is_ok_and(|link| link.send(packet()))
    }

    /// The connection, if the server is registered.
    fn link(&self) -> Result<Link, RequestError> {
        let is_registered = self.state() == MonitorState::Registered;
        let dial = self.0.dial.borrow();
        dial.as_ref().filter(|_| is_registered).and_then(Dial::link).ok_or(RequestError::NotConnected)
    }
}

impl Deref for MonitorAgent {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.0.console
    }
}

/// The handler of one connection.
struct Attempt {
    agent: MonitorAgent,
}

impl DialHandler for Attempt {
    fn on_open(&mut self, link: &Link) {
        let agent = &self.agent;
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

    /// The connection could not be opened, or is closed: tries again after a pause, unless it was the first.
    fn lost(&self, reason: &str) {
        let target = &self.0.options.target;
        self.0.dial.take();
        if self.state() == MonitorState::Connecting {
            return self.end(&format!("master {target}: {reason}"));
        }
        self.0.state.set(MonitorState::Lost);
        self.0.requests.fail_all();
        let pause = self.0.pause.get();
        self.0.pause.set(pause.saturating_mul(2).min(self.0.options.longest_pause));
        log::warn!(target: "pomelo", "master {target}: {reason}; reconnect delay {} s", pause.as_secs_f64());
        let agent = self.clone();
        let _place = self.0.place.get().mark();
        let timer = self.environment().set_timeout(pause, move || agent.dial());
        self.0.timer.replace(Some(timer));
    }

    fn on_monitor(&self, payload: &[u8]) -> Result<(), String> {
        let message = Message::parse(payload).map_err(|error| error.to_string())?;
        let Ok(link) = self.link() else { return Ok(()) };
        match message {
            Message::Response { id, response } => self.0.requests.answer(id, "", response),
            Message::Request { id, module, body } => {
                let reply = Reply::to_request(&link, Topic::Monitor, id, &module, Ticket::none());
                self.call(&module, body, reply);
            }
            Message::Notice { module, body } => self.call(&module, body, Reply::unwanted(&module)),
            // The master has checked the user, and expects no answer.
            Message::Command { command, .. } => {
                self.0.console.command(&command.name, &command.module);
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
