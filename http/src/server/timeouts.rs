//! Who has been silent for too long. Mirrors `checkConnections` and Node's `ConnectionsList`.
//!
//! No connection has a timer: each remembers when its present state began, and one timer for all looks at them. A
//! request in the steady state costs no timer operation.

use crate::connection::{Connection, IN_MESSAGE, LINGERING, RECEIVING, SERVED, STALLED, UPGRADED};
use crate::server::Core;
use async_wrap::Heard;
use net::Linger;
use std::rc::Rc;
use std::time::Duration;

/// What passes between the idle time that clients are told and the close (Node's `keepAliveTimeoutBuffer`).
const KEEP_ALIVE_BUFFER: Duration = Duration::from_secs(1);

/// How long a client that has acknowledged its last answer may be silent, after this side has ended, before the connection
/// is closed: it may still be sending what it began.
const QUIET: Duration = Duration::from_secs(2);

/// How long a draining server keeps idle connections, so that requests on their way find it.
pub(crate) const DRAIN_IDLE: Duration = Duration::from_millis(500);

/// What to do about a connection whose time is up.
enum Verdict {
    Answer408,
    Destroy,
    /// Nobody waits for anything; but the client may still be fetching its last answer.
    CloseIdle,
}

impl Core {
    /// Looks at every connection, by what came up to the moment at which the look was due.
    pub(crate) fn check_connections(&self, heard: Heard) {
        for connection in self.connections() {
            connection.since.set(heard.latest(connection.since.get()));
            match connection.verdict(heard.until()) {
                Some(Verdict::Answer408) => connection.answer_and_end(408),
                Some(Verdict::Destroy) => connection.break_off(),
                Some(Verdict::CloseIdle) => connection.close_idle(),
                None => {}
            }
        }
    }

    /// Closes every connection on which nothing is going on.
    pub(crate) fn close_idle(&self) {
        for connection in self.connections() {
            if connection.is_idle() {
                connection.close_idle();
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
        if let Some(is_over) = self.is_forsaken(now) {
            return is_over.then_some(Verdict::Destroy);
        }
        if self.has(STALLED) {
            // That nothing is received is this server's own doing.
            return self.is_stuck(now).then_some(Verdict::Destroy);
        }
        if self.has(RECEIVING) || !self.has(SERVED) {
            let headers_over = !self.has(IN_MESSAGE) && self.is_over(now, options.headers_timeout);
            let over = headers_over || self.is_over(now, options.request_timeout);
            if !over || self.is_deaf() {
                return None;
            }
            // Of a first request nothing may have come at all, or only line ends: its time runs from the connection's
            // start, but there is nothing to answer. A client would take what comes for the answer to its next request.
            return Some(if self.has(RECEIVING) { Verdict::Answer408 } else { Verdict::CloseIdle });
        }
        if self.outstanding.get() > 0 || self.socket.buffered() > 0 {
            // A client that is still fetching its answer is not idle yet.
            return self.is_stuck(now).then_some(Verdict::Destroy);
        }
        self.is_over(now, self.idle_limit()).then_some(Verdict::CloseIdle)
    }

    /// How long nothing may go on; zero for no limit.
    pub(crate) fn idle_limit(&self) -> Duration {
        match self.core.options().keep_alive_timeout {
            _ if self.core.is_draining() => DRAIN_IDLE,
            Duration::ZERO => Duration::ZERO,
            limit => limit + KEEP_ALIVE_BUFFER,
        }
    }

    /// Closes a connection on which nothing is going on; behind its last answer, if the client has not fetched that.
    fn close_idle(self: &Rc<Self>) {
        if self.socket.unacknowledged() == 0 {
            self.socket.destroy();
        } else {
            self.end(false);
        }
    }

    /// Whether `since` is longer ago than a limit, if there is one.
    pub(crate) fn is_over(&self, now: Duration, limit: Duration) -> bool {
        !limit.is_zero() && now.saturating_sub(self.since.get()) >= limit
    }

    /// Whether the client has fetched nothing of what waits for it for as long as a request may take. Node waits for
    /// ever.
    fn is_stuck(&self, now: Duration) -> bool {
        if self.socket.buffered() == 0 {
            self.note_fetched(0);
            self.since.set(now);
            return false;
        }
        // What the kernel holds is not fetched either, and it takes more only when much of that is.
        let fetched = self.socket.bytes_written().saturating_sub(self.socket.unacknowledged() as u64);
        if self.note_fetched(fetched + 1) {
            self.since.set(now);
        }
        self.is_over(now, self.core.options().request_timeout)
    }

    /// Whether a client takes too long to end its side. While it still fetches an answer it may take its time, but not
    /// stop for longer than a request may take; once the kernel has all of it, it is waited for as [`Linger`] says.
    fn lingers_too_long(&self, now: Duration) -> bool {
        if self.socket.buffered() > 0 {
            return self.is_stuck(now);
        }
        let mut linger = self.take_linger().unwrap_or_else(|| Linger::new(&self.socket, now));
        let is_over = linger.is_over(&self.socket, now, QUIET);
        self.keep_linger(linger);
        is_over
    }
}
