//! A poll that a signal interrupts. The only test of its process, because it stops and continues the whole process.

mod common;

use common::*;
use std::time::Duration;
use uv_core::{Check, RunMode, Timer};

// unpinned in libuv: a stopped and continued process sees EINTR from epoll_wait.
#[test]
fn an_interrupted_poll_goes_on_for_the_rest_of_its_time() {
    let lp = test_loop();
    let log = Log::new();
    let mut interrupt = std::process::Command::new("sh")
        .args(["-c", "kill -STOP $0; kill -CONT $0", &std::process::id().to_string()])
        .spawn()
        .expect("sh");
    let check = Check::new(&lp);
    let checked = log.clone();
    check.start(move |_: &Check| checked.add("check")).expect("start");
    check.unref();
    let timer = Timer::new(&lp);
    let fired = log.clone();
    timer
        .start(Duration::from_millis(200), Duration::ZERO, move |_: &Timer| fired.add("timer"))
        .expect("start");
    assert_eq!(lp.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["check", "timer"], "one iteration");
    interrupt.wait().expect("sh ends");
    lp.close_and_finish();
}
