//! Requests that wait for their response, each within a time limit. Mirrors the `callbacks` of pomelo-admin's agents, and
//! `msgMap`, from which the master repeats what a server had not answered when its connection was lost.

use crate::admin::link::Link;
use crate::admin::message::{Command, Response, Topic, command_packet, request_packet};
use crate::admin::rejections::{Kind, Rejections};
use crate::patience::set_patience;
use async_wrap::{Environment, Timeout};
use bytes::Bytes;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The most requests that wait at a time. Node has no bound, and keeps a request that is never answered for as long as
/// the process lives.
const MAX_WAITING: usize = 100_000;

/// Why a request has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// No server of this id is registered.
    UnknownServer(String),
    /// No response came in time.
    TimedOut,
    /// The connection or the agent is closed, or has not registered yet.
    NotConnected,
    /// Too many requests wait.
    TooMany,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // pomelo's words.
            Self::UnknownServer(id) => write!(f, "unknown server id:{id}"),
            Self::TimedOut => f.write_str("no response in time"),
            Self::NotConnected => f.write_str("not connected"),
            Self::TooMany => write!(f, "more than {MAX_WAITING} requests wait for their response"),
        }
    }
}

impl std::error::Error for RequestError {}

type Callback = Box<dyn FnOnce(Result<Response, RequestError>)>;

/// A request to a module of the other side.
#[derive(Clone, Debug)]
pub struct Request {
    module: String,
    body: Rc<Value>,
    limit: Option<Duration>,
    is_repeated: bool,
}

impl Request {
    /// A request to the module of this id. Several requests can share one body.
    #[must_use]
    pub fn new(module: impl Into<String>, body: impl Into<Rc<Value>>) -> Self {
        Self { module: module.into(), body: body.into(), limit: None, is_repeated: true }
    }

    /// Sets the time limit of the response. Default: that of the agent's requests.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Is not repeated when the server that has not answered it has lost its connection and comes back: it fails with
    /// [`RequestError::NotConnected`].
    pub(crate) fn once(mut self) -> Self {
        self.is_repeated = false;
        self
    }

    pub(crate) fn map_body(self, change: impl FnOnce(Value) -> Value) -> Self {
        Self { body: Rc::new(change(Rc::unwrap_or_clone(self.body))), ..self }
    }
}

/// What is sent and waits for a response.
pub(crate) struct Outgoing {
    /// The server that is asked, whose answer alone counts; empty on a connection with a single peer.
    to: String,
    what: What,
    /// The time limit of the response.
    limit: Duration,
}

enum What {
    /// To a module.
    Request(Request),
    /// To the console itself.
    Command(Command),
}

impl Outgoing {
    /// A request, with the time limit of the agent if it has none of its own.
    pub(crate) fn request(request: Request, limit: Duration) -> Self {
        let limit = request.limit.unwrap_or(limit);
        Self { to: String::new(), what: What::Request(request), limit }
    }

    pub(crate) fn command(command: Command, limit: Duration) -> Self {
        Self { to: String::new(), what: What::Command(command), limit }
    }

    /// Asks this server alone.
    pub(crate) fn to(mut self, server: &str) -> Self {
        server.clone_into(&mut self.to);
        self
    }

    fn packet(&self, topic: Topic, id: &Value) -> Bytes {
        match &self.what {
            What::Request(Request { module, body, .. }) => request_packet(topic, id, module, body),
            What::Command(command) => command_packet(topic, id, command),
        }
    }
}

/// The requests of one side. A cheap clone.
#[derive(Clone)]
pub(crate) struct Requests(Rc<RequestsInner>);

struct RequestsInner {
    env: Environment,
    topic: Topic,
    rejections: Rejections,
    /// Ids count from 1.
    last: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waiting>>,
}

struct Waiting {
    sent: Outgoing,
    callback: Callback,
    timer: Timeout,
}

