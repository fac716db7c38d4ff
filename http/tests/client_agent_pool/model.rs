//! The pool against a plain model: random requests, releases, losses, cancels, retries and steps of the clock, each of whose
//! outcomes a list predicts by searching it.

use crate::pool::{
    Bounds, Cause, ConnectionId, Counters, Decision, Keep, Pool, Release, RequestId, Scheduling, Start,
};
use crate::seeds::{Dice, each_seed};
use crate::unbounded;
use std::time::Duration;

const ORIGINS: [&str; 4] = ["a", "b", "c", "d"];
const STEPS: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Active,
    /// Since this number in the order of all releases, until this time.
    Idle(u64, Duration),
}

#[derive(Clone, Debug)]
struct Connection {
    id: ConnectionId,
    origin: usize,
    state: State,
    made_at: Duration,
    requests: u32,
    uses: u64,
}

struct Model {
    bounds: Bounds,
    pool: Pool,
    now: Duration,
    connections: Vec<Connection>,
    /// Oldest first.
    waiting: Vec<(RequestId, usize)>,
    releases: u64,
    floors: [u64; ORIGINS.len()],
    made: [u64; ORIGINS.len()],
    reused: [u64; ORIGINS.len()],
    stale: [u64; ORIGINS.len()],
    retried: [u64; ORIGINS.len()],
}

impl Model {
    fn new(dice: &mut Dice) -> Self {
        let bounds = Bounds {
            scheduling: [Scheduling::Lifo, Scheduling::Fifo, Scheduling::LeastUsed][dice.roll(3)],
            max_per_origin: [1, 2, 4, usize::MAX][dice.roll(4)],
            max_total: [2, 5, 8, usize::MAX][dice.roll(4)],
            max_idle_per_origin: [0, 1, 3, 256][dice.roll(4)],
            max_waiting: [0, 3, usize::MAX][dice.roll(3)],
            max_age: [None, Some(Duration::from_secs(8))][dice.roll(2)],
            max_requests: [None, Some(1), Some(4)][dice.roll(3)],
            ..unbounded()
        };
        let pool = Pool::new(bounds.clone());
        Self {
            bounds,
            pool,
            now: Duration::from_secs(1),
            connections: Vec::new(),
            waiting: Vec::new(),
            releases: 0,
            floors: [0; 4],
            made: [0; 4],
            reused: [0; 4],
            stale: [0; 4],
            retried: [0; 4],
        }
    }

    fn position(&self, id: ConnectionId) -> usize {
        self.connections.iter().position(|connection| connection.id == id).expect("it is in the model")
    }

    fn count(&self, origin: usize) -> usize {
        self.connections.iter().filter(|connection| connection.origin == origin).count()
    }

    fn idle(&self, origin: Option<usize>) -> impl Iterator<Item = &Connection> {
        let is_wanted = move |one: &&Connection| origin.is_none_or(|origin| one.origin == origin);
        self.connections.iter().filter(is_wanted).filter(|one| matches!(one.state, State::Idle(..)))
    }

    fn order(one: &Connection) -> u64 {
        match one.state {
            State::Idle(order, _) => order,
            _ => u64::MAX,
        }
    }

    fn oldest_idle(&self, origin: Option<usize>) -> Option<ConnectionId> {
        self.idle(origin).min_by_key(|one| Self::order(one)).map(|one| one.id)
    }

    fn is_too_old(&self, one: &Connection) -> bool {
        self.bounds.max_age.is_some_and(|age| self.now - one.made_at >= age)
    }

    fn is_over(&self, one: &Connection) -> bool {
        matches!(one.state, State::Idle(_, until) if until <= self.now) || self.is_too_old(one)
    }

    /// The idle connection that a request gets.
    fn chosen(&self, origin: usize) -> Option<&Connection> {
        let idle = self.idle(Some(origin));
        match self.bounds.scheduling {
            Scheduling::Fifo => idle.min_by_key(|one| Self::order(one)),
            Scheduling::LeastUsed => idle.min_by_key(|one| (one.uses, one.id)),
            _ => idle.max_by_key(|one| Self::order(one)),
        }
    }

    fn begin(&mut self, id: ConnectionId, origin: usize) {
        assert!(self.connections.iter().all(|one| one.id != id), "{id:?} is in use");
        self.made[origin] += 1;
        let (made_at, uses) = (self.now, self.floors[origin] + 1);
        let state = State::Connecting;
        self.connections.push(Connection { id, origin, state, made_at, requests: 1, uses });
    }

    fn serve(&mut self, id: ConnectionId) {
        let at = self.position(id);
        let one = &mut self.connections[at];
        one.state = State::Active;
        self.floors[one.origin] = self.floors[one.origin].max(one.uses);
        one.uses += 1;
        one.requests += 1;
        self.reused[one.origin] += 1;
    }

    fn forget(&mut self, id: ConnectionId) {
        let at = self.position(id);
        self.connections.remove(at);
    }

