//! A signal that is blocked while the loop waits, and only then.

mod common;

use common::*;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use uv_core::{Async, Errno, Prepare, RunMode, Signal};

/// This thread's file of its state.
fn status_file() -> PathBuf {
    let thread = fs::read_link("/proc/thread-self").expect("this thread");
    PathBuf::from("/proc").join(thread).join("status")
}

/// A field of a thread's state.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
    line.trim_start_matches(':').trim().to_owned()
}

/// Whether the thread has the signal blocked.
fn blocks(status: &str, signum: i32) -> bool {
    let mask = u64::from_str_radix(&field(status, "SigBlk"), 16).expect("a hexadecimal mask");
    mask & (1 << (signum - 1)) != 0
}

// libuv: loop_configure
#[test]
fn sigprof_is_blocked_while_the_loop_waits_and_not_in_callbacks() {
    for asked in [false, true] {
        let event_loop = test_loop();
        if asked {
            event_loop.block_signal(Signal::SIGPROF).expect("it is the one");
        }
        let file = status_file();
        let woken = Async::new(&event_loop, |handle: &Async| {
            let status = fs::read_to_string(status_file()).expect("its state");
            assert!(!blocks(&status, Signal::SIGPROF), "a callback is there to be sampled");
            handle.close();
        });
        let sender = woken.sender();
        let (entered, polls) = mpsc::channel();
        let prepare = Prepare::new(&event_loop);
        prepare
            .start(move |prepare: &Prepare| {
                entered.send(()).expect("the other thread listens");
                prepare.close();
            })
            .expect("start");
        let observer = std::thread::spawn(move || {
            polls.recv().expect("the loop is about to poll");
            // A loop that never waits like this is never woken, and the test hangs.
            let waits = |status: &str| {
                field(status, "State").starts_with('S') && blocks(status, Signal::SIGPROF) == asked
            };
            while !waits(&fs::read_to_string(&file).expect("its state")) {
                std::thread::yield_now();
            }
            sender.send();
        });
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        observer.join().expect("join");
        event_loop.finish();
    }
}

// libuv: `uv__loop_configure`
#[test]
fn another_signal_is_refused() {
    let event_loop = test_loop();
    for signum in [0, -1, Signal::SIGTERM, 65] {
        let error = event_loop.block_signal(signum).expect_err("only a profiler's");
        assert_eq!((error.op(), error.errno()), ("loop_configure", Errno::EINVAL));
    }
    event_loop.finish();
}
