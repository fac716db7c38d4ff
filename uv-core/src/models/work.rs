//! The model of a request in the pool: it completes once, whether it runs, is cancelled, or both are tried at once.

use super::{Stage, Work};
use crate::models::check;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};
use crate::{Errno, Loop, Result, RunMode};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// A request that writes `ran` and returns 7, and what its callback was given.
fn request(event_loop: &Loop, ran: &Arc<AtomicUsize>) -> (Work, Rc<RefCell<Vec<Result<usize>>>>) {
    let (told, ran) = (Rc::new(RefCell::new(Vec::new())), Arc::clone(ran));
    let tell = Rc::clone(&told);
    let work = move || {
        ran.fetch_add(1, Ordering::Relaxed);
        7
    };
    let after = move |result| tell.borrow_mut().push(result);
    (event_loop.request(Mutex::new(Stage::Queued(work)), after), told)
}

#[test]
fn a_request_completes_once_whoever_takes_it_first() {
    check(|| {
        let event_loop = Loop::new().expect("a loop");
        let ran = Arc::new(AtomicUsize::new(0));
        let (work, told) = request(&event_loop, &ran);
        let job = Arc::clone(&work.0);
        let pool = thread::spawn(move || job.run());
        let canceller = thread::spawn(move || work.0.fail(Errno::ECANCELED));
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        let told = told.take();
        assert_eq!(told.len(), 1);
        // What the work wrote is visible to the callback.
        let is_done = ran.load(Ordering::Relaxed) == 1;
        match &told[0] {
            Ok(value) => assert!(*value == 7 && is_done),
            Err(error) => assert!(error.errno() == Errno::ECANCELED && !is_done),
        }
        pool.join().expect("the pool");
        assert_eq!(canceller.join().expect("the canceller"), !is_done);
        assert_eq!(event_loop.active_requests(), 0);
    });
}

#[test]
fn an_abandoned_request_completes_once_and_its_late_result_is_dropped() {
    check(|| {
        let event_loop = Loop::new().expect("a loop");
        let ran = Arc::new(AtomicUsize::new(0));
        let (work, told) = request(&event_loop, &ran);
        let job = Arc::clone(&work.0);
        let pool = thread::spawn(move || job.run());
        let is_abandoned = work.0.abandon(Errno::ECANCELED);
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        let errno = told.borrow()[0].clone().map_err(|error| error.errno());
        assert_eq!(errno, if is_abandoned { Err(Errno::ECANCELED) } else { Ok(7) });
        // This request has the key of the first one, whose thread may end only now.
        let (second, of_second) = request(&event_loop, &ran);
        pool.join().expect("the pool");
        event_loop.run(RunMode::NoWait).expect("a turn");
        assert_eq!((told.borrow().len(), of_second.borrow().len()), (1, 0));
        assert!(second.0.abandon(Errno::ECANCELED), "it has not begun");
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        assert_eq!(of_second.borrow().len(), 1);
    });
}

#[test]
fn a_request_of_a_loop_that_is_dropped_runs_at_most_once_and_is_not_reported() {
    check(|| {
        let event_loop = Loop::new().expect("a loop");
        let ran = Arc::new(AtomicUsize::new(0));
        let (work, told) = request(&event_loop, &ran);
        let pool = thread::spawn(move || work.0.run());
        event_loop.run(RunMode::NoWait).expect("a turn");
        let reported = told.borrow().len();
        drop(event_loop);
        pool.join().expect("the pool");
        assert_eq!(told.borrow().len(), reported);
        assert_eq!(Rc::strong_count(&told), 1, "the callback is dropped");
        assert!(ran.load(Ordering::Relaxed) <= 1);
        assert_eq!(Arc::strong_count(&ran), 1, "the work is dropped");
    });
}
