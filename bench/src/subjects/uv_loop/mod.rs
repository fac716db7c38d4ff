//! The loop of `uv-core` by itself: phases, timers, threads, children.

mod phases;
mod processes;
mod threads;
mod timers;

use super::solo::Program;
use super::solo::Run::{AtOnce, InTurns};

/// What can be measured.
pub(crate) const PROGRAMS: &[Program] = &[
    Program { name: "ticks", ops: 1_000_000, run: AtOnce(phases::ticks) },
    Program { name: "timer-churn", ops: 2_000_000, run: AtOnce(timers::churn) },
    Program { name: "timer-fire", ops: 1_000_000, run: InTurns(timers::fire) },
    Program { name: "wakeup", ops: 50_000, run: AtOnce(threads::wakeup) },
    Program { name: "post", ops: 1_000_000, run: AtOnce(threads::post) },
    Program { name: "work", ops: 200_000, run: AtOnce(threads::work) },
    Program { name: "spawn", ops: 500, run: AtOnce(processes::spawn) },
];
