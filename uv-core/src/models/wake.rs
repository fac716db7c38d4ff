//! The model of the ways into a loop: sends that coalesce, posts, and the loop's end.

use super::Async;
use crate::models::check;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;
use crate::{Errno, Loop, RunMode};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize as Count;
use std::sync::{Arc, Mutex};

/// Counts what happens to a post: it is dropped when it has run, or without having run.
struct Counted(Arc<Count>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn every_send_is_followed_by_a_call_that_sees_what_was_written_before_it() {
    check(|| {
        let event_loop = Loop::new().expect("a loop");
        let written = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let seen = Arc::clone(&written);
        let wake = Async::new(&event_loop, move |wake: &Async| {
            if seen.iter().all(|value| value.load(Ordering::Relaxed) == 1) {
                wake.close();
            }
        });
        let threads = [0, 1].map(|index| {
            let (sender, written) = (wake.sender(), Arc::clone(&written));
            thread::spawn(move || {
                written[index].store(1, Ordering::Relaxed);
                sender.send();
            })
        });
        // Without a call after the last send it would wait for one, which loom reports.
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        threads.into_iter().for_each(|thread| thread.join().expect("a sender"));
    });
}

#[test]
fn every_post_runs_once_and_those_of_a_thread_in_order() {
    check(|| {
        let event_loop = Loop::new().expect("a loop");
        let _kept_alive = Async::new(&event_loop, |_: &Async| {});
        let ran = Arc::new(Mutex::new(Vec::new()));
        let threads = [10, 20].map(|first| {
            let (remote, ran) = (event_loop.remote(), Arc::clone(&ran));
            thread::spawn(move || {
                for number in [first, first + 1] {
                    let ran = Arc::clone(&ran);
                    let posted = remote.post(move |event_loop| {
                        let mut ran = ran.lock().expect("a lock");
                        ran.push(number);
                        if ran.len() == 4 {
                            event_loop.close_all();
                        }
                    });
                    posted.expect("the loop is there");
                }
            })
        });
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        threads.into_iter().for_each(|thread| thread.join().expect("a poster"));
        let mut ran = ran.lock().expect("a lock").clone();
        let is_before = |a, b| ran.iter().position(|x| *x == a) < ran.iter().position(|x| *x == b);
        assert!(is_before(10, 11) && is_before(20, 21), "{ran:?}");
        ran.sort_unstable();
        assert_eq!(ran, [10, 11, 20, 21]);
    });
}

#[test]
fn a_post_to_a_loop_that_is_dropped_runs_or_is_dropped_and_never_stays() {
    check(|| {
        let event_loop = Loop::new().expect("a loop");
        let (ran, dropped) = (Arc::<Count>::default(), Arc::<Count>::default());
        let thread = {
            let (remote, ran, dropped) = (event_loop.remote(), Arc::clone(&ran), Arc::clone(&dropped));
            thread::spawn(move || {
                let counted = Counted(Arc::clone(&dropped));
                let posted = remote.post(move |_| {
                    let _counted = counted;
                    ran.fetch_add(1, Ordering::SeqCst);
                });
                if let Err(error) = &posted {
                    assert_eq!(error.errno(), Errno::ECANCELED);
                    assert_eq!(dropped.load(Ordering::SeqCst), 1, "dropped on this thread");
                }
                // It keeps the queue: what is left in there is not dropped with it.
                (remote, posted.is_ok())
            })
        };
        let _kept_alive = Async::new(&event_loop, |_: &Async| {});
        event_loop.run(RunMode::NoWait).expect("a turn");
        drop(event_loop);
        let (_remote, was_taken) = thread.join().expect("the poster");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert!(was_taken || ran.load(Ordering::SeqCst) == 0);
    });
}

#[test]
fn a_send_to_a_handle_that_closes_causes_no_call_after_its_close() {
    check(|| {
        let event_loop = Loop::new().expect("a loop");
        let is_closed = Rc::new(Cell::new(false));
        let closed = Rc::clone(&is_closed);
        let wake = Async::new(&event_loop, move |_: &Async| assert!(!closed.get()));
        let sender = wake.sender();
        let thread = thread::spawn(move || {
            sender.send();
            sender.send();
        });
        event_loop.run(RunMode::NoWait).expect("a turn");
        wake.close();
        is_closed.set(true);
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        thread.join().expect("the sender");
        // A handle of the same index, which the old key does not reach.
        let _other = Async::new(&event_loop, |_: &Async| panic!("nothing was sent to it"));
        event_loop.run(RunMode::NoWait).expect("a turn");
    });
}
