//! The order of the phases, what keeps a loop alive, and how long it blocks.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use uv_core::handle::{Handle, HandleKind};
use uv_core::{Async, Check, Errno, Idle, Loop, Prepare, RunMode, Tcp, Timer};

const MS: Duration = Duration::from_millis(1);

fn timer(event_loop: &TestLoop, log: &Log, name: &'static str, timeout: Duration) -> Timer {
    let timer = Timer::new(event_loop);
    let log = log.clone();
    timer.start(timeout, Duration::ZERO, move |_: &Timer| log.add(name)).expect("start");
    timer
}

/// Watchers that log their phases: idle, prepare and check.
fn phases(event_loop: &TestLoop, log: &Log) -> (Idle, Prepare, Check) {
    let (idle, prepare, check) = (Idle::new(event_loop), Prepare::new(event_loop), Check::new(event_loop));
    let (a, b, c) = (log.clone(), log.clone(), log.clone());
    idle.start(move |_: &Idle| a.add("idle")).expect("start");
    prepare.start(move |_: &Prepare| b.add("prepare")).expect("start");
    check.start(move |_: &Check| c.add("check")).expect("start");
    (idle, prepare, check)
}

// libuv: close_order, loop_handles
#[test]
fn default_mode_runs_due_timers_first_and_then_idle_prepare_check_close_timers() {
    let event_loop = test_loop();
    let log = Log::new();
    let (idle, ..) = phases(&event_loop, &log);
    let (later, inner) = (log.clone(), event_loop.clone());
    timer(&event_loop, &log, "timer", Duration::ZERO);
    let first = Rc::new(Cell::new(true));
    let closing = Check::new(&event_loop);
    closing
        .start(move |_: &Check| {
            if first.replace(false) {
                let log = later.clone();
                idle.close_with(move || log.add("closed"));
                let (log, event_loop) = (later.clone(), inner.clone());
                let timer = Timer::new(&inner);
                timer
                    .start(Duration::ZERO, Duration::ZERO, move |_: &Timer| {
                        log.add("second timer");
                        event_loop.stop();
                    })
                    .expect("start");
            }
        })
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(true));
    assert_eq!(log.take(), ["timer", "idle", "prepare", "check", "closed", "second timer"]);
    event_loop.close_and_finish();
}

// libuv: timer_no_double_call_once, timer_no_double_call_nowait
#[test]
fn once_and_nowait_run_timers_after_the_poll_and_only_once() {
    for mode in [RunMode::Once, RunMode::NoWait] {
        let event_loop = test_loop();
        let log = Log::new();
        phases(&event_loop, &log);
        let timer = Timer::new(&event_loop);
        let fired = log.clone();
        timer.start(Duration::ZERO, Duration::from_nanos(1), move |_: &Timer| fired.add("timer")).unwrap();
        assert_eq!(event_loop.run(mode), Ok(true));
        assert_eq!(log.take(), ["idle", "prepare", "check", "timer"]);
        event_loop.close_and_finish();
    }
}

// libuv: loop_stop_before_run
#[test]
fn a_stop_before_run_calls_nothing_and_holds_for_one_run() {
    let event_loop = test_loop();
    let log = Log::new();
    timer(&event_loop, &log, "timer", Duration::ZERO);
    event_loop.stop();
    assert_eq!(event_loop.run(RunMode::Default), Ok(true));
    assert_eq!(log.lines(), [""; 0]);
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["timer"]);
    event_loop.close_and_finish();
}

// libuv: loop_stop
#[test]
fn a_stop_in_a_timer_ends_the_run_after_the_iteration_and_it_can_be_resumed() {
    let event_loop = test_loop();
    let rounds = Rc::new(Cell::new(0));
    let prepare = Prepare::new(&event_loop);
    let count = Rc::clone(&rounds);
    prepare.start(move |_: &Prepare| count.set(count.get() + 1)).expect("start");
    let timer = Timer::new(&event_loop);
    timer.start(Duration::ZERO, Duration::ZERO, |timer: &Timer| timer.loop_handle().stop()).unwrap();
    // The timer is due before the first iteration, which then does not happen.
    assert_eq!(event_loop.run(RunMode::Default), Ok(true));
    assert_eq!(rounds.get(), 0);
    assert_eq!(event_loop.run(RunMode::NoWait), Ok(true));
    assert_eq!(rounds.get(), 1);
    prepare.stop();
    event_loop.close_and_finish();
}

