//! Which lane each call leaves and which one it enters: the layers side by side, from the kernel up to the handler.
//!
//! A record says who made it and whether it goes up or down. Where it comes from and where it goes follows from the call
//! around it and from those within it. In a cluster the kernel stands in the middle, the primary's layers on its left
//! and the worker's on its right, so that a connection is seen to pass.

use crate::trace::step::Dir;
use crate::trace::story::{Story, Turn};
use std::collections::BTreeMap;

/// The lanes of one process, the lowest first.
const ORDER: &[&str] =
    &["kernel", "uv-core", "tcp-wrap", "async-wrap", "cluster", "net", "http", "pomelo", "handler"];

/// Where the layers of a chain begin: at the kernel, of which there is one.
const KERNEL: usize = 0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    /// Whose; empty if there is one process, and for the kernel.
    pub(super) process: String,
    /// Its place in `ORDER`.
    rank: usize,
}

/// A call as an arrow between lanes. `from` and `to` are the same for what stays in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The lanes, and for each turn the arrows of its rows.
pub(super) struct Lanes {
    pub(super) lanes: Vec<Lane>,
    pub(super) arrows: Vec<Vec<Arrow>>,
}

impl Lane {
    pub(super) fn name(&self) -> &'static str {
        ORDER[self.rank]
    }
}

impl Lanes {
    pub(super) fn of(story: &Story) -> Self {
        let known = Known::of(story);
        let ranks: Vec<Vec<(usize, usize)>> = story.turns.iter().map(|turn| ranks_of(turn, &known)).collect();
        let lanes = lanes_of(story, &ranks);
        let arrows = story.turns.iter().zip(&ranks).map(|(turn, ranks)| {
            let place = |rank| {
                let is_it =
                    |lane: &Lane| lane.rank == rank && (rank == KERNEL || lane.process == turn.process);
                lanes.iter().position(is_it).unwrap_or(0)
            };
            ranks.iter().map(|(from, to)| Arrow { from: place(*from), to: place(*to) }).collect()
        });
        Self { arrows: arrows.collect(), lanes }
    }

    /// The middle of a lane, as a fraction of the width of all.
    pub(super) fn middle(&self, lane: usize) -> f64 {
        (lane as f64 + 0.5) / self.lanes.len() as f64
    }
}

/// The lanes that anything touches: of the first process to the left of the kernel if there are several.
fn lanes_of(story: &Story, ranks: &[Vec<(usize, usize)>]) -> Vec<Lane> {
    let mut processes: Vec<&str> = story.turns.iter().map(|turn| turn.process.as_str()).collect();
    processes.retain(|process| !process.is_empty());
    processes.sort_unstable();
    processes.dedup();
    let is_one = processes.is_empty();
    if is_one {
        processes.push("");
    }
    let used = |process: &str, rank: usize| {
        let mut of_process = story.turns.iter().zip(ranks).filter(|(turn, _)| turn.process == process);
        of_process.any(|(_, ranks)| ranks.iter().any(|(from, to)| *from == rank || *to == rank))
    };
    let mut lanes = Vec::new();
    let lane = |process: &str, rank: usize| Lane { process: process.to_owned(), rank };
    for (at, process) in processes.iter().enumerate() {
        let own =
            (KERNEL + 1..ORDER.len()).filter(|rank| used(process, *rank)).map(|rank| lane(process, rank));
        if at == 0 && !is_one {
            let mut own: Vec<Lane> = own.collect();
            own.reverse();
            lanes.append(&mut own);
        } else {
            lanes.extend(own);
        }
        if at == 0 {
            let kernel = if is_one { 0 } else { lanes.len() };
            lanes.insert(kernel, lane("", KERNEL));
        }
    }
    lanes
}

fn rank(layer: &str) -> usize {
    ORDER.iter().position(|other| *other == layer).unwrap_or(KERNEL + 1)
}

/// For each row of a turn, the ranks between which it goes.
fn ranks_of(turn: &Turn, known: &Known<'_>) -> Vec<(usize, usize)> {
    let mut ranks: Vec<(usize, usize)> = Vec::with_capacity(turn.rows.len());
    for (at, row) in turn.rows.iter().enumerate() {
        let own = rank(&row.step.layer);
        let around = row.parent.map(|parent| ranks[parent].1).filter(|around| *around != KERNEL);
        ranks.push(match row.step.dir {
            _ if row.is_wait() => (KERNEL, own),
            Dir::Down if row.step.is_kernel() => (own, KERNEL),
            Dir::Down => (around.unwrap_or(own), own),
            Dir::Up => (own, known.target(turn, at)),
            Dir::Note => (own, own),
        });
    }
    ranks
}

/// The lanes that the upcalls of a handle reach, as learned from those upcalls whose target shows.
#[derive(Default)]
struct Known<'a> {
    /// By process, handle and layer.
    targets: BTreeMap<(&'a str, u64, usize), usize>,
}

impl<'a> Known<'a> {
    fn of(story: &'a Story) -> Self {
        let mut targets = BTreeMap::new();
        for turn in &story.turns {
            for at in 0..turn.rows.len() {
                if let (Some(key), Some(target)) = (key_of(turn, at), shown_target(turn, at)) {
                    targets.insert(key, target);
                }
            }
        }
        Self { targets }
    }

    fn target(&self, turn: &Turn, at: usize) -> usize {
        let known = || self.targets.get(&key_of(turn, at)?).copied();
        shown_target(turn, at).or_else(known).unwrap_or_else(|| next_above(&turn.rows[at].step.layer))
    }
}

/// The handle that an upcall is about: its own, or that of a call around it.
fn key_of(turn: &Turn, at: usize) -> Option<(&str, u64, usize)> {
    let mut around = Some(at);
    while let Some(row) = around.map(|at| &turn.rows[at]) {
        if let Some(handle) = row.facts().handle {
            return Some((&turn.process, handle, rank(&turn.rows[at].step.layer)));
        }
        around = row.parent;
    }
    None
}

/// Where an upcall arrives, if that shows: in the layer above that makes the first record within it.
fn shown_target(turn: &Turn, at: usize) -> Option<usize> {
    let own = rank(&turn.rows[at].step.layer);
    let within = turn.rows[at + 1..].iter().filter(|row| row.parent == Some(at) && turn.rows[at].is_up());
    within.map(|row| rank(&row.step.layer)).find(|layer| *layer > own)
}

/// The layer whose traits a layer's upcalls usually reach.
fn next_above(layer: &str) -> usize {
    rank(match layer {
        "uv-core" => "tcp-wrap",
        "tcp-wrap" => "async-wrap",
        "async-wrap" => "net",
        "net" => "http",
        _ => "handler",
    })
}
