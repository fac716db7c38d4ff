//! Who has been silent for too long. Mirrors `checkConnections` and Node's `ConnectionsList`.
//!
//! No connection has a timer: each remembers when its present state began, and one timer for all looks at them. A
//! request in the steady state costs no timer operation.

use crate::connection::{Connection, IN_MESSAGE, LINGERING, RECEIVING, SERVED, STALLED, UPGRADED};
use crate::server::Core;
use std::time::Duration;

/// What passes between the idle time that clients are told and the close (Node's `keepAliveTimeoutBuffer`).
const KEEP_ALIVE_BUFFER: Duration = Duration::from_secs(1);

/// How long a client may take to end its side after this one has ended.
const LINGER: Duration = Duration::from_secs(2);

/// How long a draining server keeps idle connections, so that requests on their way find it.
pub(crate) const DRAIN_IDLE: Duration = Duration::from_millis(500);

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
                connection.break_off();
            }
        }
    }

    /// Closes every connection, those that were handed over too.
    pub(crate) fn destroy_all(&self) {
        for connection in self.connections() {
            connection.break_off();
        }
    }
}

impl Connection {
    fn verdict(&self, now: Duration) -> Option<Verdict> {
        let options = self.core.options();
        if self.has(UPGRADED) {
            return None;
        }
        if self.has(LINGERING) {
            return self.lingers_too_long(now).then_some(Verdict::Destroy);
        }
        if self.has(STALLED) {
            // That nothing is received is this server's own doing.
            return self.is_stuck(now).then_some(Verdict::Destroy);
        }
        // Of a first request nothing may have come at all: its time runs from the connection's start.
        if self.has(RECEIVING) || !self.has(SERVED) {
            let headers_over = !self.has(IN_MESSAGE) && self.is_over(now, options.headers_timeout);
            let over = headers_over || self.is_over(now, options.request_timeout);
            return (over && !self.is_deaf()).then_some(Verdict::Answer408);
        }
        if self.outstanding.get() > 0 || self.socket.buffered() > 0 {
            // A client that is still fetching its answer is not idle yet.
            return self.is_stuck(now).then_some(Verdict::Destroy);
        }
        let idle_limit = match options.keep_alive_timeout {
            _ if self.core.is_draining() => DRAIN_IDLE,
            Duration::ZERO => Duration::ZERO,
            limit => limit + KEEP_ALIVE_BUFFER,
        };
        self.is_over(now, idle_limit).then_some(Verdict::Destroy)
    }

    /// Whether `since` is longer ago than a limit, if there is one.
    fn is_over(&self, now: Duration, limit: Duration) -> bool {
        !limit.is_zero() && now.saturating_sub(self.since.get()) >= limit
    }

    /// Whether the client has fetched nothing of what waits for it for as long as a request may take. Node waits for
    /// ever.
    fn is_stuck(&self, now: Duration) -> bool {
        let unsent = self.socket.buffered();
        if self.note_unsent(unsent) || unsent == 0 {
            self.since.set(now);
        }
        unsent > 0 && self.is_over(now, self.core.options().request_timeout)
    }

    /// Whether a client takes too long to end its side. While it still fetches an answer it may take its time, but not
    /// stop for longer than a request may take.
    fn lingers_too_long(&self, now: Duration) -> bool {
        let unsent = self.socket.buffered();
        if unsent == 0 {
            return self.is_over(now, LINGER);
        }
        if self.note_unsent(unsent) {
            self.since.set(now);
        }
        self.is_over(now, self.core.options().request_timeout)
    }
}
