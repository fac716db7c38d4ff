//! A user's side of the admin protocol: the connection of a command line to a master. Mirrors pomelo-admin's `Client`.

use crate::admin::dial::{Dial, DialHandler, Target};
use crate::admin::link::Link;
use crate::admin::message::{self, Command, Message, Response, Topic};
use crate::admin::registration::Login;
use crate::admin::rejections::Rejections;
use crate::admin::requests::{Outgoing, Request, RequestError, Requests};
use crate::{Error, Result};
use async_wrap::Environment;
use async_wrap::layer::Place;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The time limit of a response, unless the [`Request`] has its own: longer than a master waits for its servers.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection of a user to a master, of this crate or Node's. A cheap clone, which lives until
/// [`close`](Self::close) or the master's end.
#[derive(Clone)]
pub struct Client(Rc<ClientInner>);

struct ClientInner {
    login: Login,
    requests: Requests,
    starting: RefCell<Option<Starting>>,
    dial: RefCell<Option<Dial>>,
    is_registered: Cell<bool>,
}

type Starting = Box<dyn FnOnce(Result<Client>)>;

impl Client {
    /// Connects and logs in; `done` is called once, from the loop, with [`Error::Unreachable`] or [`Error::Refused`] on
    /// failure.
    #[track_caller]
    pub fn connect(
        env: &Environment,
        target: Target,
        login: Login,
        done: impl FnOnce(Result<Self>) + 'static,
    ) {
        let client = Self(Rc::new(ClientInner {
            login,
            requests: Requests::new(env, Topic::Client, Rejections::new(env)),
            starting: RefCell::new(Some(Box::new(done))),
            dial: RefCell::default(),
            is_registered: Cell::new(false),
        }));
        let attempt = Attempt { client: client.clone(), target: target.to_string() };
        let _place = Place::caller().mark();
        client.0.dial.replace(Some(Dial::start(env, target, attempt)));
    }

    /// Asks a module of the master; the callback is called once, with the response within 30 s.
    pub fn request(
        &self,
        module: &str,
        body: Value,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        self.request_with(Request::new(module, body), callback);
    }

    /// Like [`request`](Self::request), for a request that has its own time limit; `kill` may take 2 minutes.
    pub fn request_with(
        &self,
        request: Request,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let request = request.map_body(|body| self.sign(body));
        self.0.requests.send(self.link(), Outgoing::request(request, ANSWER_WITHIN), callback);
    }

    /// Gives the master's console a command: `list`, `enable` or `disable`.
    pub fn command(
        &self,
        command: &str,
        module: &str,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let body = self.sign(json!({}));
        let command = Command { name: command.to_owned(), module: module.to_owned(), body };
        self.0.requests.send(self.link(), Outgoing::command(command, ANSWER_WITHIN), callback);
    }

    /// Sends a notice to a module of the master. Returns whether there is a connection.
    pub fn notify(&self, module: &str, body: Value) -> bool {
        let packet = message::notice_packet(Topic::Client, module, &self.sign(body));
        self.link().is_ok_and(|link| link.send(packet))
    }

    fn link(&self) -> Result<Link, RequestError> {
        self.0.dial.borrow().as_ref().and_then(Dial::link).ok_or(RequestError::NotConnected)
    }

    /// Adds the fields by which Node's masters tell who asks.
    fn sign(&self, mut body: Value) -> Value {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("clientId".into(), self.0.login.id.as_str().into());
            fields.insert("username".into(), self.0.login.username.as_str().into());
        }
        body
    }

    /// Closes the connection; requests that wait fail. Idempotent.
    pub fn close(&self) {
        if let Some(dial) = self.0.dial.take() {
            dial.hang_up();
        }
        self.0.requests.fail_all();
    }

    /// The id under which the client has registered.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.login.id
    }
}

/// The handler of the client's connection.
struct Attempt {
    client: Client,
    /// The master's host and port.
    target: String,
}

impl DialHandler for Attempt {
    fn on_open(&mut self, link: &Link) {
        link.send(message::registration_packet(Topic::Register, &self.client.0.login.message()));
    }

    fn on_message(&mut self, topic: Topic, payload: &[u8]) -> Result<(), String> {
        let client = &self.client;
        match (topic, client.0.is_registered.get()) {
            (Topic::Register, false) => {
                let answer = message::parse_answer(payload).map_err(|error| error.to_string())?;
                let Some(starting) = client.0.starting.take() else { return Ok(()) };
                match answer {
                    None => {
                        client.0.is_registered.set(true);
                        starting(Ok(client.clone()));
                    }
                    Some(reason) => {
                        starting(Err(Error::Refused(reason)));
                        client.close();
                    }
                }
                Ok(())
            }
            (Topic::Client, true) => match Message::parse(payload).map_err(|error| error.to_string())? {
                Message::Response { id, response } => {
                    client.0.requests.answer(id, "", response);
                    Ok(())
                }
                // Masters notify clients of events that a command line has no use for.
                Message::Notice { .. } => Ok(()),
                Message::Request { .. } | Message::Command { .. } => Err("a request to a client".into()),
            },
            _ => Err("a message out of place".into()),
        }
    }

    fn on_lost(&mut self, reason: String) {
        self.client.0.dial.take();
        if let Some(starting) = self.client.0.starting.take() {
            starting(Err(Error::Unreachable(format!("{}: {reason}", self.target))));
        }
        self.client.0.requests.fail_all();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id())
            .field("registered", &self.0.is_registered.get())
            .finish_non_exhaustive()
    }
}
