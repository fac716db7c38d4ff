//! A poll that a signal interrupts. The only test of its process, because it stops and continues the whole process.

mod common;

use common::*;
use std::time::Duration;
use uv_core::{Check, RunMode, Timer};

// unpinned in libuv: a stopped and continued process sees EINTR from epoll_wait.
#[test]
fn an_interrupted_poll_goes_on_for_the_rest_of_its_time() {
    let event_loop = test_loop();
    let log = Log::new();
    let mut interrupt = std::process::Command::new("sh")
        .args(["-c", "kill -STOP $0; kill -CONT $0", &std::process::id().to_string()])
        .spawn()
        .expect("sh");
    let check = Check::new(&event_loop);
    let checked = log.clone();
    check.start(move |_: &Check| checked.add("check")).expect("start");
    check.unref();
    let timer = Timer::new(&event_loop);
    let fired = log.clone();
    timer
        .start(Duration::from_millis(200), Duration::ZERO, move |_: &Timer| fired.add("timer"))
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["check", "timer"], "one iteration");
    interrupt.wait().expect("sh ends");
    event_loop.close_and_finish();
}
