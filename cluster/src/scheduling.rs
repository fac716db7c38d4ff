//! Which worker gets the next connection: a trait with one method, and rotation as its default. Mirrors
//! `cluster.schedulingPolicy`, which knows two policies and takes no others.

use std::fmt;
use std::rc::Rc;

/// A worker that can take a connection now: its channel is open, its server has room, and no acknowledgement is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The worker's id.
    pub worker: u32,
    /// Connections that it was handed and has not acknowledged yet.
    pub in_flight: usize,
    /// Connections that it has taken so far.
    pub taken: u64,
}

/// Chooses a worker for each connection. Every listening socket has a policy object of its own.
///
/// ```
/// use cluster::scheduling::{Candidate, SchedulingPolicy};
///
/// /// Chooses the worker with the fewest connections in flight.
/// struct ShortestQueue;
///
/// impl SchedulingPolicy for ShortestQueue {
///     fn choose(&mut self, candidates: &[Candidate]) -> usize {
///         let least = candidates.iter().enumerate().min_by_key(|(_, candidate)| candidate.in_flight);
///         least.map_or(0, |(index, _)| index)
///     }
/// }
/// ```
pub trait SchedulingPolicy {
    /// Returns the index of the candidate that gets the connection. There is at least one candidate, and they are in the
    /// order of their ids. An index out of range stands for the first candidate.
    fn choose(&mut self, candidates: &[Candidate]) -> usize;
}

/// Strict rotation by id over the workers that can take a connection: while all can, their numbers of connections differ by
/// at most one.
///
/// Node hands a connection to the worker that was the first to acknowledge its last one, which is a rotation only while all
/// workers are equally fast.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    last: u32,
}

impl SchedulingPolicy for RoundRobin {
    fn choose(&mut self, candidates: &[Candidate]) -> usize {
        let next = candidates.partition_point(|candidate| candidate.worker <= self.last);
        let index = if next < candidates.len() { next } else { 0 };
        self.last = candidates.get(index).map_or(0, |candidate| candidate.worker);
        index
    }
}

/// How connections reach workers (`cluster.schedulingPolicy`).
///
/// ```
/// use cluster::Policy;
/// use cluster::scheduling::RoundRobin;
///
/// let policies = [Policy::default(), Policy::distributed(RoundRobin::default), Policy::shared()];
/// # let _ = policies;
/// ```
#[derive(Clone)]
pub struct Policy(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Distributed(Rc<dyn Fn() -> Box<dyn SchedulingPolicy>>),
    Shared,
}

impl Policy {
    /// The primary accepts and hands connections out in rotation (`SCHED_RR`). This is the default.
    #[must_use]
    pub fn round_robin() -> Self {
        Self::distributed(RoundRobin::default)
    }

    /// The primary accepts and hands connections out as a policy chooses. `make` is called once per listening socket.
    #[must_use]
    pub fn distributed<P: SchedulingPolicy + 'static>(make: impl Fn() -> P + 'static) -> Self {
        Self(Kind::Distributed(Rc::new(move || Box::new(make()))))
    }

    /// The workers share the listening socket, and the first to call accept gets a connection (`SCHED_NONE`). It costs the
    /// least, and spreads connections unevenly: each connection wakes every idle worker, and a worker accepts one per turn
    /// of its loop, so the kernel's scheduler decides. Of 600 connections in sequence, 8 workers on 2 processors got
    /// between 1 and 293 each. Choose it for its cost, not for evenness. (`EPOLLEXCLUSIVE` would wake only one worker, but a
    /// connection would wait if that worker cannot accept, or dies before it does.)
    ///
    /// These workers are killed with their primary: see [`Settings::outlive_primary`](crate::Settings::outlive_primary).
    #[must_use]
    pub const fn shared() -> Self {
        Self(Kind::Shared)
    }
}

impl Policy {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Distributed(one), Kind::Distributed(other)) => Rc::ptr_eq(one, other),
            (Kind::Shared, Kind::Shared) => true,
            _ => false,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::round_robin()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Distributed(_) => "Policy::distributed",
            Kind::Shared => "Policy::shared",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(workers: &[u32]) -> Vec<Candidate> {
        workers.iter().map(|worker| Candidate { worker: *worker, in_flight: 0, taken: 0 }).collect()
    }

    fn turns(policy: &mut RoundRobin, workers: &[u32], count: usize) -> Vec<u32> {
        let candidates = candidates(workers);
        (0..count).map(|_| candidates[policy.choose(&candidates)].worker).collect()
    }

    #[test]
    fn round_robin_takes_turns() {
        let mut policy = RoundRobin::default();
        assert_eq!(turns(&mut policy, &[1, 2, 5], 7), [1, 2, 5, 1, 2, 5, 1]);
    }

    #[test]
    fn round_robin_passes_over_those_that_are_missing_and_comes_back_to_them() {
        let mut policy = RoundRobin::default();
        assert_eq!(turns(&mut policy, &[1, 2, 3], 1), [1]);
        assert_eq!(turns(&mut policy, &[1, 3], 2), [3, 1]);
        assert_eq!(turns(&mut policy, &[1, 2, 3], 3), [2, 3, 1]);
    }

    #[test]
    fn round_robin_goes_on_when_the_last_one_is_gone() {
        let mut policy = RoundRobin::default();
        assert_eq!(turns(&mut policy, &[4, 7], 2), [4, 7]);
        assert_eq!(turns(&mut policy, &[4, 9], 2), [9, 4]);
        assert_eq!(turns(&mut policy, &[4], 2), [4, 4]);
    }
}
