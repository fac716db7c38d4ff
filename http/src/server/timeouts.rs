//! Timeouts: which connections have been silent for too long. Mirrors `checkConnections` and Node's `ConnectionsList`.
//!
//! No connection has a timer: each remembers when its present state began, and one timer for all looks at them. A
//! request in the steady state costs no timer operation. Those that compare what happened with the last look keep that in a
//! table beside the connections.

use super::{Core, stop};
use crate::connection::{Closing, Connection, Reading};
use crate::trace::up;
use async_wrap::{AsyncId, Heard};
use net::Linger;
use slab::Slab;
use std::rc::Rc;
use std::time::Duration;

/// What passes between the idle time that clients are told and the close (Node's `keepAliveTimeoutBuffer`).
const KEEP_ALIVE_BUFFER: Duration = Duration::from_secs(1);

/// How long a client that has acknowledged its last response may be silent, after this side has ended, before the connection
/// is closed: it may still be sending what it began.
const QUIET: Duration = Duration::from_secs(2);

/// How long a draining server keeps idle connections, so that requests on their way find it.
pub(super) const DRAIN_IDLE: Duration = Duration::from_millis(500);

/// How long handlers may be waited for although the client has ended: not long, since most such clients have left.
const LIMIT_AFTER_END: Duration = Duration::from_secs(3);

impl Core {
    /// Looks at every connection, by what came up to the moment at which the look was due.
    pub(super) fn check(&self, heard: Heard) {
        self.each(|connection| {
            connection.since.set(heard.latest(connection.since.get()));
            if let Some(end) = (Silence { connection, now: heard.until() }).judge() {
                end(connection);
            }
        });
        if !self.options.timeout.is_zero() {
            self.end_silent(heard.until());
        }
        self.retain_upgraded(|connection| !connection.socket.is_destroyed());
        if self.connections.borrow().is_empty() {
            stop(&self.checking);
        }
    }

    /// Breaks off the connections on which nothing has happened for too long, unless the program keeps them.
    fn end_silent(&self, now: Duration) {
        let find = |table: &Slab<Rc<Connection>>| {
            let mut activity = self.activity.borrow_mut();
            let is_silent = |key, connection: &Connection| activity.is_silent(key, connection, now);
            let mut is_silent = is_silent;
            let silent = table.iter().filter(|(key, connection)| is_silent(*key, connection));
            silent.map(|(_, connection)| Rc::clone(connection)).collect::<Vec<_>>()
        };
        let silent = find(&self.connections.borrow());
        for connection in silent {
            let Connection { handler, socket, .. } = &*connection;
            let mut is_kept = false;
            up(&self.env, socket.stream().context(), "RequestHandler::accepts_silence", || {
                handler.call(|handler| is_kept = handler.accepts_silence(socket));
            });
            if !is_kept && !connection.state.is_raw() {
                connection.break_off();
            }
        }
    }

    /// How long nothing may go on; zero for no limit.
    fn idle_limit(&self) -> Duration {
        match self.options.keep_alive_timeout {
            _ if self.draining.get() => DRAIN_IDLE,
            Duration::ZERO => Duration::ZERO,
            limit => limit + KEEP_ALIVE_BUFFER,
        }
    }
}

/// What has happened on each connection, by its place in the server's table: kept here, and only if a timeout asks for it.
#[derive(Default)]
pub(super) struct Activity(Vec<Noted>);

#[derive(Clone, Copy)]
struct Noted {
    /// Tells the connection from earlier ones in its place.
    id: AsyncId,
    /// Bytes received, and bytes that the client has fetched.
    bytes: (u64, u64),
    since: Duration,
}

impl Activity {
    /// Whether nothing has happened on a connection for as long as may be. If so the time begins anew.
    fn is_silent(&mut self, key: usize, connection: &Connection, now: Duration) -> bool {
        let Connection { core, state, socket, .. } = connection;
        // Those that leave have times of their own.
        if state.is_raw() || state.is_lingering() {
            return false;
        }
        let fetched = socket.bytes_written().saturating_sub(socket.unacknowledged() as u64);
        let noted = Noted { id: socket.async_id(), bytes: (socket.bytes_read(), fetched), since: now };
        if key >= self.0.len() {
            self.0.resize(key + 1, Noted { id: AsyncId::NONE, ..noted });
        }
        let last = &mut self.0[key];
        if (last.id, last.bytes) != (noted.id, noted.bytes) {
            *last = noted;
            return false;
        }
        let is_silent = now.saturating_sub(last.since) >= core.options.timeout;
        if is_silent {
            last.since = now;
        }
        is_silent
    }
}

