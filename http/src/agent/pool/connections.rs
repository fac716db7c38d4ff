//! The connections of a pool: in which state each is, which of the idle ones is used next, and when each is over. Mirrors
//! `agent.sockets` and `agent.freeSockets`.

use super::Scheduling;
use super::list::{Links, List, Member};
use super::origins::Origins;
use slab::Slab;
use std::collections::BTreeMap;
use std::time::Duration;

/// The numbers of the lists that a connection can be in: the idle ones of its origin, and of all; those that are over after
/// the same idle time; and all connections by their age, if that is limited.
const OF_ORIGIN: usize = 0;
const OF_ALL: usize = 1;
const OF_TIME: usize = 2;
const BY_AGE: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Active,
    Idle,
}

#[derive(Debug)]
struct Connection {
    links: [Links; 4],
    origin: u32,
    /// Requests that it has had.
    requests: u32,
    /// The same for the choice by use, where a new connection does not begin with zero.
    uses: u64,
    /// In nanoseconds on the loop's clock, as the other times.
    made_at: u64,
    idle_since: u64,
    idle_time: u64,
    state: State,
    has_age: bool,
}

// What an idle connection costs in the pool.
const _: () = assert!(size_of::<Connection>() <= 88);

impl Member for Connection {
    fn links(&self, list: usize) -> &Links {
        &self.links[list]
    }

    fn links_mut(&mut self, list: usize) -> &mut Links {
        &mut self.links[list]
    }
}

/// The connections of all origins.
#[derive(Debug)]
pub(super) struct Connections {
    scheduling: Scheduling,
    max_age: u64,
    all: Slab<Connection>,
    /// Idle connections, the least recently used first.
    idle: List,
    /// Idle connections by the time that they may be idle, each list in the order in which they are over. A server's hint is
    /// in whole seconds and bounded, and so is the number of lists.
    by_time: BTreeMap<u64, List>,
    by_age: List,
}

