//! The requests of a pool that wait for a connection, in the order in which they came. Mirrors `agent.requests`, whose order
//! over origins is not that.

use super::list::{Links, Member};
use super::origins::Origins;
use slab::Slab;
use std::collections::BTreeSet;

/// The number of the list of an origin's waiting requests.
const WAITING: usize = 0;

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    /// The place in the order of all.
    ticket: u64,
    origin: u32,
    links: Links,
}

impl Member for Waiting {
    fn links(&self, _: usize) -> &Links {
        &self.links
    }

    fn links_mut(&mut self, _: usize) -> &mut Links {
        &mut self.links
    }
}

/// The waiting requests of all origins.
///
/// Each origin has a list of its own. Of the origins that are below their own limit the oldest request is in a set, whose
/// first member is the next to be served when there is room in total: no origin at its limit is looked at.
#[derive(Debug, Default)]
pub(super) struct Queue {
    requests: Slab<Waiting>,
    ready: BTreeSet<(u64, u32)>,
    last_ticket: u64,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Enters a request of an origin, as the youngest of all.
    pub(super) fn push(&mut self, origins: &mut Origins, origin: u32) -> u32 {
        self.last_ticket += 1;
        let waiting = Waiting { ticket: self.last_ticket, origin, links: Links::default() };
        let id = super::number(self.requests.insert(waiting));
        let origin = origins.at(origin);
        origin.waiting.push(&mut self.requests, WAITING, id);
        origin.counters.waiting += 1;
        id
    }

    /// Removes a request. Returns its origin, or `None` if it does not wait.
    pub(super) fn remove(&mut self, origins: &mut Origins, id: u32) -> Option<u32> {
        let origin = self.requests.get(id as usize)?.origin;
        let of_origin = origins.at(origin);
        of_origin.waiting.remove(&mut self.requests, WAITING, id);
        of_origin.counters.waiting -= 1;
        self.requests.remove(id as usize);
        Some(origin)
    }

    /// The oldest request of an origin, with its ticket.
    pub(super) fn oldest_of(&self, origins: &mut Origins, origin: u32) -> Option<(u64, u32)> {
        let id = origins.at(origin).waiting.first()?;
        Some((self.requests[id as usize].ticket, id))
    }

    /// The ticket and the origin of the oldest request that needs nothing but room in total.
    pub(super) fn oldest_ready(&self) -> Option<(u64, u32)> {
        self.ready.first().copied()
    }

    /// Notes whether the oldest request of an origin could be served if there were room in total.
    pub(super) fn refresh(&mut self, origins: &mut Origins, origin: u32, is_below_limit: bool) {
        let oldest = self.oldest_of(origins, origin).filter(|_| is_below_limit);
        let ticket = oldest.map_or(0, |(ticket, _)| ticket);
        let ready = std::mem::replace(&mut origins.at(origin).ready, ticket);
        if ready == ticket {
            return;
        }
        if ready > 0 {
            self.ready.remove(&(ready, origin));
        }
        if ticket > 0 {
            self.ready.insert((ticket, origin));
        }
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> Vec<u32> {
        let mut all: Vec<_> =
            self.requests.iter().map(|(id, waiting)| (waiting.ticket, super::number(id))).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }
}
