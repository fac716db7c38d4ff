//! A user's side of the admin protocol: what a command line says to a master. Mirrors pomelo-admin's `Client`.

use crate::admin::auth::md5_hex;
use crate::admin::dial::{Dial, DialHandler, Target};
use crate::admin::link::Link;
use crate::admin::message::{self, Message, Response, Topic};
use crate::admin::registration::Login;
use crate::admin::rejections::Rejections;
use crate::admin::requests::{Request, RequestError, Requests};
use crate::{Error, Result};
use async_wrap::Environment;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How long an answer may take that is no [`Client::request_within`]'s: longer than a master waits for its servers.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection of a user to a master, ours or Node's. A cheap clone, which lives until [`close`](Self::close) or the
/// master's end.
#[derive(Clone)]
pub struct Client(Rc<ClientInner>);

struct ClientInner {
    login: Login,
    requests: Requests,
    starting: RefCell<Option<Starting>>,
    dial: RefCell<Option<Dial>>,
    link: RefCell<Option<Link>>,
    is_registered: Cell<bool>,
}

type Starting = Box<dyn FnOnce(Result<Client, Error>)>;

impl Client {
    /// Connects and logs in; `done` is called once, from the loop. The password is sent as Node's command line sends
    /// it, as its MD5, which is as good as the password to whoever can read it on its way.
    pub fn connect(
        env: &Environment,
        target: Target,
        id: &str,
        username: &str,
        password: &str,
        done: impl FnOnce(Result<Self, Error>) + 'static,
    ) {
        let login = Login {
            id: id.to_owned(),
            username: username.to_owned(),
            password: md5_hex(password),
            md5: true,
        };
        let client = Self(Rc::new(ClientInner {
            login,
            requests: Requests::new(env, Rejections::new(env)),
            starting: RefCell::new(Some(Box::new(done))),
            dial: RefCell::default(),
            link: RefCell::default(),
            is_registered: Cell::new(false),
        }));
        let where_to = format!("{}:{}", target.host, target.port);
        let dial = Dial::start(env, target, Attempt { client: client.clone(), where_to });
        client.0.dial.replace(Some(dial));
    }

    /// Asks a module of the master; the callback is called once, with its response within 30 s.
    pub fn request(
        &self,
        module: &str,
        body: Value,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        self.request_within(ANSWER_WITHIN, module, body, callback);
    }

    /// Like [`request`](Self::request), with a time limit; `kill` may take 2 minutes.
    pub fn request_within(
        &self,
        limit: Duration,
        module: &str,
        body: Value,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let body = self.sign(body);
        self.send(limit, module, callback, |id| {
            message::request_packet(Topic::Client, &id.into(), module, &body)
        });
    }

    /// Gives the master's console a command: `list`, `enable` or `disable`.
    pub fn command(
        &self,
        command: &str,
        module: &str,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let body = self.sign(json!({}));
        self.send(ANSWER_WITHIN, module, callback, |id| {
            message::command_packet(Topic::Client, &id.into(), command, module, &body)
        });
    }

    /// Tells a module of the master something; whether there is a connection.
    pub fn notify(&self, module: &str, body: Value) -> bool {
        let packet = message::notice_packet(Topic::Client, module, &self.sign(body));
        self.0.link.borrow().as_ref().is_some_and(|link| link.send(packet))
    }

    fn send(
        &self,
        limit: Duration,
        module: &str,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
        packet: impl FnOnce(u64) -> bytes::Bytes,
    ) {
        let Some(link) = self.0.link.borrow().clone() else {
            return self.0.requests.refuse(RequestError::NotConnected, callback);
        };
        // Nothing is sent twice, so the body need not be kept.
        let request = Request { to: String::new(), module: module.to_owned(), body: Rc::default(), limit };
        if let Some(id) = self.0.requests.add(request, callback) {
            link.send(packet(id));
        }
    }

    /// Node's masters look at who asks in the body.
    fn sign(&self, mut body: Value) -> Value {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("clientId".into(), self.0.login.id.as_str().into());
            fields.insert("username".into(), self.0.login.username.as_str().into());
        }
        body
    }

    /// Leaves; requests that wait fail. Idempotent.
    pub fn close(&self) {
        self.0.link.take();
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

/// What the connection means to the client.
struct Attempt {
    client: Client,
    where_to: String,
}

impl DialHandler for Attempt {
    fn on_open(&mut self, link: &Link) {
        self.client.0.link.replace(Some(link.clone()));
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
                // Masters tell clients of things that they did not ask for; a command line has no use for them.
                Message::Notice { .. } => Ok(()),
                Message::Request { .. } | Message::Command { .. } => Err("a request to a client".into()),
            },
            _ => Err("a message out of place".into()),
        }
    }

    fn on_lost(&mut self, reason: String) {
        self.client.0.link.take();
        self.client.0.dial.take();
        if let Some(starting) = self.client.0.starting.take() {
            starting(Err(Error::Unreachable(format!("{}: {reason}", self.where_to))));
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