// libuv: loop_update_time
#[test]
fn a_run_with_nothing_alive_returns_at_once_and_looks_at_the_clock() {
    let event_loop = test_loop();
    let before = event_loop.now();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert!(event_loop.now() > before);
    // Nothing but these runs looks at the clock.
    let start = event_loop.now();
    while event_loop.now() - start < 5 * MS {
        assert_eq!(event_loop.run(RunMode::NoWait), Ok(false));
    }
    event_loop.finish();
}

// libuv: timer_no_run_on_unref
#[test]
fn an_unreferenced_due_timer_does_not_fire_when_nothing_else_is_alive() {
    let event_loop = test_loop();
    let log = Log::new();
    timer(&event_loop, &log, "timer", Duration::ZERO).unref();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert!(log.lines().is_empty());
    event_loop.close_and_finish();
}

// libuv: loop_close
#[test]
fn a_loop_is_busy_until_every_close_was_reported_and_says_with_what() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    let error = event_loop.close().expect_err("a handle is open");
    assert_eq!(
        (error.op(), error.errno(), error.target()),
        ("loop_close", Errno::EBUSY, Some("[R--] timer"))
    );
    let fired = Cell::new(0);
    timer
        .start(MS, MS, move |timer: &Timer| {
            fired.set(fired.get() + 1);
            if fired.get() == 3 {
                timer.loop_handle().stop();
            }
        })
        .expect("start");
    assert_eq!(errno(event_loop.close()), Errno::EBUSY);
    assert_eq!(event_loop.run(RunMode::Default), Ok(true));
    assert_eq!(errno(event_loop.close()), Errno::EBUSY, "it goes on");
    timer.close();
    assert_eq!(errno(event_loop.close()), Errno::EBUSY);
    event_loop.finish();
}

// libuv: signal_close_loop_alive
#[test]
fn a_loop_with_only_closing_handles_is_alive_and_reports_them() {
    let event_loop = test_loop();
    let log = Log::new();
    let closed = log.clone();
    Timer::new(&event_loop).close_with(move || closed.add("closed"));
    assert!(event_loop.is_alive());
    event_loop.finish();
    assert_eq!(log.take(), ["closed"]);
}

// libuv: loop_backend_timeout, embed
#[test]
fn the_backend_timeout_is_the_time_to_the_next_timer_unless_something_waits() {
    let event_loop = test_loop();
    assert_eq!(event_loop.backend_timeout(), Some(Duration::ZERO), "nothing to wait for");
    let handle = Async::new(&event_loop, |_: &Async| {});
    assert_eq!(event_loop.backend_timeout(), None, "descriptors only");
    let timer = Timer::new(&event_loop);
    timer.start(100 * MS, Duration::ZERO, |_: &Timer| {}).expect("start");
    assert_eq!(event_loop.backend_timeout(), Some(100 * MS));
    timer.start(Duration::ZERO, Duration::ZERO, |_: &Timer| {}).expect("start");
    assert_eq!(event_loop.backend_timeout(), Some(Duration::ZERO), "due");
    timer.stop();
    let idle = Idle::new(&event_loop);
    idle.start(|_: &Idle| {}).expect("start");
    assert_eq!(event_loop.backend_timeout(), Some(Duration::ZERO), "an idle watcher");
    idle.stop();
    event_loop.stop();
    assert_eq!(event_loop.backend_timeout(), Some(Duration::ZERO), "stopped");
    assert_eq!(event_loop.run(RunMode::NoWait), Ok(true));
    handle.close();
    assert_eq!(event_loop.backend_timeout(), Some(Duration::ZERO), "a closing handle");
    event_loop.close_and_finish();
}

