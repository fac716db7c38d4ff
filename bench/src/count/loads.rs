//! Which benchmarks can be counted, and with how many operations.
//!
//! Counts repeat where one operation follows another: one connection, one message under way, so that every wake-up of
//! the server finds the same. What depends on how much the kernel takes at once, or on who of two threads is first,
//! differs from run to run and is not counted.

use crate::catalogue::{Entry, Work};

/// A benchmark that can be counted.
#[derive(Debug)]
struct Load {
    name: &'static str,
    /// Operations of the shorter of two runs.
    operations: u64,
    /// Whether the repository keeps its counts.
    kept: bool,
}

/// From here on the warm-up of a program without clients does not grow with its operations, so that the difference of
/// two runs has none of it.
const SOLO: u64 = 100_000;

/// Enough that the noise of a program's start and end, some thousand instructions, is less than one per operation.
const SERVED: u64 = 1000;

/// Connections cost more time to count than messages, and more instructions.
const CONNECTIONS: u64 = 500;

/// A multiple of the pipeline's 16.
const PIPELINED: u64 = 4000;

const LOADS: &[Load] = &[
    of("loop/ticks", SOLO),
    of("loop/timer-churn", SOLO),
    of("loop/timer-fire", SOLO),
    of("tcp/echo-64", SERVED).kept(),
    of("tcp/echo-16k", SERVED),
    of("tcp/connect", CONNECTIONS),
    of("tcp/writes", CONNECTIONS),
    of("unix/echo-64", SERVED),
    of("http/keep-alive", SERVED).kept(),
    of("http/pipelined", PIPELINED).kept(),
    of("http/connect", CONNECTIONS).kept(),
    of("http/down-1k", SERVED),
    of("http/up-1k", SERVED),
    of("http/chunked", CONNECTIONS),
    of("cluster/connect", CONNECTIONS),
];

const fn of(name: &'static str, operations: u64) -> Load {
    Load { name, operations, kept: false }
}

impl Load {
    const fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    fn find(entry: &Entry) -> Option<&'static Self> {
        LOADS.iter().find(|load| load.name == entry.name)
    }
}

/// How a benchmark is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Operations of the shorter of two runs; the longer one has twice as many.
    pub(crate) operations: u64,
    /// The words of the load, if there is one.
    pub(crate) load: Option<&'static [&'static str]>,
}

/// How `entry` is counted; nothing if it cannot be.
pub(crate) fn way(entry: &Entry) -> Option<Way> {
    let operations = Load::find(entry)?.operations;
    match entry.work {
        Work::Time(load) => Some(Way { operations, load: Some(load) }),
        Work::Solo { .. } | Work::SoloOf { .. } => Some(Way { operations, load: None }),
        Work::Memory(_) | Work::Evenness => None,
    }
}

/// Whether the repository keeps the counts of `entry`.
pub(crate) fn is_kept(entry: &Entry) -> bool {
    Load::find(entry).is_some_and(|load| load.kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::ALL;

    #[test]
    fn every_load_is_one_of_the_catalogue_and_can_be_counted() {
        for load in LOADS {
            let entry = ALL.iter().find(|entry| entry.name == load.name);
            let way = entry.and_then(way);
            assert!(way.is_some(), "{}", load.name);
        }
    }

    #[test]
    fn what_the_chain_is_drawn_from_is_kept() {
        for name in ["tcp/echo-64", "http/keep-alive"] {
            assert!(ALL.iter().any(|entry| entry.name == name && is_kept(entry)), "{name}");
        }
    }
}
