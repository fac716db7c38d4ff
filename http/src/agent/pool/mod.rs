//! The decisions of an agent: which request gets which connection, which connection is made, kept or closed. Mirrors `Agent`
//! of Node's `lib/_http_agent.js`.
//!
//! # Theory of operation
//!
//! There are no sockets here and no clock: connections and waiting requests are numbers, the time is an argument, and each
//! call returns what its caller has to do. So a model in the tests can drive it with any order of events.
//!
//! ```text
//!  request ──▶ Reuse        an idle connection of the origin
//!              Discard      an idle one is over: close it, and ask again
//!              Connect      within both limits; if need be after the close of an idle connection of another origin
//!              Wait         until another call returns the request, to be served or to connect for
//!              QueueFull    it fails
//!  release ──▶ Serve        the oldest waiting request gets the connection
//!              Idle         no request waits for it
//!              Close        it may not be used again; with what is to be connected in its place
//! ```
//!
//! A request waits only if its origin has its own limit of connections, or all together have theirs and none of them is
//! idle. So an idle connection and a request that could use it are never there at the same time, and the end of a connection
//! lets at most one request go on.
//!
//! Every call takes a constant or, with waiting requests and `LeastUsed`, a logarithmic time. A connection is in up to four
//! lists: the idle ones of its origin, all idle ones, those that expire equally late, and all by age.

mod connections;
mod counters;
mod list;
mod origins;
mod queue;

pub use counters::Counters;

use connections::{Connections, State};
use origins::Origins;
use queue::Queue;
use std::time::Duration;

/// The longest idle time that a server's hint can bring about, as in undici.
const LONGEST_HINT: Duration = Duration::from_secs(600);

/// A connection of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u32);

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u32);

/// Which idle connection a request gets (`scheduling`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheduling {
    /// The last used: the others stay idle, and are closed at times of little load.
    #[default]
    Lifo,
    /// The longest idle.
    Fifo,
    /// The connection with the fewest requests so far, so that all servers behind one address get equally many.
    LeastUsed,
}

/// What bounds a pool.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) scheduling: Scheduling,
    pub(crate) max_per_origin: usize,
    pub(crate) max_total: usize,
    pub(crate) max_idle_per_origin: usize,
    pub(crate) max_waiting: usize,
    pub(crate) idle_timeout: Duration,
    /// By how much earlier than a server's hint says a connection is closed.
    pub(crate) hint_margin: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_requests: Option<u32>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is sent on this connection.
    Reuse(ConnectionId),
    /// This idle connection is over: it is closed, and the pool is asked again.
    Discard(ConnectionId),
    /// A connection is made for it; first an idle one of another origin is closed, if there is no room.
    Connect { connection: ConnectionId, evicted: Option<ConnectionId> },
    /// It waits.
    Wait(RequestId),
    /// It fails.
    QueueFull,
}

/// What a response lets become of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It is closed.
    No,
    /// It may serve another request.
    Yes,
    /// The same, and the server keeps it open for so long.
    For(Duration),
}

/// What becomes of a connection whose request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// It serves this request, which has waited.
    Serve(RequestId),
    /// It is idle, at the latest until then. If the origin has too many of those, the oldest is closed.
    Idle { until: Duration, evicted: Option<ConnectionId> },
    /// It is closed.
    Close(Option<Start>),
}

/// A connection that is made for a request, which has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) request: RequestId,
    pub(crate) connection: ConnectionId,
}

/// Why a request that had a connection gets a new one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The peer had ended the connection before the request was sent.
    Stale,
    /// The request was sent, and is sent again.
    Retry,
}

/// The state of an agent without its sockets.
#[derive(Debug)]
pub(crate) struct Pool {
    bounds: Bounds,
    origins: Origins,
    connections: Connections,
    queue: Queue,
    is_shut: bool,
}

