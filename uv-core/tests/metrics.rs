//! What a loop measures of itself: turns, events, idle time and lag.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use uv_core::metrics::{Detail, Metrics};
use uv_core::{Async, Loop, Prepare, RunMode, Timer};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Keeps a processor busy.
fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Runs a loop that waits for `wait` and then computes for `busy`. Returns its measurements.
fn wait_and_spin(wait: Duration, busy: Duration) -> Metrics {
    let event_loop = Loop::new().expect("a loop");
    let metrics = event_loop.measure(Detail::Waiting);
    let timer = Timer::new(&event_loop);
    let on_timeout = move |timer: &Timer| {
        spin(busy);
        timer.close();
    };
    timer.start(wait, Duration::ZERO, on_timeout).expect("to start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is left");
    metrics
}

// libuv: metrics_idle_time
#[test]
fn idle_time_is_the_time_of_waiting_and_not_that_of_callbacks() {
    let metrics = wait_and_spin(ms(100), ms(300));
    let info = metrics.info();
    assert!(info.idle >= ms(95) && info.idle < ms(300), "{info:?}");
    assert!(info.max_lag >= ms(300), "{info:?}");
    assert_eq!(info.lag, Duration::ZERO, "the loop does not run");
}

// libuv: metrics_idle_time_thread
#[test]
fn each_loop_of_several_threads_has_its_own_idle_time() {
    let threads: Vec<_> = (0..5).map(|_| thread::spawn(|| wait_and_spin(ms(60), ms(30)))).collect();
    for thread in threads {
        let metrics = thread.join().expect("it ends");
        assert!(metrics.idle_time() >= ms(55), "{metrics:?}");
    }
}

// libuv: metrics_idle_time_zero
#[test]
fn a_loop_that_never_waits_has_no_idle_time() {
    for detail in [Detail::Times, Detail::Waiting] {
        let event_loop = test_loop();
        let metrics = event_loop.measure(detail);
        let timer = Timer::new(&event_loop);
        let calls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&calls);
        let on_timeout = move |_: &Timer| counted.set(counted.get() + 1);
        timer.start(Duration::ZERO, Duration::ZERO, on_timeout).expect("to start");
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        let info = metrics.info();
        assert_eq!((info.idle, info.turns), (Duration::ZERO, calls.get()), "{info:?}");
        event_loop.close_and_finish();
    }
}

