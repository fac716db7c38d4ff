//! Which lane each call leaves and which one it enters: the layers side by side, from the kernel up to the handler.
//!
//! A record says who made it and whether it goes up or down. Where it comes from and where it goes follows from the call
//! around it and from those within it. In a cluster the kernel stands in the middle, the primary's layers on its left
//! and the worker's on its right, so that a connection is seen to pass.

use crate::trace::step::Dir;
use crate::trace::story::{Story, Turn};
use std::collections::{BTreeMap, BTreeSet};

/// The lanes of one process, the lowest first.
const ORDER: &[&str] =
    &["kernel", "uv-core", "tcp-wrap", "async-wrap", "cluster", "net", "http", "pomelo", "handler"];

/// Where the layers of a chain begin: at the kernel, of which there is one.
const KERNEL: usize = 0;

/// Lanes compare from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane<'a> {
    /// The process's number, and how far to the right of the kernel the lane is among those of its process.
    place: (usize, isize),
    /// Whose; empty if there is one process, and for the kernel.
    pub(super) process: &'a str,
    pub(super) name: &'static str,
}

/// A call as an arrow between lanes. `from` and `to` are the same for what stays in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The lanes that anything touches, and for each turn the arrows of its rows.
pub(super) struct Lanes<'a> {
    pub(super) lanes: Vec<Lane<'a>>,
    pub(super) arrows: Vec<Vec<Arrow>>,
}

impl<'a> Lanes<'a> {
    pub(super) fn of(story: &'a Story) -> Self {
        let turns = || story.turns.iter().filter(|turn| !turn.rows.is_empty());
        let processes: BTreeSet<&str> = turns().map(|turn| turn.process.as_str()).collect();
        let lane = |turn: &'a Turn, rank: usize| {
            let number = processes.iter().position(|process| *process == turn.process).unwrap_or(0);
            let is_left = number == 0 && processes.len() > 1;
            let distance = if is_left { -rank.cast_signed() } else { rank.cast_signed() };
            match rank {
                KERNEL => Lane { place: (0, 0), process: "", name: ORDER[KERNEL] },
                _ => Lane { place: (number, distance), process: &turn.process, name: ORDER[rank] },
            }
        };
        let targets = targets_of(story);
        let ends: Vec<Vec<[Lane<'a>; 2]>> = story
            .turns
            .iter()
            .map(|turn| ranks_of(turn, &targets).into_iter().map(|ends| ends.map(|end| lane(turn, end))))
            .map(Iterator::collect)
            .collect();
        let lanes: Vec<Lane<'a>> =
            ends.iter().flatten().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let place = |lane| lanes.binary_search(&lane).unwrap_or(0);
        let arrow = |[from, to]: &[Lane<'a>; 2]| Arrow { from: place(*from), to: place(*to) };
        let arrows = ends.iter().map(|turn| turn.iter().map(arrow).collect()).collect();
        Self { arrows, lanes }
    }

    /// The middle of a lane, as a fraction of the width of all.
    pub(super) fn middle(&self, lane: usize) -> f64 {
        (lane as f64 + 0.5) / self.lanes.len() as f64
    }
}

fn rank(layer: &str) -> usize {
    ORDER.iter().position(|other| *other == layer).unwrap_or(KERNEL + 1)
}

/// For each row of a turn, the ranks between which it goes.
fn ranks_of(turn: &Turn, targets: &Targets<'_>) -> Vec<[usize; 2]> {
    let mut ranks: Vec<[usize; 2]> = Vec::with_capacity(turn.rows.len());
    for (at, row) in turn.rows.iter().enumerate() {
        let own = rank(&row.step.layer);
        let around = row.parent.map(|parent| ranks[parent][1]).filter(|around| *around != KERNEL);
        let known = || targets.get(&key_of(turn, at)?).copied();
        ranks.push(match row.step.dir {
            _ if row.is_wait() => [KERNEL, own],
            Dir::Down if row.step.is_kernel() => [own, KERNEL],
            Dir::Down => [around.unwrap_or(own), own],
            Dir::Up => [own, shown_target(turn, at).or_else(known).unwrap_or_else(|| next_above(own))],
            Dir::Note => [own, own],
        });
    }
    ranks
}

/// By process, handle and layer the lanes that upcalls reach, as learned from those upcalls whose target shows.
type Targets<'a> = BTreeMap<(&'a str, u64, usize), usize>;

fn targets_of(story: &Story) -> Targets<'_> {
    let all = story.turns.iter().flat_map(|turn| (0..turn.rows.len()).map(move |at| (turn, at)));
    all.filter_map(|(turn, at)| Some((key_of(turn, at)?, shown_target(turn, at)?))).collect()
}

/// The handle that an upcall is about: its own, or that of a call around it.
fn key_of(turn: &Turn, at: usize) -> Option<(&str, u64, usize)> {
    let handle =
        std::iter::once(at).chain(turn.parents(at)).find_map(|at| turn.rows[at].step.facts.handle)?;
    Some((&turn.process, handle, rank(&turn.rows[at].step.layer)))
}

/// Where an upcall arrives, if that shows: in the layer above that makes the first record within it.
fn shown_target(turn: &Turn, at: usize) -> Option<usize> {
    let upcall = Some(&turn.rows[at]).filter(|row| row.step.dir == Dir::Up)?;
    let within = turn.rows[at + 1..].iter().filter(|row| row.parent == Some(at));
    within.map(|row| rank(&row.step.layer)).find(|layer| *layer > rank(&upcall.step.layer))
}

/// The layer whose traits a layer's upcalls usually reach: the next one, but no handler passes through cluster.
fn next_above(layer: usize) -> usize {
    match ORDER[layer] {
        "uv-core" | "tcp-wrap" | "net" => layer + 1,
        "async-wrap" => layer + 2,
        _ => ORDER.len() - 1,
    }
}