impl Pool {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            connections: Connections::new(bounds.scheduling, bounds.max_age),
            bounds,
            origins: Origins::default(),
            queue: Queue::default(),
            is_shut: false,
        }
    }

    /// A request to an origin, by its name.
    pub(crate) fn request(&mut self, origin: &str, now: Duration) -> Decision {
        let origin = self.origins.enter(origin);
        if let Some(id) = self.connections.choose(&mut self.origins, origin) {
            if self.connections.is_over(id, now) {
                self.drop_connection(id);
                return Decision::Discard(ConnectionId(id));
            }
            self.connections.reuse(&mut self.origins, id);
            return Decision::Reuse(ConnectionId(id));
        }
        let has_room = self.connections.len() < self.bounds.max_total;
        let oldest_idle = if has_room { None } else { self.connections.oldest_idle() };
        if self.is_below_limit(origin) && (has_room || oldest_idle.is_some()) {
            oldest_idle.into_iter().for_each(|id| self.drop_connection(id));
            let connection = ConnectionId(self.connections.begin(&mut self.origins, origin, now));
            return Decision::Connect { connection, evicted: oldest_idle.map(ConnectionId) };
        }
        if self.queue.len() >= self.bounds.max_waiting {
            self.origins.settle(origin);
            return Decision::QueueFull;
        }
        let id = self.queue.push(&mut self.origins, origin);
        self.refresh(origin);
        Decision::Wait(RequestId(id))
    }

    /// A connection is made: its request is being served.
    pub(crate) fn connected(&mut self, id: ConnectionId) {
        self.connections.connected(&mut self.origins, id.0);
    }

    /// The request of a connection is over.
    pub(crate) fn release(&mut self, id: ConnectionId, keep: Keep, now: Duration) -> Release {
        self.connected(id);
        let Some(idle_time) = self.idle_time(id, keep, now) else {
            return Release::Close(self.remove(id, now));
        };
        let origin = self.connections.origin(id.0);
        let oldest_ready = self.queue.oldest_ready();
        match self.queue.oldest_of(&mut self.origins, origin) {
            // The oldest of all: another origin's is served by the close of this connection.
            Some((ticket, request)) if oldest_ready.is_none_or(|(oldest, _)| ticket <= oldest) => {
                self.queue.remove(&mut self.origins, request);
                self.refresh(origin);
                self.connections.serve_next(&mut self.origins, id.0);
                Release::Serve(RequestId(request))
            }
            None if oldest_ready.is_none() && !self.is_shut && self.bounds.max_idle_per_origin > 0 => {
                let until = self.connections.rest(&mut self.origins, id.0, idle_time, now);
                let origin = self.origins.at(origin);
                let is_too_many = origin.counters.idle as usize > self.bounds.max_idle_per_origin;
                let evicted = origin.idle.first().filter(|_| is_too_many);
                evicted.into_iter().for_each(|id| self.drop_connection(id));
                Release::Idle { until, evicted: evicted.map(ConnectionId) }
            }
            _ => Release::Close(self.remove(id, now)),
        }
    }

    /// A connection is closed, was not made, or left HTTP. Returns what is made in its place.
    pub(crate) fn remove(&mut self, id: ConnectionId, now: Duration) -> Option<Start> {
        self.drop_connection(id.0);
        if self.connections.len() >= self.bounds.max_total {
            return None;
        }
        let (_, origin) = self.queue.oldest_ready()?;
        let (_, request) = self.queue.oldest_of(&mut self.origins, origin)?;
        // First, so that the origin stays in use.
        let connection = ConnectionId(self.connections.begin(&mut self.origins, origin, now));
        self.queue.remove(&mut self.origins, request);
        self.refresh(origin);
        Some(Start { request: RequestId(request), connection })
    }

    /// The peer has ended an idle connection, or has sent something on it.
    pub(crate) fn lose(&mut self, id: ConnectionId) {
        self.count_stale(id);
        self.drop_connection(id.0);
    }

    /// The peer has ended a connection before it could serve the request that it had.
    pub(crate) fn count_stale(&mut self, id: ConnectionId) {
        let origin = self.connections.origin(id.0);
        self.origins.at(origin).counters.stale += 1;
    }

    /// The connection of a request could not be used again. Returns the new connection which the request gets
    /// instead, whatever the limits, since it takes the place of the old one.
    pub(crate) fn replace(&mut self, id: ConnectionId, cause: Cause, now: Duration) -> ConnectionId {
        let origin = self.connections.origin(id.0);
        match cause {
            Cause::Stale => self.connections.did_not_serve(&mut self.origins, id.0),
            Cause::Retry => self.origins.at(origin).counters.retried += 1,
        }
        self.count_stale(id);
        let new = self.connections.begin(&mut self.origins, origin, now);
        self.drop_connection(id.0);
        ConnectionId(new)
    }

    /// A request does not wait any more. Does nothing if it was given a connection already.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        if let Some(origin) = self.queue.remove(&mut self.origins, id.0) {
            self.refresh(origin);
            self.origins.settle(origin);
        }
    }

    /// When [`expire`](Self::expire) is to be called next, if there is anything to wait for.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.connections.next_expiry()
    }

    /// Removes the idle connections that are over, which are to be closed.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<ConnectionId> {
        let expired = self.connections.expired(now);
        expired.iter().for_each(|id| self.drop_connection(*id));
        expired.into_iter().map(ConnectionId).collect()
    }

    /// Keeps no connection idle from now on. Returns those that are, which are to be closed.
    pub(crate) fn shut(&mut self) -> Vec<ConnectionId> {
        self.is_shut = true;
        self.expire(Duration::MAX)
    }

    /// The waiting requests, oldest first.
    pub(crate) fn waiting(&self) -> Vec<RequestId> {
        self.queue.all().into_iter().map(RequestId).collect()
    }

    /// The counters of all origins together.
    pub(crate) fn total(&self) -> Counters {
        self.origins.total()
    }

    /// The origins with their counters: those in use, and some that were.
    pub(crate) fn origins(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.origins.each()
    }

    /// Whether a connection is idle.
    pub(crate) fn is_idle(&self, id: ConnectionId) -> bool {
        self.connections.state(id.0) == State::Idle
    }

    /// For how long a connection may be idle from now on, or `None` if it may not.
    fn idle_time(&self, id: ConnectionId, keep: Keep, now: Duration) -> Option<Duration> {
        let bounds = &self.bounds;
        let idle_time = match keep {
            Keep::No => return None,
            Keep::Yes => bounds.idle_timeout,
            Keep::For(hint) => hint.min(LONGEST_HINT).saturating_sub(bounds.hint_margin),
        };
        let is_used_up = bounds.max_requests.is_some_and(|most| self.connections.requests(id.0) >= most);
        let is_kept = !idle_time.is_zero() && !is_used_up && !self.connections.is_too_old(id.0, now);
        is_kept.then_some(idle_time)
    }

    fn is_below_limit(&mut self, origin: u32) -> bool {
        self.origins.at(origin).counters.connections() < self.bounds.max_per_origin
    }

    /// Notes what has changed for the oldest waiting request of an origin.
    fn refresh(&mut self, origin: u32) {
        let is_below_limit = self.is_below_limit(origin);
        self.queue.refresh(&mut self.origins, origin, is_below_limit);
    }

    fn drop_connection(&mut self, id: u32) {
        let origin = self.connections.remove(&mut self.origins, id);
        self.refresh(origin);
        self.origins.settle(origin);
    }
}

/// An index of a slab as a number of this pool: there is no memory for more entries than that.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