// libuv: embed
#[test]
fn an_outer_poll_on_the_backend_descriptor_drives_the_loop() {
    let event_loop = test_loop();
    let log = Log::new();
    let woken = log.clone();
    let handle = Async::new(&event_loop, move |handle: &Async| {
        woken.add("woken");
        handle.close();
    });
    let mut outer = mio::Poll::new().expect("poll");
    let fd = event_loop.backend_fd();
    outer
        .registry()
        .register(&mut mio::unix::SourceFd(&fd), mio::Token(0), mio::Interest::READABLE)
        .expect("register");
    assert_eq!(event_loop.backend_timeout(), None);
    let sender = handle.sender();
    let thread = std::thread::spawn(move || sender.send());
    outer.poll(&mut mio::Events::with_capacity(4), None).expect("the wake-up arrives");
    thread.join().expect("join");
    while event_loop.run(RunMode::NoWait).expect("run") {}
    assert_eq!(log.take(), ["woken"]);
    event_loop.finish();
}

// libuv: walk_handles
#[test]
fn a_walk_sees_every_open_handle_and_survives_a_close_and_a_new_one() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    timer.start(MS, Duration::ZERO, |_: &Timer| {}).expect("start");
    timer.unref();
    let _tcp = Tcp::new(&event_loop);
    let seen = RefCell::new(Vec::new());
    event_loop.walk(|handle: &Handle| {
        seen.borrow_mut().push(handle.kind());
        handle.close();
        let _ = Idle::new(handle.loop_handle());
    });
    assert_eq!(*seen.borrow(), [HandleKind::Timer, HandleKind::Tcp]);
    assert_eq!(event_loop.handles().len(), 4, "closing ones and new ones are open");
    assert_eq!(event_loop.handles()[0].to_string(), "[--C] timer");
    assert!(event_loop.handles()[0].keeps_alive() && !event_loop.handles()[2].keeps_alive());
    event_loop.close_and_finish();
}

// libuv: loop_alive, its second half: requests
#[test]
fn requests_in_flight_keep_the_loop_alive_and_are_counted() {
    let event_loop = test_loop();
    let (tcp, _peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&Log::new(), "tcp"));
    tcp.unref();
    assert_eq!((event_loop.active_requests(), event_loop.is_alive()), (0, false));
    // More than the kernel takes: the peer does not read.
    tcp.write(vec![0; 1 << 24]).expect("write");
    tcp.shutdown().expect("shutdown");
    assert_eq!((event_loop.active_requests(), event_loop.is_alive()), (2, true));
    assert!(event_loop.handles().iter().all(|handle| !handle.keeps_alive()), "no handle is the reason");
    tcp.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(event_loop.active_requests(), 0);
    event_loop.finish();
}

// libuv: idle_check
#[test]
fn once_with_an_idle_watcher_does_not_block_even_if_that_stops() {
    let event_loop = test_loop();
    let idle = Idle::new(&event_loop);
    idle.start(|idle: &Idle| idle.stop()).expect("start");
    let (check, checks) = (Check::new(&event_loop), Rc::new(Cell::new(0)));
    let count = Rc::clone(&checks);
    check.start(move |_: &Check| count.set(count.get() + 1)).expect("start");
    assert_eq!(event_loop.run(RunMode::Once), Ok(true), "and did not block");
    assert_eq!(checks.get(), 1);
    idle.close();
    check.close();
    assert_eq!(event_loop.run(RunMode::Once), Ok(false));
    assert_eq!(checks.get(), 1, "it is closed");
    event_loop.finish();
}

// libuv: run_once
#[test]
fn once_runs_one_iteration_and_says_whether_anything_is_left() {
    const TICKS: usize = 64;
    let event_loop = test_loop();
    let ticks = Rc::new(Cell::new(0));
    let count = Rc::clone(&ticks);
    let idle = Idle::new(&event_loop);
    idle.start(move |idle: &Idle| {
        count.set(count.get() + 1);
        if count.get() == TICKS {
            idle.stop();
        }
    })
    .expect("start");
    for tick in 1..=TICKS {
        assert_eq!(event_loop.run(RunMode::Once), Ok(tick < TICKS));
        assert_eq!(ticks.get(), tick);
    }
    event_loop.close_and_finish();
}

// libuv: run_nowait
#[test]
fn nowait_does_not_wait_for_a_timer() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    let hour = Duration::from_secs(3600);
    timer.start(hour, hour, |_: &Timer| unreachable!("it is not due")).expect("start");
    assert_eq!(event_loop.run(RunMode::NoWait), Ok(true));
    event_loop.close_and_finish();
}

