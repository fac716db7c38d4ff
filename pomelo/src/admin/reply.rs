//! The reply to a message. Mirrors the `cb` that pomelo-admin hands to a module's handlers.

use crate::admin::link::Link;
use crate::admin::message::{Response, Topic, response_packet};
use serde_json::Value;
use std::fmt;

/// Answers a request once, now or later, from any callback of the thread.
///
/// A notice and a scheduled call expect no answer; it is dropped. A request whose reply is dropped unused is answered
/// with an error, where Node's peer would wait in vain.
#[must_use = "a request is answered with an error when this is dropped"]
pub struct Reply {
    to: Option<Asked>,
    module: String,
}

struct Asked {
    link: Link,
    topic: Topic,
    id: Value,
    /// Dropped when the answer is given.
    _ticket: Ticket,
}

/// Calls back once, when a request has been answered or its reply was dropped.
pub(crate) struct Ticket(Option<Box<dyn FnOnce()>>);

impl Ticket {
    pub(crate) fn new(used: impl FnOnce() + 'static) -> Self {
        Self(Some(Box::new(used)))
    }

    /// A ticket that calls nothing.
    pub(crate) const fn none() -> Self {
        Self(None)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(used) = self.0.take() {
            used();
        }
    }
}

impl Reply {
    pub(crate) fn to_request(link: &Link, topic: Topic, id: Value, module: &str, ticket: Ticket) -> Self {
        let to =
            if id.is_null() { None } else { Some(Asked { link: link.clone(), topic, id, _ticket: ticket }) };
        Self { to, module: module.to_owned() }
    }

    pub(crate) fn unwanted(module: &str) -> Self {
        Self { to: None, module: module.to_owned() }
    }

    /// Whether the peer expects an answer.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.to.is_some()
    }

    /// Whether no peer receives the answer: none is expected, or the connection is closed.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.to.as_ref().is_none_or(|asked| asked.link.is_over())
    }

    /// Node's `cb(null, body)`.
    pub fn ok(self, body: impl Into<Value>) {
        self.send(Response::body(body.into()));
    }

    /// Node's `cb(value)`, where the value stands in the place of the error.
    pub fn single(self, value: impl Into<Value>) {
        self.send(Response::single(value.into()));
    }

    /// Node's `cb(new Error(message), null)`.
    pub fn fail(self, message: impl fmt::Display) {
        self.send(Response::error(&message.to_string()));
    }

    /// Sends any answer.
    pub fn send(mut self, response: Response) {
        self.give(&response);
    }

    /// Answers, in pomelo's words, that the module has no such handler.
    pub(crate) fn no_method(self, method: &str) {
        let text = format!("module {} dose not have a method called {method}", self.module);
        self.single(text);
    }

    fn give(&mut self, response: &Response) {
        if let Some(Asked { link, topic, id, _ticket }) = self.to.take() {
            // A closed connection receives no answer.
            let _ = link.send(response_packet(topic, &id, response));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.to.is_some() {
            self.give(&Response::error(&format!("module {} gave no answer", self.module)));
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("module", &self.module).field("wanted", &self.is_wanted()).finish()
    }
}