impl Requests {
    /// No requests yet; they will be sent on `topic`.
    pub(crate) fn new(env: &Environment, topic: Topic, rejections: Rejections) -> Self {
        let (last, waiting) = (Cell::new(0), RefCell::default());
        Self(Rc::new(RequestsInner { env: env.clone(), topic, rejections, last, waiting }))
    }

    /// Sends a request and waits for its response; `callback` is called once, from the loop. `link` is the connection, or
    /// the reason why there is none.
    pub(crate) fn send(
        &self,
        link: Result<Link, RequestError>,
        outgoing: Outgoing,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        let is_full = || self.0.waiting.borrow().len() >= MAX_WAITING;
        let link = match link {
            Ok(_) if is_full() => return self.refuse(RequestError::TooMany, callback),
            Ok(link) => link,
            Err(reason) => return self.refuse(reason, callback),
        };
        let id = self.0.last.get() + 1;
        self.0.last.set(id);
        let packet = outgoing.packet(self.0.topic, &id.into());
        let inner = Rc::downgrade(&self.0);
        let timer = set_patience(&self.0.env, outgoing.limit, move || RequestsInner::time_out(&inner, id));
        let waiting = Waiting { sent: outgoing, callback: Box::new(callback), timer };
        self.0.waiting.borrow_mut().insert(id, waiting);
        link.send(packet);
    }

    /// Reports the reason from a tick.
    fn refuse(&self, reason: RequestError, callback: impl FnOnce(Result<Response, RequestError>) + 'static) {
        self.0.env.next_tick(move || callback(Err(reason)));
    }

    /// Repeats, on a new connection, the requests that a server has not answered. The ids are strings now, as in Node,
    /// which also repeats the requests that were sent on the new connection.
    pub(crate) fn repeat(&self, to: &str, link: &Link) {
        for (id, Waiting { sent, .. }) in &*self.0.waiting.borrow() {
            if sent.to == to {
                link.send(sent.packet(self.0.topic, &id.to_string().into()));
            }
        }
    }

    /// Fails the requests to a server that has left which are not to be repeated.
    pub(crate) fn left(&self, server: &str) {
        let is_over = |sent: &Outgoing| {
            sent.to == server && matches!(&sent.what, What::Request(request) if !request.is_repeated)
        };
        let over = |_: &u64, waiting: &mut Waiting| is_over(&waiting.sent);
        let over: Vec<(u64, Waiting)> = self.0.waiting.borrow_mut().extract_if(.., over).collect();
        for (_, waiting) in over {
            waiting.timer.clear();
            self.refuse(RequestError::NotConnected, waiting.callback);
        }
    }

    /// Hands a response to the callback of its request. A response to no request, or from a server other than the
    /// request's target, is only counted.
    pub(crate) fn answer(&self, id: u64, from: &str, response: Response) {
        let is_asked = |waiting: &Waiting| waiting.sent.to == from;
        if !self.0.waiting.borrow().get(&id).is_some_and(is_asked) {
            self.0.rejections.tell(Kind::Response, format_args!("unknown resp id:{id} from {from:?}"));
            return;
        }
        self.0.end(id, Ok(response));
    }

    /// Fails all requests: the connection is closed.
    pub(crate) fn fail_all(&self) {
        for waiting in std::mem::take(&mut *self.0.waiting.borrow_mut()).into_values() {
            waiting.timer.clear();
            self.refuse(RequestError::NotConnected, waiting.callback);
        }
    }
}

impl RequestsInner {
    fn time_out(inner: &Weak<Self>, id: u64) {
        if let Some(inner) = inner.upgrade() {
            inner.end(id, Err(RequestError::TimedOut));
        }
    }

    fn end(&self, id: u64, result: Result<Response, RequestError>) {
        let waiting = self.waiting.borrow_mut().remove(&id);
        if let Some(waiting) = waiting {
            waiting.timer.clear();
            (waiting.callback)(result);
        }
    }
}
