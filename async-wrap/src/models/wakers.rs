//! The model of the ways in which a task is woken. loom runs a real environment on a real loop, beside threads that wake its
//! tasks, under every interleaving: `uv-core/src/models/mod.rs` explains how a loop takes part. `cargo xtask models` runs it.
//!
//! A wake-up that is lost leaves the loop waiting without end, which loom reports.

use crate::Environment;
use crate::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{JoinHandle, spawn};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use uv_core::{Loop, RunMode};

/// Preemptions in one execution, as in uv-core's models; `LOOM_MAX_PREEMPTIONS` sets another number.
const PREEMPTIONS: usize = 3;

fn check(model: impl Fn(Loop, &Environment) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.max_branches = 10_000;
    builder.check(move || {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        model(event_loop, &env);
        assert_eq!(env.tasks(), 0, "{}", env.why_pending());
    });
}

/// Values that threads write before they wake: a poll behind a wake-up must see them, although they order nothing themselves.
type Values = Arc<[AtomicUsize; 2]>;

fn values() -> Values {
    Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)])
}

/// Spawns a task that ends when it sees `count` values, and keeps the loop alive until then. Each poll counts, and the first one
/// passes the waker on.
fn await_values(
    env: &Environment,
    values: &Values,
    count: usize,
    begin: impl FnOnce(&Waker) + 'static,
) -> Rc<Cell<usize>> {
    let (values, guard, mut begin) = (Arc::clone(values), env.keep_alive(), Some(begin));
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    env.spawn_detached(async move {
        let _guard = guard;
        poll_fn(move |context| {
            counted.set(counted.get() + 1);
            if let Some(begin) = begin.take() {
                begin(context.waker());
            }
            let seen = values.iter().filter(|value| value.load(Ordering::Relaxed) == 1).count();
            if seen >= count { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    polls
}

/// A thread that writes its value and wakes.
fn wake(values: &Values, index: usize, waker: Waker) -> JoinHandle<()> {
    let values = Arc::clone(values);
    spawn(move || {
        values[index].store(1, Ordering::Relaxed);
        waker.wake();
    })
}

fn run_to_the_end(env: &Environment) {
    assert_eq!(env.run(RunMode::Default), Ok(false));
}

type Threads = Rc<RefCell<Vec<JoinHandle<()>>>>;

fn join(threads: &Threads) {
    threads.take().into_iter().for_each(|thread| thread.join().expect("a waking thread"));
}

#[test]
fn a_wake_up_at_any_time_of_a_poll_causes_a_poll_that_sees_what_was_written_before_it() {
    check(|_, env| {
        let (values, threads) = (values(), Threads::default());
        let (theirs, started) = (Arc::clone(&values), Rc::clone(&threads));
        let polls = await_values(env, &values, 1, move |waker| {
            started.borrow_mut().push(wake(&theirs, 0, waker.clone()));
        });
        run_to_the_end(env);
        assert!(polls.get() <= 2, "a wake-up causes one poll");
        join(&threads);
    });
}

#[test]
fn wake_ups_of_two_threads_coalesce_and_none_is_lost() {
    check(|_, env| {
        let (values, threads) = (values(), Threads::default());
        let (theirs, started) = (Arc::clone(&values), Rc::clone(&threads));
        let polls = await_values(env, &values, 2, move |waker| {
            let threads = [0, 1].map(|index| wake(&theirs, index, waker.clone()));
            started.borrow_mut().extend(threads);
        });
        run_to_the_end(env);
        assert!(polls.get() <= 3, "each wake-up causes one poll at most");
        join(&threads);
    });
}

#[test]
fn wake_ups_of_the_loop_and_of_a_thread_at_once_lose_neither() {
    check(|_, env| {
        let (values, threads) = (values(), Threads::default());
        let (theirs, started, inner) = (Arc::clone(&values), Rc::clone(&threads), env.clone());
        await_values(env, &values, 2, move |waker| {
            started.borrow_mut().push(wake(&theirs, 0, waker.clone()));
            let waker = waker.clone();
            inner.set_immediate(move || {
                theirs[1].store(1, Ordering::Relaxed);
                waker.wake();
            });
        });
        run_to_the_end(env);
        join(&threads);
    });
}

#[test]
fn two_tasks_woken_while_the_loop_takes_the_inbox_are_both_polled() {
    check(|_, env| {
        let threads = Threads::default();
        for _ in 0..2 {
            let (values, started) = (values(), Rc::clone(&threads));
            let theirs = Arc::clone(&values);
            await_values(env, &values, 1, move |waker| {
                started.borrow_mut().push(wake(&theirs, 0, waker.clone()));
            });
        }
        run_to_the_end(env);
        join(&threads);
    });
}

#[test]
fn a_wake_up_after_the_end_wakes_no_task_that_has_the_place_and_the_waker_of_the_ended_one() {
    check(|_, env| {
        let (first, second, threads) = (values(), values(), Threads::default());
        let (theirs, started) = (Arc::clone(&first), Rc::clone(&threads));
        await_values(env, &first, 1, move |waker| {
            let waker = waker.clone();
            started.borrow_mut().push(spawn(move || {
                theirs[0].store(1, Ordering::Relaxed);
                waker.wake_by_ref();
                // The second may come after the end. Then the last waker is dropped here.
                waker.wake();
            }));
        });
        run_to_the_end(env);
        let (theirs, started) = (Arc::clone(&second), Rc::clone(&threads));
        let polls = await_values(env, &second, 1, move |waker| {
            started.borrow_mut().push(wake(&theirs, 0, waker.clone()));
        });
        run_to_the_end(env);
        assert!(polls.get() <= 2, "its first poll, and that of its own wake-up");
        join(&threads);
    });
}

#[test]
fn a_wake_up_while_the_loop_is_dropped_is_dropped_with_it() {
    check(|event_loop, env| {
        let (values, threads) = (values(), Threads::default());
        let (theirs, started) = (Arc::clone(&values), Rc::clone(&threads));
        await_values(env, &values, 2, move |waker| {
            started.borrow_mut().push(wake(&theirs, 0, waker.clone()));
        });
        env.run(RunMode::NoWait).expect("the loop runs");
        drop(event_loop);
        assert_eq!(env.tasks(), 0);
        join(&threads);
    });
}