    fn request(&mut self, origin: usize) {
        loop {
            let chosen = self.chosen(origin).map(|one| (one.id, self.is_over(one)));
            let is_below = self.count(origin) < self.bounds.max_per_origin;
            let has_room = self.connections.len() < self.bounds.max_total;
            let evicted = self.oldest_idle(None).filter(|_| !has_room);
            match (self.pool.request(ORIGINS[origin], self.now), chosen) {
                (Decision::Discard(id), Some((expected, true))) => {
                    assert_eq!(id, expected);
                    self.forget(id);
                    continue;
                }
                (Decision::Reuse(id), Some((expected, false))) => {
                    assert_eq!(id, expected);
                    self.serve(id);
                }
                (Decision::Connect { connection, evicted: actual }, None) => {
                    assert!(is_below && (has_room || evicted.is_some()));
                    assert_eq!(actual, evicted);
                    evicted.into_iter().for_each(|id| self.forget(id));
                    self.begin(connection, origin);
                }
                (Decision::Wait(id), None) => {
                    assert!(!(is_below && (has_room || evicted.is_some())));
                    assert!(self.waiting.len() < self.bounds.max_waiting);
                    self.waiting.push((id, origin));
                }
                (Decision::QueueFull, None) => {
                    assert!(!(is_below && (has_room || evicted.is_some())));
                    assert_eq!(self.waiting.len(), self.bounds.max_waiting);
                }
                (decision, chosen) => panic!("{decision:?}, where the model chooses {chosen:?}"),
            }
            return;
        }
    }

    /// The oldest request that may have a connection now.
    fn next_served(&self) -> Option<(RequestId, usize)> {
        let has_room = self.connections.len() < self.bounds.max_total;
        let may = |(_, origin): &&(RequestId, usize)| self.count(*origin) < self.bounds.max_per_origin;
        self.waiting.iter().find(may).copied().filter(|_| has_room)
    }

    fn started(&mut self, start: Option<Start>) {
        let expected = self.next_served();
        assert_eq!(start.map(|start| start.request), expected.map(|(request, _)| request));
        if let (Some(start), Some((request, origin))) = (start, expected) {
            self.waiting.retain(|(id, _)| *id != request);
            self.begin(start.connection, origin);
        }
    }

    fn release(&mut self, id: ConnectionId, keep: Keep) {
        let one = &self.connections[self.position(id)];
        let origin = one.origin;
        let time = match keep {
            Keep::No => Duration::ZERO,
            Keep::Yes => Duration::from_secs(5),
            Keep::For(hint) => hint.saturating_sub(Duration::from_secs(1)),
        };
        let is_used_up = self.bounds.max_requests.is_some_and(|most| one.requests >= most);
        let is_kept = !time.is_zero() && !is_used_up && !self.is_too_old(one);
        // Without this connection.
        let others_may = |origin: usize, of: usize| {
            self.count(of) - usize::from(of == origin) < self.bounds.max_per_origin
        };
        let oldest = self.waiting.iter().find(|(_, of)| others_may(origin, *of)).copied();
        match self.pool.release(id, keep, self.now) {
            Release::Serve(request) => {
                assert!(is_kept);
                assert_eq!(oldest, Some((request, origin)));
                self.waiting.retain(|(id, _)| *id != request);
                self.serve(id);
            }
            Release::Idle { until, evicted } => {
                let oldest_age =
                    self.bounds.max_age.map(|age| self.connections[self.position(id)].made_at + age);
                assert_eq!(Some(until), [Some(self.now + time), oldest_age].into_iter().flatten().min());
                assert!(is_kept && oldest.is_none() && self.bounds.max_idle_per_origin > 0);
                self.releases += 1;
                let at = self.position(id);
                self.connections[at].state = State::Idle(self.releases, self.now + time);
                let is_too_many = self.idle(Some(origin)).count() > self.bounds.max_idle_per_origin;
                assert_eq!(evicted, self.oldest_idle(Some(origin)).filter(|_| is_too_many));
                evicted.into_iter().for_each(|id| self.forget(id));
            }
            Release::Close(start) => {
                let goes_to_other = oldest.is_some_and(|(_, of)| of != origin);
                let is_never_idle = oldest.is_none() && self.bounds.max_idle_per_origin == 0;
                assert!(!is_kept || goes_to_other || is_never_idle);
                self.forget(id);
                self.started(start);
            }
        }
    }

    fn expire(&mut self) {
        let next = self.pool.next_expiry();
        let is_over = |one: &&Connection| matches!(one.state, State::Idle(..)) && self.is_over(one);
        let mut expected: Vec<_> = self.connections.iter().filter(is_over).map(|one| one.id).collect();
        assert!(expected.is_empty() || next.is_some_and(|next| next <= self.now), "{next:?}");
        let mut expired = self.pool.expire(self.now);
        expired.sort_unstable();
        expected.sort_unstable();
        assert_eq!(expired, expected);
        expired.into_iter().for_each(|id| self.forget(id));
    }

    /// A connection that the event may happen to.
    fn some(&self, dice: &mut Dice, is_wanted: fn(&Connection) -> bool) -> Option<ConnectionId> {
        let some: Vec<_> = self.connections.iter().filter(|one| is_wanted(one)).collect();
        (!some.is_empty()).then(|| some[dice.roll(some.len())].id)
    }