impl Connections {
    pub(super) fn new(scheduling: Scheduling, max_age: Option<Duration>) -> Self {
        Self {
            scheduling,
            max_age: max_age.map_or(u64::MAX, nanos),
            all: Slab::new(),
            idle: List::default(),
            by_time: BTreeMap::new(),
            by_age: List::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn origin(&self, id: u32) -> u32 {
        self.all[id as usize].origin
    }

    pub(super) fn state(&self, id: u32) -> State {
        self.all[id as usize].state
    }

    pub(super) fn requests(&self, id: u32) -> u32 {
        self.all[id as usize].requests
    }

    /// Whether a connection has reached the greatest age.
    pub(super) fn is_too_old(&self, id: u32, now: Duration) -> bool {
        nanos(now).saturating_sub(self.all[id as usize].made_at) >= self.max_age
    }

    /// Whether an idle connection may not be used any more.
    pub(super) fn is_over(&self, id: u32, now: Duration) -> bool {
        self.all[id as usize].idle_until() <= nanos(now) || self.is_too_old(id, now)
    }

    /// The idle connection of all origins that was used least recently.
    pub(super) fn oldest_idle(&self) -> Option<u32> {
        self.idle.first()
    }

    /// The idle connection of an origin that is used next.
    pub(super) fn choose(&self, origins: &mut Origins, origin: u32) -> Option<u32> {
        let origin = origins.at(origin);
        match self.scheduling {
            Scheduling::Lifo => origin.idle.last(),
            Scheduling::Fifo => origin.idle.first(),
            Scheduling::LeastUsed => origin.by_use.first().map(|(_, id)| *id),
        }
    }

    /// Enters a connection that is being made for a request.
    pub(super) fn begin(&mut self, origins: &mut Origins, origin: u32, now: Duration) -> u32 {
        let has_age = self.max_age < u64::MAX;
        let of_origin = origins.at(origin);
        of_origin.counters.connecting += 1;
        of_origin.counters.made += 1;
        let connection = Connection {
            links: [Links::default(); 4],
            origin,
            requests: 1,
            uses: of_origin.floor + 1,
            made_at: nanos(now),
            idle_since: 0,
            idle_time: 0,
            state: State::Connecting,
            has_age,
        };
        let id = super::number(self.all.insert(connection));
        if has_age {
            self.by_age.push(&mut self.all, BY_AGE, id);
        }
        id
    }

    pub(super) fn connected(&mut self, origins: &mut Origins, id: u32) {
        let Connection { origin, state, .. } = &mut self.all[id as usize];
        if *state == State::Connecting {
            *state = State::Active;
            let counters = &mut origins.at(*origin).counters;
            counters.connecting -= 1;
            counters.active += 1;
        }
    }

    /// An idle connection gets a request.
    pub(super) fn reuse(&mut self, origins: &mut Origins, id: u32) {
        self.leave_idle(origins, id);
        let Connection { origin, state, .. } = &mut self.all[id as usize];
        *state = State::Active;
        let origin = origins.at(*origin);
        origin.counters.idle -= 1;
        origin.counters.active += 1;
        self.serve_next(origins, id);
    }

    /// A connection could not serve the further request that it was given.
    pub(super) fn did_not_serve(&self, origins: &mut Origins, id: u32) {
        origins.at(self.origin(id)).counters.reused -= 1;
    }

    /// An active connection gets a further request.
    pub(super) fn serve_next(&mut self, origins: &mut Origins, id: u32) {
        let Connection { origin, requests, uses, .. } = &mut self.all[id as usize];
        let origin = origins.at(*origin);
        origin.floor = origin.floor.max(*uses);
        origin.counters.reused += 1;
        *requests = requests.saturating_add(1);
        *uses += 1;
    }

    /// An active connection becomes idle, for at most so long. Returns when it is over.
    pub(super) fn rest(
        &mut self,
        origins: &mut Origins,
        id: u32,
        idle_time: Duration,
        now: Duration,
    ) -> Duration {
        let connection = &mut self.all[id as usize];
        connection.state = State::Idle;
        (connection.idle_since, connection.idle_time) = (nanos(now), nanos(idle_time));
        let until = connection.idle_until().min(connection.made_at.saturating_add(self.max_age));
        let (uses, time) = (connection.uses, connection.idle_time);
        let origin = origins.at(connection.origin);
        origin.counters.active -= 1;
        origin.counters.idle += 1;
        origin.idle.push(&mut self.all, OF_ORIGIN, id);
        if self.scheduling == Scheduling::LeastUsed {
            origin.by_use.insert((uses, id));
        }
        self.idle.push(&mut self.all, OF_ALL, id);
        self.by_time.entry(time).or_default().push(&mut self.all, OF_TIME, id);
        Duration::from_nanos(until)
    }

    /// Removes a connection. Returns its origin.
    pub(super) fn remove(&mut self, origins: &mut Origins, id: u32) -> u32 {
        let Connection { origin, state, has_age, .. } = self.all[id as usize];
        match state {
            State::Idle => self.leave_idle(origins, id),
            State::Connecting | State::Active => {}
        }
        let counters = &mut origins.at(origin).counters;
        *match state {
            State::Connecting => &mut counters.connecting,
            State::Active => &mut counters.active,
            State::Idle => &mut counters.idle,
        } -= 1;
        if has_age {
            self.by_age.remove(&mut self.all, BY_AGE, id);
        }
        self.all.remove(id as usize);
        origin
    }

    /// Takes an idle connection out of the lists of those.
    fn leave_idle(&mut self, origins: &mut Origins, id: u32) {
        let Connection { origin, uses, idle_time, .. } = self.all[id as usize];
        let origin = origins.at(origin);
        origin.idle.remove(&mut self.all, OF_ORIGIN, id);
        if self.scheduling == Scheduling::LeastUsed {
            origin.by_use.remove(&(uses, id));
        }
        self.idle.remove(&mut self.all, OF_ALL, id);
        if let Some(list) = self.by_time.get_mut(&idle_time) {
            list.remove(&mut self.all, OF_TIME, id);
        }
    }

    /// When connections are to be looked at next, if any is idle: one of those is over, or the oldest, which may be active, has
    /// reached the greatest age.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.idle.first()?;
        let by_time =
            self.by_time.values().filter_map(List::first).map(|id| self.all[id as usize].idle_until());
        let oldest = self.by_age.first();
        let by_age = oldest.map(|id| self.all[id as usize].made_at.saturating_add(self.max_age));
        by_time.chain(by_age).min().map(Duration::from_nanos)
    }

    /// The idle connections that are over.
    pub(super) fn expired(&mut self, now: Duration) -> Vec<u32> {
        let mut expired = Vec::new();
        for list in self.by_time.values() {
            let mut next = list.first();
            while let Some(id) = next.filter(|id| self.all[*id as usize].idle_until() <= nanos(now)) {
                expired.push(id);
                next = List::after(&self.all, OF_TIME, id);
            }
        }
        while let Some(id) = self.by_age.first().filter(|id| self.is_too_old(*id, now)) {
            // An active one is judged at its return, and is never looked at here again.
            self.by_age.remove(&mut self.all, BY_AGE, id);
            let connection = &mut self.all[id as usize];
            connection.has_age = false;
            if connection.state == State::Idle && connection.idle_until() > nanos(now) {
                expired.push(id);
            }
        }
        expired
    }
}

impl Connection {
    fn idle_until(&self) -> u64 {
        self.idle_since.saturating_add(self.idle_time)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
