//! Timers: deadlines, order, repetition.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use uv_core::{Check, Errno, Idle, Prepare, RunMode, Timer};

const MS: Duration = Duration::from_millis(1);

fn log_as(log: &Log, name: &'static str) -> impl FnMut(&Timer) + 'static + use<> {
    let log = log.clone();
    move |_: &Timer| log.add(name)
}

// libuv: timer_init, active
#[test]
fn a_timer_is_active_from_its_start_to_its_stop_or_close() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    assert_eq!((timer.repeat(), timer.due_in()), (Duration::ZERO, Duration::ZERO));
    let start = || timer.start(1000 * MS, Duration::ZERO, |_: &Timer| unreachable!("it is closed before"));
    for _ in 0..2 {
        assert!(!timer.is_active() && !timer.is_closing());
        start().expect("start");
        assert!(timer.is_active() && !timer.is_closing());
        timer.stop();
    }
    start().expect("start");
    timer.close();
    assert!(!timer.is_active() && timer.is_closing());
    event_loop.finish();
}

// libuv: timer_order
#[test]
fn equal_deadlines_fire_in_the_order_of_their_starts() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = (Timer::new(&event_loop), Timer::new(&event_loop));
    a.start(MS, Duration::ZERO, log_as(&log, "a")).expect("start");
    b.start(MS, Duration::ZERO, log_as(&log, "b")).expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["a", "b"]);
    a.start(MS, Duration::ZERO, log_as(&log, "a")).expect("start");
    b.start(MS, Duration::ZERO, log_as(&log, "b")).expect("start");
    a.start(MS, Duration::ZERO, log_as(&log, "a")).expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["b", "a"], "a restart goes to the back");
    event_loop.close_and_finish();
}

// libuv: timer_zero_timeout
#[test]
fn a_zero_timer_restarted_in_its_callback_waits_for_the_next_timer_phase() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = Timer::new(&event_loop);
    let fired = log.clone();
    let rounds = Rc::new(Cell::new(0));
    timer
        .start(Duration::ZERO, Duration::ZERO, move |timer: &Timer| {
            fired.add("first");
            timer.start(Duration::ZERO, Duration::ZERO, log_as(&fired, "second")).expect("start");
        })
        .expect("start");
    let prepare = Prepare::new(&event_loop);
    let count = Rc::clone(&rounds);
    let seen = log.clone();
    prepare
        .start(move |_: &Prepare| {
            count.set(count.get() + 1);
            seen.add("prepare");
        })
        .expect("start");
    prepare.unref();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["first", "prepare", "second"]);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn a_due_timer_stopped_or_closed_by_another_does_not_fire() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b, c) = (Timer::new(&event_loop), Timer::new(&event_loop), Timer::new(&event_loop));
    let (stopped, closed) = (b.clone(), c.clone());
    a.start(Duration::ZERO, Duration::ZERO, move |_: &Timer| {
        stopped.stop();
        closed.close();
    })
    .expect("start");
    b.start(Duration::ZERO, Duration::ZERO, log_as(&log, "b")).expect("start");
    c.start(Duration::ZERO, Duration::ZERO, log_as(&log, "c")).expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert!(log.lines().is_empty());
    event_loop.close_and_finish();
}

// libuv: timer
#[test]
fn a_repeating_timer_is_armed_again_when_it_fires_and_can_be_stopped_there() {
    let event_loop = test_loop();
    let fired = Rc::new(Cell::new(0));
    let timer = Timer::new(&event_loop);
    let count = Rc::clone(&fired);
    timer
        .start(MS, MS, move |timer: &Timer| {
            assert!(timer.is_active() && timer.due_in() == MS);
            count.set(count.get() + 1);
            if count.get() == 3 {
                timer.stop();
            }
        })
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!((fired.get(), timer.is_active(), timer.due_in()), (3, false, Duration::ZERO));
    event_loop.close_and_finish();
}

// libuv: timer_again
#[test]
fn a_repeat_of_zero_set_in_the_callback_allows_one_more_firing() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = Timer::new(&event_loop);
    let fired = log.clone();
    timer
        .start(MS, MS, move |timer: &Timer| {
            fired.add("fired");
            timer.set_repeat(Duration::ZERO);
        })
        .expect("start");
    assert_eq!(timer.repeat(), MS);
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["fired", "fired"]);
    event_loop.close_and_finish();
}

