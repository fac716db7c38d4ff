//! `peer-futures BENCH [--ops N]`: `LocalPool`, the executor of the crate futures, as a peer. It has tasks, and neither I/O nor
//! timers.
//!
//! It prints one line of JSON. What it cannot do ends it with code 2.

#![forbid(unsafe_code)]

mod tasks;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Exit code for what this program cannot do.
const UNABLE: u8 = 2;

/// Operations unless `--ops` says otherwise.
const DEFAULT_OPS: u64 = 10_000;

/// Operations that no warm-up exceeds.
const WARM_UP_MOST: u64 = 10_000;

const LOCK: &str = include_str!("../../Cargo.lock");

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (bench, ops) = match &words[..] {
        [bench] => (*bench, Ok(DEFAULT_OPS)),
        [bench, "--ops", ops] => (*bench, ops.parse()),
        _ => return unable("usage: peer-futures BENCH [--ops N]"),
    };
    let Ok(ops) = ops else { return unable("--ops: want a number") };
    match bench {
        "version" => println!("{{\"futures\":\"{}\"}}", version()),
        "loop/tasks" => measure(ops, tasks::live),
        "loop/tasks-wake" => measure(ops, tasks::go_round),
        _ => return unable("futures has an executor only"),
    }
    ExitCode::SUCCESS
}

fn unable(why: &str) -> ExitCode {
    eprintln!("peer-futures: {why}");
    ExitCode::from(UNABLE)
}

/// The version that this program was built with, from its lock file.
fn version() -> &'static str {
    let entry = "name = \"futures-executor\"\nversion = \"";
    LOCK.split_once(entry).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

/// Does a few operations, then so many, and prints the cost of these.
fn measure(ops: u64, work: fn(u64)) {
    work((ops / 10 + 1).min(WARM_UP_MOST));
    let (cpu, wall) = (cpu_time(), Instant::now());
    work(ops);
    let cpu = cpu_time().saturating_sub(cpu).as_nanos();
    println!("{{\"ops\":{ops},\"cpu_ns\":{cpu},\"wall_ns\":{}}}", wall.elapsed().as_nanos());
}

/// CPU time of this process. The kernel has this clock.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
