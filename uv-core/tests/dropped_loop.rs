//! Handles made for a loop that was dropped: they are closed from the start, hold nothing, and are freed.

mod common;

use common::*;
use std::io::Read;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;
use uv_core::process::{ExitStatus, Process, SpawnOptions};
use uv_core::{
    Async, BindOptions, Check, Errno, Idle, LoopHandle, Pipe, Prepare, Result, RunMode, Signal, Tcp, Timer,
};

const SIGUSR1: i32 = 10;

/// A dropped loop, of which a handle is left.
fn dropped_loop() -> LoopHandle {
    let event_loop = test_loop();
    let handle = event_loop.clone();
    drop(event_loop);
    handle
}

/// Makes a closure own a value that it does not use.
fn hold<T>(_: &T) {}

#[test]
fn handles_of_a_dropped_loop_are_closed_and_hold_no_tower() {
    let event_loop = dropped_loop();
    let token = Rc::new(());
    let held = || Rc::clone(&token);
    let closed = |result: Result<()>| assert_eq!(result.expect_err("it is closed").errno(), Errno::EINVAL);
    {
        let timer = Timer::new(&event_loop);
        let (inside, me) = (held(), timer.clone());
        closed(timer.start(Duration::ZERO, Duration::ZERO, move |_: &Timer| hold(&(&inside, &me))));
        let (idle, inside) = (Idle::new(&event_loop), held());
        closed(idle.start(move |_: &Idle| hold(&inside)));
        let (prepare, inside) = (Prepare::new(&event_loop), held());
        closed(prepare.start(move |_: &Prepare| hold(&inside)));
        let (check, inside) = (Check::new(&event_loop), held());
        closed(check.start(move |_: &Check| hold(&inside)));
        let (signal, inside) = (Signal::new(&event_loop), held());
        closed(signal.start(SIGUSR1, move |_: &Signal, _| hold(&inside)));
        let inside = held();
        let wake = Async::new(&event_loop, move |_: &Async| hold(&inside));
        wake.sender().send();
        assert!(wake.is_closing() && !wake.is_active());
        let tcp = Tcp::new(&event_loop);
        let (inside, me) = (held(), tcp.clone());
        tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_close(move || hold(&(&inside, &me))));
        closed(tcp.bind(localhost(), BindOptions::default()));
        closed(tcp.connect(localhost()));
        let inside = held();
        closed(tcp.listen_with(1, move |_, _| hold(&inside)));
        closed(tcp.read_start());
        tcp.notify();
        let inside = held();
        tcp.close_with(move || drop(inside));
        closed(Pipe::new(&event_loop).bind("\0gone"));
    }
    assert_eq!(Rc::strong_count(&token), 1, "all of it is freed");
    assert!(event_loop.handles().is_empty() && !event_loop.is_alive());
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
}

#[test]
fn a_connection_taken_for_a_loop_that_is_gone_is_closed() {
    let event_loop = dropped_loop();
    let (ours, mut peer) = sockets();
    let tcp = Tcp::from_accepted(&event_loop, ours.into());
    assert_eq!(tcp.write("x").expect_err("it is closed").errno(), Errno::EBADF);
    let mut rest = Vec::new();
    assert_eq!(peer.read_to_end(&mut rest).expect("the connection ended"), 0);
}

#[test]
fn requests_to_a_loop_that_is_gone_end_at_once_and_are_told_to_nobody() {
    let event_loop = dropped_loop();
    let token = Rc::new(());
    let (after, on_exit) = (Rc::clone(&token), Rc::clone(&token));
    let work = event_loop
        .queue_work(|| resume_unwind(Box::new("the result is dropped")), move |_: Result<()>| drop(after));
    assert_eq!(work.cancel().expect_err("it was cancelled").errno(), Errno::EBUSY);
    let options = SpawnOptions::new("true");
    let spawned = Process::spawn(&event_loop, &options, move |_: &Process, _: ExitStatus| hold(&on_exit));
    assert_eq!(spawned.expect_err("no loop would report its end").errno(), Errno::ECANCELED);
    assert_eq!(Rc::strong_count(&token), 1);
    assert_eq!(event_loop.active_requests(), 0);
}
