//! The floors of benchmarks without a client: the bare system calls, done so many times.

pub(crate) mod threads;
pub(crate) mod timers;

use crate::Result;
use crate::poller::Poller;
use crate::subjects::solo::{CHILD, check, measure, measure_with_children};
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

/// One operation is a poll that does not wait, and a look at the clock.
pub(crate) fn ticks(ops: u64) -> Result<()> {
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
pub(crate) fn spawn(ops: u64) -> Result<()> {
    let mut command = Command::new(CHILD);
    measure_with_children(ops, |count| {
        let mut succeeded = 0;
        for _ in 0..count {
            succeeded += u64::from(command.status()?.success());
        }
        check(succeeded, count)
    })
}
