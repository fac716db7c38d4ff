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
    let lp = test_loop();
    let sent = Arc::new(AtomicU32::new(0));
    let calls = Rc::new(Cell::new(0));
    let (count, seen) = (Rc::clone(&calls), Arc::clone(&sent));
    let handle = Async::new(&lp, move |handle: &Async| {
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
    assert_eq!(lp.run(RunMode::Default), Ok(false));
    assert!((1..=SENDS).contains(&calls.get()));
    for thread in threads {
        thread.join().expect("join");
    }
    lp.finish();
}

// libuv: async_null_cb
#[test]
fn a_send_wakes_the_loop_whatever_the_callback_does() {
    let lp = test_loop();
    let handle = Async::new(&lp, |_: &Async| {});
    let sender = handle.sender();
    let thread = thread::spawn(move || sender.send());
    assert_eq!(lp.run(RunMode::Once), Ok(true));
    thread.join().expect("join");
    lp.close_and_finish();
}

// libuv: async_ref
#[test]
fn a_new_one_keeps_the_loop_alive_until_it_is_closed_or_unreferenced() {
    let lp = test_loop();
    let handle = Async::new(&lp, |_: &Async| {});
    assert!(handle.is_active() && lp.is_alive());
    handle.unref();
    assert!(!lp.is_alive());
    handle.ref_();
    handle.close();
    assert!(!handle.is_active());
    lp.finish();
}

// unpinned in libuv, #5058
#[test]
fn a_send_that_races_with_close_calls_nobody_after_the_close() {
    let lp = test_loop();
    for _ in 0..200 {
        let log = Log::new();
        let woken = log.clone();
        let handle = Async::new(&lp, move |_: &Async| woken.add("woken"));
        let sender = handle.sender();
        let thread = thread::spawn(move || {
            for _ in 0..10 {
                sender.send();
            }
        });
        let closed = log.clone();
        handle.close_with(move || closed.add("closed"));
        assert_eq!(lp.run(RunMode::Default), Ok(false));
        thread.join().expect("join");
        lp.turn();
        assert_eq!(log.take(), ["closed"]);
    }
    lp.finish();
}

// unpinned in libuv
#[test]
fn a_send_from_the_own_callback_calls_again_in_the_next_poll() {
    let lp = test_loop();
    let log = Log::new();
    let calls = Rc::new(Cell::new(0));
    let (count, woken) = (Rc::clone(&calls), log.clone());
    let handle = Async::new(&lp, move |handle: &Async| {
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
        lp.turn();
        assert_eq!(calls.get(), round);
        assert_eq!(log.take(), ["in", "out"]);
    }
    lp.finish();
}

#[test]
fn a_sender_of_a_closed_handle_does_not_wake_its_successor() {
    let lp = test_loop();
    let log = Log::new();
    let old = Async::new(&lp, |_: &Async| {});
    let sender = old.sender();
    old.close();
    lp.turn();
    let woken = log.clone();
    let _new = Async::new(&lp, move |_: &Async| woken.add("woken"));
    sender.send();
    lp.turn();
    assert!(log.lines().is_empty());
    lp.close_and_finish();
}

#[test]
fn posts_of_a_thread_run_in_order_on_the_loop() {
    let lp = test_loop();
    let keep = Async::new(&lp, |_: &Async| {});
    let remote = lp.remote();
    let (results, ran) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        // More than one turn runs.
        for number in 0..3000 {
            let results = results.clone();
            remote
                .post(move |_| results.send((number, thread::current().id())).expect("send"))
                .expect("post");
        }
        remote.post(|lp| lp.close_all()).expect("post");
    });
    assert_eq!(lp.run(RunMode::Default), Ok(false));
    thread.join().expect("join");
    let here = thread::current().id();
    assert!(ran.try_iter().eq((0..3000).map(|number| (number, here))));
    drop(keep);
    lp.finish();
}

#[test]
fn a_post_does_not_keep_the_loop_alive_and_waits_for_it() {
    let lp = test_loop();
    let ran = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&ran);
    lp.remote().post(move |_| count.store(1, Ordering::SeqCst)).expect("post");
    assert_eq!(lp.run(RunMode::Default), Ok(false));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    let _keep = Async::new(&lp, |_: &Async| {});
    lp.turn();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    lp.close_and_finish();
}

#[test]
fn a_panic_in_a_post_leaves_those_behind_it_to_the_next_run() {
    let lp = test_loop();
    let log = Log::new();
    let woken = log.clone();
    let handle = Async::new(&lp, move |handle: &Async| {
        woken.add("woken");
        handle.close();
    });
    lp.remote().post(|_| resume_unwind(Box::new("in a post"))).expect("post");
    handle.sender().send();
    assert!(catch_unwind(AssertUnwindSafe(|| lp.run(RunMode::Default))).is_err());
    assert!(log.lines().is_empty());
    assert_eq!(lp.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["woken"]);
    lp.finish();
}

#[test]
fn a_post_to_a_loop_that_is_gone_is_refused_and_waiting_ones_are_dropped() {
    let lp = Loop::new().expect("a loop");
    let remote = lp.remote();
    let handle = Async::new(&lp, |_: &Async| {});
    let sender = handle.sender();
    let token = Arc::new(());
    let held = Arc::clone(&token);
    remote.post(move |_| drop(held)).expect("post");
    assert_eq!(Arc::strong_count(&token), 2);
    drop(lp);
    assert_eq!(Arc::strong_count(&token), 1);
    assert_eq!(errno(remote.post(|_| {})), Errno::ECANCELED);
    sender.send();
}