// libuv: idle_starvation
#[test]
fn an_idle_watcher_starves_neither_timers_nor_check_nor_input() {
    let event_loop = test_loop();
    let log = Log::new();
    let (idle, check) = (Idle::new(&event_loop), Check::new(&event_loop));
    idle.start(|_: &Idle| {}).expect("start");
    let checked = log.clone();
    check
        .start(move |check: &Check| {
            checked.add("check");
            check.stop();
        })
        .expect("start");
    timer(&event_loop, &log, "timer", MS);
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.read_start().expect("read_start");
    event_loop.turn();
    peer.write_all(b"x").expect("write");
    event_loop.until(|| log.has("check") && log.has("timer") && log.has("tcp read 1"));
    event_loop.close_and_finish();
}

// libuv: see `references.rs`
#[test]
fn references_are_idempotent_and_requests_hold_the_loop_without_them() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = timer(&event_loop, &log, "timer", MS);
    assert!(timer.has_ref());
    timer.unref();
    timer.unref();
    assert!(!timer.has_ref() && !event_loop.is_alive());
    timer.ref_();
    timer.ref_();
    assert!(event_loop.is_alive());
    timer.close();

    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    _server.unref();
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(addr).expect("connect");
    client.unref();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert!(log.has("client connect ok"), "the request kept the loop alive");
    event_loop.close_and_finish();
}

// libuv: tcp_ref2b
#[test]
fn closing_an_unreferenced_listener_is_reported_before_run_returns() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, _) = serve(&event_loop, |_| {});
    server.unref();
    let closed = log.clone();
    server.close_with(move || closed.add("closed"));
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["closed"]);
    event_loop.finish();
}

// libuv: unref_in_prepare_cb
#[test]
fn unreferencing_in_a_prepare_watcher_keeps_this_iteration_from_blocking() {
    let event_loop = test_loop();
    let timer = timer(&event_loop, &Log::new(), "timer", Duration::from_secs(3600));
    let prepare = Prepare::new(&event_loop);
    prepare
        .start(move |prepare: &Prepare| {
            timer.unref();
            prepare.unref();
        })
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false), "and did not wait for the timer");
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn the_time_stands_still_inside_a_callback_unless_it_is_updated() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    timer
        .start(Duration::ZERO, Duration::ZERO, |timer: &Timer| {
            let (event_loop, before) = (timer.loop_handle(), timer.loop_handle().now());
            let clock = std::time::Instant::now();
            while clock.elapsed() < MS {}
            assert_eq!(event_loop.now(), before);
            event_loop.update_time();
            assert!(event_loop.now() >= before + MS);
        })
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close_and_finish();
}

#[test]
fn running_a_loop_from_its_own_callback_is_refused() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    timer
        .start(Duration::ZERO, Duration::ZERO, |timer: &Timer| {
            assert_eq!(errno(timer.loop_handle().run(RunMode::Once)), Errno::EBUSY);
            let other = Loop::new().expect("a loop");
            assert_eq!(other.run(RunMode::Default), Ok(false), "another loop may run");
        })
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn a_chain_of_completions_goes_on_in_one_iteration_up_to_a_bound() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    let this = tcp.clone();
    tcp.set_upcall(Tower::new(&log, "tcp").on_write(move |_| {
        if !this.is_closing() {
            this.write("x").expect("write");
        }
    }));
    tcp.write("x").expect("write");
    event_loop.turn();
    // One before the poll phase and eight behind it.
    assert_eq!(log.take(), ["tcp write ok"; 9]);
    event_loop.close_and_finish();
}

// libuv: `uv__update_time` behind the poll phase
#[test]
fn a_timer_that_becomes_due_during_an_event_fires_in_the_same_iteration() {
    let event_loop = test_loop();
    let log = Log::new();
    timer(&event_loop, &log, "timer", 20 * MS);
    let clock = std::time::Instant::now();
    let called = log.clone();
    let handle = Async::new(&event_loop, move |_: &Async| {
        while clock.elapsed() < 25 * MS {}
        called.add("event");
    });
    handle.sender().send();
    event_loop.turn();
    assert_eq!(log.take(), ["event", "timer"]);
    event_loop.close_and_finish();
}
