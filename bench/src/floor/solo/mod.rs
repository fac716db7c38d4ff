//! The floors of benchmarks without a client: the bare system calls, done so many times.

mod threads;
mod timers;

use crate::Result;
use crate::poller::Poller;
use crate::subjects::solo::Run::{AtOnce, InTurns};
use crate::subjects::solo::{self, CHILD, Program, check, measure, measure_with_children};
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAMS: &[Program] = &[
    Program { name: "ticks", ops: 1_000_000, run: AtOnce(ticks) },
    Program { name: "timer-churn", ops: 2_000_000, run: AtOnce(timers::churn) },
    Program { name: "timer-fire", ops: 1_000_000, run: InTurns(timers::fire) },
    Program { name: "wakeup", ops: 50_000, run: AtOnce(threads::wakeup) },
    Program { name: "post", ops: 1_000_000, run: AtOnce(threads::post) },
    Program { name: "work", ops: 200_000, run: AtOnce(threads::work) },
    Program { name: "spawn", ops: 500, run: AtOnce(spawn) },
];

/// The floor of `bench`, named with its group or without.
///
/// # Errors
/// There is no such benchmark.
pub(crate) fn find(bench: &str) -> Result<&'static Program> {
    let name = bench.strip_prefix("loop/").unwrap_or(bench);
    solo::find(PROGRAMS, name).ok_or_else(|| format!("{bench}: no such floor").into())
}

/// One operation is a poll that does not wait, and a look at the clock.
fn ticks(ops: u64) -> Result<()> {
    let mut poller = Poller::new()?;
    measure(ops, |count| {
        for _ in 0..count {
            poller.wait(Some(Duration::ZERO))?;
            black_box(Instant::now());
        }
        Ok(())
    })
}

/// One operation is a child from its start to its end.
fn spawn(ops: u64) -> Result<()> {
    let mut command = Command::new(CHILD);
    measure_with_children(ops, |count| {
        let mut succeeded = 0;
        for _ in 0..count {
            succeeded += u64::from(command.status()?.success());
        }
        check(succeeded, count)
    })
}
