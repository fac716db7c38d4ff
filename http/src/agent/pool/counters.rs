//! What an agent counts, for each origin and in total. Mirrors what Node shows as `agent.sockets`, `agent.freeSockets` and
//! `agent.requests`.

use std::ops::AddAssign;

/// The connections and requests of an origin, or of all origins: what is there now, and what has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that are being made.
    pub connecting: u32,
    /// Connections with a request.
    pub active: u32,
    /// Connections that wait for a request.
    pub idle: u32,
    /// Requests that wait for a connection.
    pub waiting: u32,
    /// Connections that were begun so far.
    pub made: u64,
    /// Requests so far that were given a connection which had served another one.
    pub reused: u64,
    /// Connections so far that the peer had ended, or had sent something on, when they were idle: seen at once, at the look
    /// before they were to be used again, or by the request that failed on one.
    pub stale: u64,
    /// Requests so far that were sent a second time.
    pub retried: u64,
}

impl Counters {
    /// The connections that are there.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connecting as usize + self.active as usize + self.idle as usize
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.connecting += other.connecting;
        self.active += other.active;
        self.idle += other.idle;
        self.waiting += other.waiting;
        self.made += other.made;
        self.reused += other.reused;
        self.stale += other.stale;
        self.retried += other.retried;
    }
}
