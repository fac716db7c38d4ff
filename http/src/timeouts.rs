//! Who has been silent for too long. Mirrors `checkConnections` and Node's `ConnectionsList`.
//!
//! No connection has a timer: each remembers when its present state began, and one timer for all looks at them. A
//! request in the steady state costs no timer operation.

use crate::connection::{Connection, IN_MESSAGE, LINGERING, RECEIVING, SERVED, UPGRADED};
use crate::server::Core;
use std::rc::Rc;
use std::time::Duration;

/// What passes between the idle time that clients are told and the close (Node's `keepAliveTimeoutBuffer`).
const KEEP_ALIVE_BUFFER: Duration = Duration::from_secs(1);

/// How long a client may take to end its side after this one has ended.
const LINGER: Duration = Duration::from_secs(2);

/// What to do about a connection whose time is up.
enum Verdict {
    Answer408,
    Destroy,
}

impl Core {
    /// Looks at every connection.
    pub(crate) fn check_connections(&self) {
        let now = self.now();
        for connection in self.connections() {
            match connection.verdict(now) {
                Some(Verdict::Answer408) => connection.answer_and_end(408),
                Some(Verdict::Destroy) => connection.socket.destroy(),
                None => {}
            }
        }
    }

    /// Closes every connection on which nothing is going on.
    pub(crate) fn close_idle(&self) {
        for connection in self.connections() {
            if connection.is_idle() {
                connection.socket.destroy();
            }
        }
    }

    /// Closes every connection but those that were handed over.
    pub(crate) fn close_all(&self) {
        for connection in self.connections() {
            if !connection.has(UPGRADED) {
                connection.socket.destroy();
            }
        }
    }
}

impl Connection {
    fn verdict(self: &Rc<Self>, now: Duration) -> Option<Verdict> {
        let options = self.core.options();
        let is_over = |limit: Duration| !limit.is_zero() && now.saturating_sub(self.since.get()) >= limit;
        if self.has(UPGRADED) {
            return None;
        }
        if self.has(LINGERING) {
            return is_over(LINGER).then_some(Verdict::Destroy);
        }
        let request_over = is_over(options.request_timeout);
        // Of a first request nothing may have come at all: its time runs from the connection's start.
        if self.has(RECEIVING) || !self.has(SERVED) {
            let headers_over = !self.has(IN_MESSAGE) && is_over(options.headers_timeout);
            return (request_over || headers_over).then_some(Verdict::Answer408);
        }
        let idle_limit = match options.keep_alive_timeout {
            Duration::ZERO => Duration::ZERO,
            limit => limit + KEEP_ALIVE_BUFFER,
        };
        (self.is_idle() && is_over(idle_limit)).then_some(Verdict::Destroy)
    }
}
