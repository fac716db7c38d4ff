//! The origins of a pool: each with its idle connections, its waiting requests and its counters.

use super::counters::Counters;
use super::list::{Links, List, Member};
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// How many origins without connection and request are remembered, for their counters: each takes some 200 bytes.
const KEPT: usize = 256;

/// The number of the list of origins that nothing uses.
const UNUSED: usize = 0;

/// An origin.
#[derive(Debug, Default)]
pub(super) struct Origin {
    name: Rc<str>,
    pub(super) counters: Counters,
    /// Idle connections, in the order of their release.
    pub(super) idle: List,
    /// The same by how often they were used. Empty unless connections are chosen by that.
    pub(super) by_use: BTreeSet<(u64, u32)>,
    /// How often the connection was used that was chosen last: a new one counts from here, or it would get every request
    /// until it has had as many as the others.
    pub(super) floor: u64,
    /// Waiting requests, oldest first.
    pub(super) waiting: List,
    /// The ticket with which this origin is among those whose oldest request could be served; 0 if it is not.
    pub(super) ready: u64,
    links: Links,
    is_unused: bool,
}

impl Member for Origin {
    fn links(&self, _: usize) -> &Links {
        &self.links
    }

    fn links_mut(&mut self, _: usize) -> &mut Links {
        &mut self.links
    }
}

/// All origins.
#[derive(Debug, Default)]
pub(super) struct Origins {
    by_name: HashMap<Rc<str>, u32>,
    all: Slab<Origin>,
    /// Those without connection and request, the longest unused first.
    unused: List,
    unused_count: usize,
    /// What happened to those that are forgotten.
    past: Counters,
}

impl Origins {
    /// The origin of this name, which is in use from now on: [`settle`](Self::settle) ends that.
    pub(super) fn enter(&mut self, name: &str) -> u32 {
        let Some(id) = self.by_name.get(name).copied() else {
            let name: Rc<str> = name.into();
            let id = super::number(self.all.insert(Origin { name: Rc::clone(&name), ..Origin::default() }));
            self.by_name.insert(name, id);
            return id;
        };
        if self.all[id as usize].is_unused {
            self.unused.remove(&mut self.all, UNUSED, id);
            self.unused_count -= 1;
            self.all[id as usize].is_unused = false;
        }
        id
    }

    pub(super) fn at(&mut self, id: u32) -> &mut Origin {
        &mut self.all[id as usize]
    }

    /// If nothing is left of an origin, it is one of those that are only remembered.
    pub(super) fn settle(&mut self, id: u32) {
        let Origin { counters, is_unused, .. } = &mut self.all[id as usize];
        if *is_unused || counters.connections() > 0 || counters.waiting > 0 {
            return;
        }
        *is_unused = true;
        self.unused.push(&mut self.all, UNUSED, id);
        self.unused_count += 1;
        if self.unused_count > KEPT
            && let Some(oldest) = self.unused.first()
        {
            self.unused.remove(&mut self.all, UNUSED, oldest);
            self.unused_count -= 1;
            let forgotten = self.all.remove(oldest as usize);
            self.by_name.remove(&forgotten.name);
            self.past += forgotten.counters;
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.all.iter().map(|(_, origin)| (&*origin.name, origin.counters))
    }

    /// The counters of all origins together, those that are forgotten included.
    pub(super) fn total(&self) -> Counters {
        let mut total = self.past;
        self.each().for_each(|(_, counters)| total += counters);
        total
    }
}
