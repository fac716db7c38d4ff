//! The loop of `uv-core` by itself: phases, timers, threads, children.

mod phases;
mod processes;
mod threads;
mod timers;

use super::solo::Program;

/// What can be measured.
pub(crate) const PROGRAMS: &[Program] = &[
    Program { name: "ticks", ops: 1_000_000, run: phases::ticks },
    Program { name: "timer-churn", ops: 2_000_000, run: timers::churn },
    Program { name: "timer-fire", ops: 1_000_000, run: timers::fire },
    Program { name: "wakeup", ops: 50_000, run: threads::wakeup },
    Program { name: "post", ops: 1_000_000, run: threads::post },
    Program { name: "work", ops: 200_000, run: threads::work },
    Program { name: "spawn", ops: 500, run: processes::spawn },
];
