//! Wake-ups and closures from other threads.

mod common;

use common::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use uv_core::{Async, Errno, Loop, RunMode};

// libuv: async
#[test]
fn sends_coalesce_and_a_call_starts_after_the_last_one() {
    const SENDS: u32 = 1000;
    let event_loop = test_loop();
    let sent = Arc::new(AtomicU32::new(0));
    let calls = Rc::new(Cell::new(0));
    let (count, seen) = (Rc::clone(&calls), Arc::clone(&sent));
    let handle = Async::new(&event_loop, move |handle: &Async| {
        count.set(count.get() + 1);
        if seen.load(Ordering::SeqCst) == SENDS {
            handle.close();
        }
    });
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (sender, sent) = (handle.sender(), Arc::clone(&sent));
            thread::spawn(move || {
                for _ in 0..SENDS / 2 {
                    sent.fetch_add(1, Ordering::SeqCst);
                    sender.send();
                }
            })
        })
        .collect();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert!((1..=SENDS).contains(&calls.get()));
    for thread in threads {
        thread.join().expect("join");
    }
    event_loop.finish();
}

// libuv: async_null_cb
#[test]
fn a_send_wakes_the_loop_whatever_the_callback_does() {
    let event_loop = test_loop();
    let handle = Async::new(&event_loop, |_: &Async| {});
    let sender = handle.sender();
    let thread = thread::spawn(move || sender.send());
    assert_eq!(event_loop.run(RunMode::Once), Ok(true));
    thread.join().expect("join");
    event_loop.close_and_finish();
}

// libuv: async_ref
#[test]
fn a_new_one_keeps_the_loop_alive_until_it_is_closed_or_unreferenced() {
    let event_loop = test_loop();
    let handle = Async::new(&event_loop, |_: &Async| {});
    assert!(handle.is_active() && event_loop.is_alive());
    handle.unref();
    assert!(!event_loop.is_alive());
    handle.ref_();
    handle.close();
    assert!(!handle.is_active());
    event_loop.finish();
}

// unpinned in libuv, #5058
#[test]
fn a_send_that_races_with_close_calls_nobody_after_the_close() {
    let event_loop = test_loop();
    for _ in 0..200 {
        let log = Log::new();
        let woken = log.clone();
        let handle = Async::new(&event_loop, move |_: &Async| woken.add("woken"));
        let sender = handle.sender();
        let thread = thread::spawn(move || {
            for _ in 0..10 {
                sender.send();
            }
        });
        let closed = log.clone();
        handle.close_with(move || closed.add("closed"));
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        thread.join().expect("join");
        event_loop.turn();
        assert_eq!(log.take(), ["closed"]);
    }
    event_loop.finish();
}

// unpinned in libuv
#[test]
fn a_send_from_the_own_callback_calls_again_in_the_next_poll() {
    let event_loop = test_loop();
    let log = Log::new();
    let calls = Rc::new(Cell::new(0));
    let (count, woken) = (Rc::clone(&calls), log.clone());
    let handle = Async::new(&event_loop, move |handle: &Async| {
        woken.add("in");
        count.set(count.get() + 1);
        if count.get() == 3 {
            handle.close();
        } else {
            handle.sender().send();
        }
        woken.add("out");
    });
    handle.sender().send();
    for round in 1..=3 {
        event_loop.turn();
        assert_eq!(calls.get(), round);
        assert_eq!(log.take(), ["in", "out"]);
    }
    event_loop.finish();
}

#[test]
fn a_sender_of_a_closed_handle_does_not_wake_its_successor() {
    let event_loop = test_loop();
    let log = Log::new();
    let old = Async::new(&event_loop, |_: &Async| {});
    let sender = old.sender();
    old.close();
    event_loop.turn();
    let woken = log.clone();
    let _new = Async::new(&event_loop, move |_: &Async| woken.add("woken"));
    sender.send();
    event_loop.turn();
    assert!(log.lines().is_empty());
    event_loop.close_and_finish();
}

#[test]
fn posts_of_a_thread_run_in_order_on_the_loop() {
    let event_loop = test_loop();
    let keep = Async::new(&event_loop, |_: &Async| {});
    let remote = event_loop.remote();
    let (results, ran) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        // More than one turn runs.
        for number in 0..3000 {
            let results = results.clone();
            remote
                .post(move |_| results.send((number, thread::current().id())).expect("send"))
                .expect("post");
        }
        remote.post(|event_loop| event_loop.close_all()).expect("post");
    });
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    thread.join().expect("join");
    let here = thread::current().id();
    assert!(ran.try_iter().eq((0..3000).map(|number| (number, here))));
    drop(keep);
    event_loop.finish();
}

#[test]
fn a_post_does_not_keep_the_loop_alive_and_waits_for_it() {
    let event_loop = test_loop();
    let ran = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&ran);
    event_loop.remote().post(move |_| count.store(1, Ordering::SeqCst)).expect("post");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    let _keep = Async::new(&event_loop, |_: &Async| {});
    event_loop.turn();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    event_loop.close_and_finish();
}

#[test]
fn a_panic_in_a_post_leaves_those_behind_it_to_the_next_run() {
    let event_loop = test_loop();
    let log = Log::new();
    let woken = log.clone();
    let handle = Async::new(&event_loop, move |handle: &Async| {
        woken.add("woken");
        handle.close();
    });
    event_loop.remote().post(|_| resume_unwind(Box::new("in a post"))).expect("post");
    handle.sender().send();
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))).is_err());
    assert!(log.lines().is_empty());
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["woken"]);
    event_loop.finish();
}

#[test]
fn a_post_to_a_loop_that_is_gone_is_refused_and_waiting_ones_are_dropped() {
    let event_loop = Loop::new().expect("a loop");
    let remote = event_loop.remote();
    let handle = Async::new(&event_loop, |_: &Async| {});
    let sender = handle.sender();
    let token = Arc::new(());
    let held = Arc::clone(&token);
    remote.post(move |_| drop(held)).expect("post");
    assert_eq!(Arc::strong_count(&token), 2);
    drop(event_loop);
    assert_eq!(Arc::strong_count(&token), 1);
    assert_eq!(errno(remote.post(|_| {})), Errno::ECANCELED);
    sender.send();
}