    fn step(&mut self, dice: &mut Dice) {
        let is_idle = |one: &Connection| matches!(one.state, State::Idle(..));
        match dice.roll(16) {
            0..6 => {
                let origin = dice.roll(ORIGINS.len());
                self.request(origin);
            }
            6..10 => {
                let keep = match dice.roll(6) {
                    0 => Keep::No,
                    1 => Keep::For(Duration::from_secs(dice.roll(12) as u64)),
                    _ => Keep::Yes,
                };
                let busy = self.some(dice, |one| !matches!(one.state, State::Idle(..)));
                busy.into_iter().for_each(|id| self.release(id, keep));
            }
            10 => {
                if let Some(id) = self.some(dice, |one| one.state == State::Connecting) {
                    self.pool.connected(id);
                    let at = self.position(id);
                    self.connections[at].state = State::Active;
                }
            }
            11 => {
                if let Some(id) = self.some(dice, is_idle) {
                    self.stale[self.connections[self.position(id)].origin] += 1;
                    self.pool.lose(id);
                    self.forget(id);
                }
            }
            12 => {
                if let Some(id) = self.some(dice, |_| true) {
                    let start = self.pool.remove(id, self.now);
                    self.forget(id);
                    self.started(start);
                }
            }
            13 if !self.waiting.is_empty() => {
                let (id, _) = self.waiting.remove(dice.roll(self.waiting.len()));
                self.pool.cancel(id);
            }
            14 => self.replace(dice),
            _ => {
                self.now += Duration::from_millis(dice.roll(1500) as u64);
                if dice.roll(2) == 0 {
                    self.expire();
                }
            }
        }
    }

    fn replace(&mut self, dice: &mut Dice) {
        let Some(id) = self.some(dice, |one| one.state == State::Active && one.requests > 1) else { return };
        let origin = self.connections[self.position(id)].origin;
        let cause = [Cause::Stale, Cause::Retry][dice.roll(2)];
        self.stale[origin] += 1;
        match cause {
            Cause::Stale => self.reused[origin] -= 1,
            Cause::Retry => self.retried[origin] += 1,
        }
        let new = self.pool.replace(id, cause, self.now);
        // The number of the old one is free only now.
        self.forget(id);
        self.begin(new, origin);
    }

    /// What the pool counts is what the model has.
    fn compare(&self) {
        let mut total = Counters::default();
        for (origin, name) in ORIGINS.iter().enumerate() {
            let found = self.pool.origins().find(|(found, _)| found == name);
            let Some((_, counters)) = found else { continue };
            let of_state = |is: fn(&State) -> bool| {
                let of_origin = self.connections.iter().filter(|one| one.origin == origin);
                of_origin.filter(|one| is(&one.state)).count()
            };
            assert_eq!(counters.connecting as usize, of_state(|state| *state == State::Connecting));
            assert_eq!(counters.active as usize, of_state(|state| *state == State::Active));
            assert_eq!(counters.idle as usize, of_state(|state| matches!(state, State::Idle(..))));
            assert_eq!(
                counters.waiting as usize,
                self.waiting.iter().filter(|(_, of)| *of == origin).count()
            );
            let history = [counters.made, counters.reused, counters.stale, counters.retried];
            let expected = [self.made, self.reused, self.stale, self.retried].map(|counts| counts[origin]);
            assert_eq!(history, expected, "made, reused, stale, retried of {name}");
            total += counters;
        }
        assert_eq!(self.pool.total(), total);
        let waiting: Vec<_> = self.waiting.iter().map(|(id, _)| *id).collect();
        assert_eq!(self.pool.waiting(), waiting);
    }
}

// HC44 to HC52, HC61, HC63
#[test]
fn every_decision_is_the_models() {
    each_seed(60, |mut dice| {
        let mut model = Model::new(&mut dice);
        for _ in 0..STEPS {
            model.step(&mut dice);
            model.compare();
        }
    });
}

// HC62
#[test]
fn a_pool_that_is_shut_serves_what_waits_and_keeps_nothing() {
    each_seed(60, |mut dice| {
        let mut model = Model::new(&mut dice);
        for _ in 0..200 {
            model.step(&mut dice);
        }
        let mut idle: Vec<_> = model.idle(None).map(|one| one.id).collect();
        let mut shut = model.pool.shut();
        idle.sort_unstable();
        shut.sort_unstable();
        assert_eq!(shut, idle);
        let mut busy: Vec<_> =
            model.connections.iter().map(|one| one.id).filter(|id| !idle.contains(id)).collect();
        let mut served = 0;
        while let Some(id) = busy.pop() {
            match model.pool.release(id, Keep::Yes, model.now) {
                Release::Serve(_) => {
                    served += 1;
                    busy.push(id);
                }
                Release::Close(Some(start)) => {
                    served += 1;
                    busy.push(start.connection);
                }
                Release::Close(None) => {}
                Release::Idle { .. } => panic!("a connection is idle"),
            }
        }
        assert_eq!(served, model.waiting.len());
        assert_eq!(model.pool.total().connections(), 0);
        assert_eq!(model.pool.waiting(), []);
    });
}