/// Closes a connection if nothing is going on there; behind its last response, if the client has not fetched that.
pub(super) fn close_if_idle(connection: &Connection) {
    if !connection.is_idle() {
        // Something was received or is due.
    } else if connection.socket.unacknowledged() == 0 {
        connection.socket.destroy();
    } else {
        connection.end(Closing::ForServer);
    }
}

/// Responds to a request that is late.
fn respond_408(connection: &Connection) {
    connection.fail(408, connection.state.is_in_message());
}

/// A connection that may have been silent for too long.
struct Silence<'a> {
    connection: &'a Connection,
    now: Duration,
}

impl Silence<'_> {
    /// How the connection ends, if its time is up.
    fn judge(&self) -> Option<fn(&Connection)> {
        const BREAK_OFF: fn(&Connection) = Connection::break_off;
        let Connection { core, state, pipeline, socket, .. } = self.connection;
        if state.is_raw() {
            return None;
        }
        if state.is_lingering() {
            return self.lingers_too_long().then_some(BREAK_OFF);
        }
        if let Some(limit) = self.limit_of_handlers() {
            return self.exceeds(limit).then_some(BREAK_OFF);
        }
        if state.is_stalled() {
            // That nothing is received is this server's own doing.
            return self.is_stuck().then_some(BREAK_OFF);
        }
        let is_late = self.exceeds(core.options.request_timeout);
        let is_head_late = is_late || self.exceeds(core.options.headers_timeout);
        match state.get().reading {
            // Of a first request nothing may have come at all, or only line ends: its time runs from the connection's
            // start, but there is nothing to respond to. A client would take what comes for the response to its next request.
            Reading::Fresh => is_head_late.then_some(close_if_idle),
            Reading::Head => is_head_late.then_some(respond_408),
            Reading::Body => is_late.then_some(respond_408),
            // A client that is still fetching its response is not idle yet.
            _ if !pipeline.is_empty() || socket.buffered() > 0 => self.is_stuck().then_some(BREAK_OFF),
            _ => self.exceeds(core.idle_limit()).then_some(close_if_idle),
        }
    }

    /// Whether the present state has lasted longer than a limit, if there is one.
    fn exceeds(&self, limit: Duration) -> bool {
        !limit.is_zero() && self.now.saturating_sub(self.connection.since.get()) >= limit
    }

    /// For how long handlers may be waited for, if they are all that is waited for: the client has ended, or a body stays
    /// paused although its response is complete.
    fn limit_of_handlers(&self) -> Option<Duration> {
        let Connection { core, state, pipeline, socket, .. } = self.connection;
        let options = &core.options;
        let has_ended = state.has_client_ended() || state.has_ended_unread();
        if has_ended && !pipeline.is_empty() && socket.buffered() == 0 {
            if !options.allow_half_open {
                return Some(LIMIT_AFTER_END);
            }
            // A handler may take its time, but not with what is in the way of the next one.
            if state.is_body_stopped() {
                return Some(options.request_timeout);
            }
        }
        let is_paused = state.is_stalled() && state.is_body_stopped() && !state.get().socket_full;
        // Node arms the keep-alive timeout there.
        let limit = if core.idle_limit().is_zero() { options.request_timeout } else { core.idle_limit() };
        (is_paused && pipeline.is_newest_complete()).then_some(limit)
    }

    /// Whether the client has fetched nothing of what waits for it for as long as a request may take. Node has no limit.
    fn is_stuck(&self) -> bool {
        let Connection { core, deferred, socket, since, .. } = self.connection;
        if socket.buffered() == 0 {
            deferred.note_fetched(0);
            since.set(self.now);
            return false;
        }
        // What the kernel holds is not fetched either, and it takes more only when much of that is.
        let fetched = socket.bytes_written().saturating_sub(socket.unacknowledged() as u64);
        if deferred.note_fetched(fetched + 1) {
            since.set(self.now);
        }
        self.exceeds(core.options.request_timeout)
    }

    /// Whether a client takes too long to end its side. While it still fetches a response it may take its time, but not
    /// stop for longer than a request may take; once the kernel has all of it, it is waited for as [`Linger`] says.
    fn lingers_too_long(&self) -> bool {
        let Connection { deferred, socket, .. } = self.connection;
        if socket.buffered() > 0 {
            return self.is_stuck();
        }
        deferred.with(|cold| {
            let linger = cold.linger.get_or_insert_with(|| Linger::new(socket, self.now));
            linger.is_over(socket, self.now, QUIET)
        })
    }
}
