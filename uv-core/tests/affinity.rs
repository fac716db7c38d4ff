//! The processors that a process may run on.

use std::fs;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio, set_affinity};
use uv_core::{Errno, Loop, Pipe, RunMode};

fn finish(event_loop: &Loop) {
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"), "nothing is left alive");
    event_loop.close().expect("nothing is left open");
}

/// The processors of a process, in the form of `/proc/PID/status`: `0,2-3`.
fn allowed(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.expect("Linux writes it").trim().to_owned()
}

/// A child that runs until the other end of its standard input is closed.
fn waiting(event_loop: &Loop) -> (Process, Pipe) {
    let pipe = Pipe::new(event_loop);
    let options = SpawnOptions::new("cat").stdio([Stdio::Pipe(pipe.clone())]);
    let process = Process::spawn(event_loop, &options, |process: &Process, _: ExitStatus| process.close());
    (process.expect("cat is everywhere"), pipe)
}

// libuv: thread_affinity
#[test]
fn a_process_runs_on_the_processors_that_it_is_bound_to() {
    let event_loop = Loop::new().expect("a loop");
    let (process, pipe) = waiting(&event_loop);
    let before = allowed(process.pid());
    let first = before.split([',', '-']).next().and_then(|cpu| cpu.parse().ok()).expect("a number");
    // Processors of the list that do not exist are ignored.
    set_affinity(process.pid(), &[first, 1023]).expect("the child is ours");
    assert_eq!(allowed(process.pid()), first.to_string());
    pipe.close();
    finish(&event_loop);
}

#[test]
fn what_cannot_be_bound_is_an_error() {
    let event_loop = Loop::new().expect("a loop");
    let (process, pipe) = waiting(&event_loop);
    let before = allowed(process.pid());
    for cpus in [&[][..], &[1024], &[usize::MAX]] {
        let error = set_affinity(process.pid(), cpus).expect_err("no processor");
        assert_eq!((error.op(), error.errno()), ("sched_setaffinity", Errno::EINVAL));
    }
    assert_eq!(allowed(process.pid()), before);
    let error = set_affinity(i32::MAX, &[0]).expect_err("no such process");
    assert_eq!(error.errno(), Errno::ESRCH);
    pipe.close();
    finish(&event_loop);
}