// libuv: timer_again
#[test]
fn again_needs_a_start_and_does_nothing_without_a_repeat() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = Timer::new(&event_loop);
    assert_eq!(errno(timer.again()), Errno::EINVAL);
    timer.start(MS, Duration::ZERO, log_as(&log, "fired")).expect("start");
    timer.stop();
    assert_eq!(timer.again(), Ok(()));
    assert!(!timer.is_active());
    timer.set_repeat(2 * MS);
    assert_eq!(timer.again(), Ok(()));
    assert_eq!(timer.due_in(), 2 * MS);
    event_loop.until(|| log.count("fired") == 2);
    event_loop.close_and_finish();
}

// libuv: timer_huge_timeout, timer_huge_repeat
#[test]
fn a_deadline_beyond_all_time_never_comes() {
    let event_loop = test_loop();
    let log = Log::new();
    let (huge, ends, repeating) = (Timer::new(&event_loop), Timer::new(&event_loop), Timer::new(&event_loop));
    huge.start(Duration::MAX, Duration::MAX, log_as(&log, "huge")).expect("start");
    ends.start(2 * MS, Duration::ZERO, |timer: &Timer| timer.loop_handle().close_all()).expect("start");
    repeating.start(MS, Duration::MAX, log_as(&log, "once")).expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["once"]);
    event_loop.finish();
}

// libuv: timer_huge_timeout. Waiting for that timer alone must not spin.
#[test]
fn a_wait_longer_than_the_system_can_wait_blocks() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    timer.start(Duration::MAX, Duration::ZERO, |_: &Timer| {}).expect("start");
    let rounds = Rc::new(Cell::new(0));
    let check = Check::new(&event_loop);
    let count = Rc::clone(&rounds);
    check.start(move |_: &Check| count.set(count.get() + 1)).expect("start");
    let remote = event_loop.remote();
    let (entered, waits) = std::sync::mpsc::channel();
    let prepare = Prepare::new(&event_loop);
    prepare
        .start(move |_: &Prepare| {
            let _ = entered.send(());
        })
        .expect("start");
    let thread = std::thread::spawn(move || {
        waits.recv().expect("the loop polls");
        remote.post(|event_loop| event_loop.close_all()).expect("post");
    });
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(rounds.get(), 0, "closed in the first poll");
    thread.join().expect("join");
    event_loop.finish();
}

// libuv: timer_is_closing
#[test]
fn a_closing_timer_does_not_start() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    timer.close();
    assert_eq!(errno(timer.start(MS, MS, |_: &Timer| {})), Errno::EINVAL);
    assert_eq!(errno(timer.again()), Errno::EINVAL);
    assert!(!timer.is_active());
    event_loop.finish();
}

// libuv: timer_early_check
#[test]
fn a_timer_is_never_early() {
    let event_loop = test_loop();
    for micros in [1, 250, 999, 1_001, 1_500, 2_999] {
        let timeout = Duration::from_micros(micros);
        let timer = Timer::new(&event_loop);
        event_loop.update_time();
        let started = Instant::now();
        timer
            .start(timeout, Duration::ZERO, move |timer: &Timer| {
                // The loop has read its clock before `started`, by less than the resolution of this check.
                assert!(started.elapsed() + Duration::from_micros(50) >= timeout);
                timer.close();
            })
            .expect("start");
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    }
    event_loop.finish();
}

// libuv: timer_no_double_call_once
#[test]
fn an_overdue_repeat_fires_once_for_all_that_it_missed() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = Timer::new(&event_loop);
    timer.start(MS, MS, log_as(&log, "fired")).expect("start");
    let clock = Instant::now();
    while clock.elapsed() < 5 * MS {}
    event_loop.turn();
    assert_eq!(log.take(), ["fired"]);
    event_loop.close_and_finish();
}

// libuv: timer_run_once
#[test]
fn once_waits_for_the_only_timer_and_runs_it() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = Timer::new(&event_loop);
    timer.start(MS, Duration::ZERO, log_as(&log, "fired")).expect("start");
    assert_eq!(event_loop.run(RunMode::Once), Ok(false));
    assert_eq!(log.take(), ["fired"]);
    event_loop.close_and_finish();
}