// libuv: metrics_info_check
#[test]
fn turns_and_events_are_counted_where_they_happen() {
    let event_loop = test_loop();
    let metrics = event_loop.measure(Detail::Times);
    let prepare = Prepare::new(&event_loop);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (into, first) = (Rc::clone(&seen), metrics.clone());
    let on_prepare = move |prepare: &Prepare| {
        prepare.close();
        let info = first.info();
        into.borrow_mut().push((info.turns, info.events));
        let event_loop = prepare.loop_handle().clone();
        let (into, second) = (Rc::clone(&into), first.clone());
        prepare.loop_handle().queue_work(
            || {},
            move |_| {
                let info = second.info();
                into.borrow_mut().push((info.turns, info.events));
                let third = second.clone();
                event_loop.queue_work(
                    || {},
                    move |_| {
                        let info = third.info();
                        into.borrow_mut().push((info.turns, info.events));
                    },
                );
            },
        );
    };
    prepare.start(on_prepare).expect("to start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    let seen = seen.borrow();
    assert_eq!(seen[0], (0, 0), "before the first poll");
    assert!(seen[1].0 >= 1 && seen[1].1 >= 1, "{seen:?}");
    assert!(seen[2].0 > seen[1].0 && seen[2].1 > seen[1].1, "{seen:?}");
    assert_eq!(metrics.info().events_waiting, 0, "not asked for");
    event_loop.close_and_finish();
}

// libuv: metrics_pool_events
#[test]
fn each_result_of_the_pool_is_an_event_and_counts_as_waiting_if_it_was_there_before() {
    const WORKS: u64 = 7;
    let event_loop = test_loop();
    let metrics = event_loop.measure(Detail::Waiting);
    let (done, all) = mpsc::channel();
    for _ in 0..WORKS {
        let done = done.clone();
        event_loop.queue_work(move || done.send(()), |_| {});
    }
    (0..WORKS).for_each(|_| all.recv().expect("it runs"));
    // The result of the last one is posted behind what it sends.
    thread::yield_now();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    let info = metrics.info();
    assert!(info.events >= WORKS, "{info:?}");
    assert!(info.events_waiting >= WORKS - 4 && info.events_waiting <= info.events, "{info:?}");
    // An event that the loop waits for has not waited for the loop.
    let answer = Async::new(&event_loop, |answer: &Async| answer.close());
    let sender = answer.sender();
    let thread = thread::spawn(move || {
        thread::park_timeout(ms(50));
        sender.send();
    });
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    thread.join().expect("it ends");
    let later = metrics.info();
    assert_eq!(later.events_waiting, info.events_waiting, "{later:?}");
    assert!(later.events > info.events && later.idle > info.idle, "{later:?}");
    event_loop.finish();
}

#[test]
fn another_thread_reads_while_the_loop_waits_and_while_it_hangs() {
    let (to_watcher, from_loop) = mpsc::channel::<Metrics>();
    let (to_loop, from_watcher) = mpsc::channel::<()>();
    let event_loop = test_loop();
    let wake = Async::new(&event_loop, move |wake: &Async| {
        // Hangs until the other thread has seen it.
        from_watcher.recv().expect("an answer");
        wake.close();
    });
    let sender = wake.sender();
    let watcher = thread::spawn(move || {
        let metrics = from_loop.recv().expect("metrics");
        while metrics.idle_time() < ms(20) {
            thread::yield_now();
        }
        assert!(metrics.info().lag < ms(1000));
        sender.send();
        while metrics.info().lag < ms(20) {
            thread::yield_now();
        }
        let idle = metrics.idle_time();
        spin(ms(5));
        assert_eq!(metrics.idle_time(), idle, "a busy loop is not idle");
        to_loop.send(()).expect("to answer");
        metrics
    });
    to_watcher.send(event_loop.measure(Detail::Times)).expect("to send");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    let metrics = watcher.join().expect("it has seen both");
    assert!(metrics.take_max_lag() >= ms(20));
    assert!(metrics.take_max_lag() < ms(20), "it begins anew");
    event_loop.finish();
    assert!(metrics.info().turns > 0, "the measurements outlive the loop");
}

#[test]
fn measuring_may_begin_in_a_callback_and_counts_what_earlier_turns_have_left() {
    let event_loop = test_loop();
    let (tcp, mut peer) = connected(&event_loop);
    let metrics = Rc::new(RefCell::new(None));
    let (into, this) = (Rc::clone(&metrics), tcp.loop_handle().clone());
    tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_read(move |_| {
        into.borrow_mut().get_or_insert_with(|| this.measure(Detail::Waiting));
    }));
    tcp.read_start().expect("read_start");
    peer.set_nonblocking(true).expect("to set");
    // More than a turn reads.
    while peer.write(&[7; 64 * 1024]).is_ok() {}
    event_loop.until(|| tcp.bytes_read() >= 1 << 20);
    event_loop.turn();
    let info = metrics.borrow().as_ref().map(Metrics::info).expect("measured");
    assert!(info.lag == Duration::ZERO && info.max_lag > Duration::ZERO, "{info:?}");
    event_loop.close_and_finish();
}

#[test]
fn a_panic_leaves_no_lag_behind() {
    let event_loop = test_loop();
    let metrics = event_loop.measure(Detail::Times);
    let timer = Timer::new(&event_loop);
    let on_timeout = |_: &Timer| std::panic::resume_unwind(Box::new("meant"));
    timer.start(Duration::ZERO, Duration::ZERO, on_timeout).expect("to start");
    let run = std::panic::AssertUnwindSafe(|| event_loop.run(RunMode::Default));
    std::panic::catch_unwind(run).expect_err("the callback panics");
    spin(ms(5));
    assert_eq!(metrics.info().lag, Duration::ZERO);
    event_loop.close_and_finish();
}
