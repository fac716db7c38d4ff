//! Resource usage of processes.

use std::time::{Duration, Instant};
use uv_core::process::{ExitStatus, Process, ResourceUsage, SpawnOptions, UsageOf, resource_usage};
use uv_core::{Loop, RunMode};

fn usage(of: UsageOf) -> ResourceUsage {
    resource_usage(of).expect("the system says what was used")
}

fn time(of: UsageOf) -> Duration {
    let usage = usage(of);
    usage.user + usage.system
}

// libuv: getrusage, getrusage_thread
#[test]
fn a_thread_uses_no_more_than_its_process() {
    let begin = Instant::now();
    while time(UsageOf::Thread) < Duration::from_millis(2) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the time of this thread does not go on");
    }
    // In this order, because both grow between the calls.
    let (thread, process) = (usage(UsageOf::Thread), usage(UsageOf::Process));
    assert!(process.user + process.system >= thread.user + thread.system, "{process:?} {thread:?}");
    assert!(process.minor_faults >= thread.minor_faults, "{process:?} {thread:?}");
    assert!(process.max_resident > 100_000, "in bytes: {process:?}");
}

#[test]
fn what_a_child_used_counts_once_it_ended() {
    assert_eq!(time(UsageOf::Children), Duration::ZERO);
    let event_loop = Loop::new().expect("a loop");
    let options =
        SpawnOptions::new("/bin/sh").args(["-c", "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done"]);
    let close = |process: &Process, status: ExitStatus| {
        assert!(status.success());
        process.close();
    };
    Process::spawn(&event_loop, &options, close).expect("a child");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert!(time(UsageOf::Children) > Duration::ZERO);
}