// libuv: timer_start_twice
#[test]
fn a_second_start_replaces_deadline_and_callback() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = Timer::new(&event_loop);
    timer.start(Duration::ZERO, Duration::ZERO, log_as(&log, "old")).expect("start");
    timer.start(MS, Duration::ZERO, log_as(&log, "new")).expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["new"]);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn a_start_counts_from_the_time_of_the_loop_not_from_the_clock() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    let clock = Instant::now();
    while clock.elapsed() < 3 * MS {}
    timer.start(2 * MS, Duration::ZERO, |_: &Timer| {}).expect("start");
    assert_eq!(timer.due_in(), 2 * MS);
    event_loop.update_time();
    assert_eq!(timer.due_in(), Duration::ZERO);
    assert_eq!(event_loop.backend_timeout(), Some(Duration::ZERO));
    event_loop.close_and_finish();
}

// libuv: timer_from_check
#[test]
fn a_timer_restarted_in_check_fires_once_and_a_prepare_started_there_runs_before() {
    let event_loop = test_loop();
    let log = Log::new();
    let (timer, prepare, check) =
        (Timer::new(&event_loop), Prepare::new(&event_loop), Check::new(&event_loop));
    timer.start(Duration::from_secs(3600), Duration::ZERO, log_as(&log, "old")).expect("start");
    let (seen, restarted) = (log.clone(), timer);
    // Keeps the first iteration from blocking.
    let idle = Idle::new(&event_loop);
    idle.start(|_: &Idle| {}).expect("start");
    check
        .start(move |check: &Check| {
            check.stop();
            idle.stop();
            restarted.stop();
            restarted.start(MS, Duration::ZERO, log_as(&seen, "timer")).expect("start");
            let log = seen.clone();
            prepare
                .start(move |prepare: &Prepare| {
                    log.add("prepare");
                    prepare.stop();
                })
                .expect("start");
        })
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["prepare", "timer"]);
    event_loop.close_and_finish();
}

#[test]
fn many_starts_and_stops_leave_the_queue_in_order() {
    let event_loop = test_loop();
    let log = Log::new();
    let timers: Vec<Timer> = (0..500).map(|_| Timer::new(&event_loop)).collect();
    for round in 0..20 {
        for (index, timer) in timers.iter().enumerate() {
            timer.start(MS, Duration::ZERO, log_as(&log, "fired")).expect("start");
            if (index + round) % 2 == 0 {
                timer.stop();
            }
        }
    }
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.count("fired"), 250);
    event_loop.close_and_finish();
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn timers_put_off_brought_forward_and_stopped_fire_by_deadline_and_then_by_start() {
    const TIMERS: usize = 100;
    let (event_loop, mut dice) = (test_loop(), Dice(1));
    let timers: Vec<Timer> = (0..TIMERS).map(|_| Timer::new(&event_loop)).collect();
    for _ in 0..20 {
        let fired = Rc::new(RefCell::new(Vec::new()));
        // For each timer its deadline and the number of its current start.
        let mut wanted = vec![None; TIMERS];
        for start in 0..2000 {
            let index = dice.roll(TIMERS as u64) as usize;
            if dice.roll(3) == 0 {
                timers[index].stop();
                wanted[index] = None;
                continue;
            }
            let (after, log) = (dice.roll(5), Rc::clone(&fired));
            let on_timeout = move |_: &Timer| log.borrow_mut().push(index);
            timers[index].start(after as u32 * MS, Duration::ZERO, on_timeout).expect("start");
            wanted[index] = Some((after, start));
        }
        let mut order: Vec<usize> = (0..TIMERS).filter(|index| wanted[*index].is_some()).collect();
        order.sort_by_key(|index| wanted[*index]);
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        assert_eq!(*fired.borrow(), order);
    }
    event_loop.close_and_finish();
}

#[test]
fn a_restart_goes_on_with_the_upcall_that_there_is() {
    let event_loop = test_loop();
    let log = Log::new();
    let timer = Timer::new(&event_loop);
    assert_eq!(timer.restart(MS).map_err(|error| error.errno()), Err(Errno::EINVAL), "never started");
    let text = timer.restart(MS).expect_err("never started").to_string();
    assert_eq!(text, "timer_restart (the timer was never started, or is closing): Invalid argument (EINVAL)");
    let (fired, rounds) = (log.clone(), Cell::new(0));
    timer
        .start(Duration::ZERO, Duration::ZERO, move |timer: &Timer| {
            fired.add("fired");
            rounds.set(rounds.get() + 1);
            if rounds.get() < 3 {
                timer.restart(Duration::ZERO).expect("it is open");
            }
        })
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["fired", "fired", "fired"]);
    timer.close();
    assert_eq!(timer.restart(MS).map_err(|error| error.errno()), Err(Errno::EINVAL), "closing");
    event_loop.close_and_finish();
}
