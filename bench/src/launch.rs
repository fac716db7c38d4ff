//! `upcall-bench launch CPU PROGRAM WORDS…`: becomes that program, on that core, which ends with its parent.
//!
//! So nothing survives the run, even when that is killed outright.

use crate::Result;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub(crate) const ANY_CPU: &str = "any";

/// Becomes the program.
pub(crate) fn run(words: &[OsString]) -> Result<()> {
    let [cpu, program, words @ ..] = words else {
        return Err("launch: want a core and a program".into());
    };
    set_parent_process_death_signal(Some(Signal::TERM))?;
    if let Some(cpu) = cpu.to_str().filter(|cpu| *cpu != ANY_CPU) {
        pin(cpu.parse()?)?;
    }
    let error = Command::new(program).args(words).exec();
    Err(format!("start {}: {error}", program.display()).into())
}

/// Binds this thread, and what it starts from now on, to one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::other(format!("no CPU {cpu}")));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| io::Error::other(format!("pin to CPU {cpu}: {error}")))
}

/// The CPUs that this process may use.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// Tries whether this process may bind what it starts to `cpu`; afterwards it is where it was.
pub(crate) fn may_pin(cpu: usize) -> io::Result<()> {
    let before = sched_getaffinity(None)?;
    pin(cpu)?;
    Ok(sched_setaffinity(None, &before)?)
}
