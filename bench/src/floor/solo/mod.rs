//! The floors of benchmarks without a client: the bare system calls, done so many times.

pub(crate) mod datagrams;
pub(crate) mod pairs;
pub(crate) mod pound;
pub(crate) mod pummel;
pub(crate) mod tasks;
pub(crate) mod threads;
pub(crate) mod timers;

use crate::Result;
use crate::poller::Poller;
use crate::subjects::solo::{CHILD, LOOKED_UP, SAYING_CHILD, check, measure, measure_with_children};
use std::hint::black_box;
use std::net::ToSocketAddrs;
use std::process::{Command, Stdio};
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

/// The same with a child that writes a line, which is read.
pub(crate) fn spawn_and_read(ops: u64) -> Result<()> {
    let (program, word) = SAYING_CHILD;
    let mut command = Command::new(program);
    command.arg(word).stdin(Stdio::null()).stderr(Stdio::null());
    measure_with_children(ops, |count| {
        let mut heard = 0;
        for _ in 0..count {
            heard += command.output()?.stdout.len() as u64;
        }
        check(heard, count * (word.len() as u64 + 1))
    })
}

/// One operation is a look-up, made in this thread.
pub(crate) fn getaddrinfo(ops: u64) -> Result<()> {
    measure(ops, |count| {
        for _ in 0..count {
            black_box((LOOKED_UP, 0).to_socket_addrs()?.next());
        }
        Ok(())
    })
}
