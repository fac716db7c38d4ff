//! How an entry is put together.

use super::{Counting, Entry, Work};

pub(super) const fn solo(name: &'static str, pilot: u64, title: &'static str, op: &'static str) -> Entry {
    Entry {
        name,
        title,
        op,
        work: Work::Solo { pilot },
        behind: None,
        further: &[],
        target: None,
        target_to: None,
        counting: None,
    }
}

pub(super) const fn served(
    name: &'static str,
    title: &'static str,
    op: &'static str,
    load: &'static [&'static str],
) -> Entry {
    Entry {
        name,
        title,
        op,
        work: Work::Time(load),
        behind: None,
        further: &[],
        target: None,
        target_to: None,
        counting: None,
    }
}

impl Entry {
    pub(super) const fn aiming_at(self, target: (f64, &'static str)) -> Self {
        Self { target: Some(target), ..self }
    }

    /// With this floor behind it.
    pub(super) const fn in_front_of(self, floor: &'static str) -> Self {
        Self { behind: Some(floor), ..self }
    }

    /// With further subjects of ours, besides those of its group.
    pub(super) const fn with(self, further: &'static [&'static str]) -> Self {
        Self { further, ..self }
    }

    /// The ratio aimed at is to a peer.
    pub(super) const fn beside(self, peer: &'static str) -> Self {
        Self { target_to: Some(peer), ..self }
    }

    pub(super) const fn counted(self, operations: u64) -> Self {
        Self { counting: Some(Counting { operations, is_kept: false }), ..self }
    }

    /// Counted, and the repository keeps the counts.
    pub(super) const fn kept(self, operations: u64) -> Self {
        Self { counting: Some(Counting { operations, is_kept: true }), ..self }
    }
}
