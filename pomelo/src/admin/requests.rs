//! Requests that wait for their response, each for a limited time. Mirrors the `callbacks` of pomelo-admin's agents, and
//! `msgMap`, from which the master sends again what a server had not answered when its connection was lost.

use crate::admin::message::Response;
use crate::admin::rejections::{Kind, Rejections};
use crate::patience::set_patience;
use async_wrap::{Environment, Timeout};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The most requests that wait at a time. In Node there is no bound, and none to their time: servers that never answer
/// are remembered for ever.
const MAX_WAITING: usize = 100_000;

/// Why a request has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// No server of this id is registered; pomelo's words.
    UnknownServer(String),
    /// There was no response in time.
    TimedOut,
    /// The connection or the agent is closed, or not registered.
    NotConnected,
    /// Too many requests wait.
    TooMany,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownServer(id) => write!(f, "unknown server id:{id}"),
            Self::TimedOut => f.write_str("no response in time"),
            Self::NotConnected => f.write_str("not connected"),
            Self::TooMany => write!(f, "more than {MAX_WAITING} requests wait for their response"),
        }
    }
}

impl std::error::Error for RequestError {}

type Callback = Box<dyn FnOnce(Result<Response, RequestError>)>;

/// A request.
pub(crate) struct Request {
    /// The server that is asked, and nobody else may answer; empty where there is only one peer.
    pub(crate) to: String,
    pub(crate) module: String,
    pub(crate) body: Rc<Value>,
    /// How long the response may take.
    pub(crate) limit: Duration,
}

/// The requests of one side. A cheap clone.
#[derive(Clone)]
pub(crate) struct Requests(Rc<RequestsInner>);

struct RequestsInner {
    env: Environment,
    rejections: Rejections,
    /// Ids count from 1.
    last: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waiting>>,
}

struct Waiting {
    request: Request,
    callback: Callback,
    timer: Timeout,
}

impl Requests {
    pub(crate) fn new(env: &Environment, rejections: Rejections) -> Self {
        let waiting = RefCell::default();
        Self(Rc::new(RequestsInner { env: env.clone(), rejections, last: Cell::new(0), waiting }))
    }

    /// Begins to wait; the request's id, or nothing if there are too many. The callback is called once, from the loop.
    pub(crate) fn add(
        &self,
        request: Request,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) -> Option<u64> {
        if self.0.waiting.borrow().len() >= MAX_WAITING {
            self.refuse(RequestError::TooMany, callback);
            return None;
        }
        let id = self.0.last.get() + 1;
        self.0.last.set(id);
        let table = Rc::downgrade(&self.0);
        let timer = set_patience(&self.0.env, request.limit, move || RequestsInner::time_out(&table, id));
        let waiting = Waiting { request, callback: Box::new(callback), timer };
        self.0.waiting.borrow_mut().insert(id, waiting);
        Some(id)
    }

    /// Says why a request was not even sent, from a tick.
    pub(crate) fn refuse(
        &self,
        reason: RequestError,
        callback: impl FnOnce(Result<Response, RequestError>) + 'static,
    ) {
        self.0.env.next_tick(move || callback(Err(reason)));
    }

    /// A response came; calls back. One that nobody waits for, or that another server was asked for, changes nothing.
    pub(crate) fn answer(&self, id: u64, from: &str, response: Response) {
        let is_asked = |waiting: &Waiting| waiting.request.to == from;
        if !self.0.waiting.borrow().get(&id).is_some_and(is_asked) {
            self.0.rejections.tell(Kind::Response, format_args!("unknown resp id:{id} from {from:?}"));
            return;
        }
        self.0.end(id, Ok(response));
    }

    /// What a server has not answered: ids, modules and bodies.
    pub(crate) fn unanswered(&self, to: &str) -> Vec<(u64, String, Rc<Value>)> {
        let waiting = self.0.waiting.borrow();
        let of_server = waiting.iter().filter(|(_, waiting)| waiting.request.to == to);
        of_server
            .map(|(id, Waiting { request, .. })| (*id, request.module.clone(), Rc::clone(&request.body)))
            .collect()
    }

    /// Nothing can be answered any more.
    pub(crate) fn fail_all(&self) {
        for waiting in std::mem::take(&mut *self.0.waiting.borrow_mut()).into_values() {
            waiting.timer.clear();
            self.refuse(RequestError::NotConnected, waiting.callback);
        }
    }
}

impl RequestsInner {
    fn time_out(table: &Weak<Self>, id: u64) {
        if let Some(table) = table.upgrade() {
            table.end(id, Err(RequestError::TimedOut));
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

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("waiting", &self.0.waiting.borrow().len()).finish_non_exhaustive()
    }
}
