//! Wake-ups in numbers and from odd places: none is lost, none comes late, and a waker may outlive everything.

mod common;

use async_wrap::task::TaskHandle;
use async_wrap::{AsyncContext, Environment};
use common::{Log, close, new_loop, run_to_the_end};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;
use uv_core::{Loop, RunMode};

const THREADS: usize = 4;
const TASKS: usize = 8;

/// Wake-ups of each thread.
const WAKE_UPS: u64 = 250_000;

/// A thread waits for the polls of so many wake-ups before the next, so that the loss of the last of each burst is seen.
const BURST: u64 = 50;

/// What a thread has written for each task, and what the tasks have seen of it.
#[derive(Default)]
struct Channel {
    written: [AtomicU64; TASKS],
    seen: [AtomicU64; TASKS],
}

impl Channel {
    /// Whether the task has seen all.
    fn see(&self, task: usize) -> bool {
        let written = self.written[task].load(Ordering::Relaxed);
        self.seen[task].store(written, Ordering::Release);
        written == WAKE_UPS / TASKS as u64
    }

    /// Wakes the tasks by turns. Nothing but the wake-ups orders what is written.
    fn wake_all(&self, wakers: &[Waker]) {
        for number in 0..WAKE_UPS {
            let task = usize::try_from(number).expect("a small number") % TASKS;
            self.written[task].fetch_add(1, Ordering::Relaxed);
            wakers[task].wake_by_ref();
            if number % BURST == BURST - 1 {
                while self.seen[task].load(Ordering::Acquire) < self.written[task].load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            }
        }
    }
}

// AI10
#[test]
fn a_million_wake_ups_from_four_threads_lose_none() {
    let (event_loop, env) = new_loop();
    // Keeps the loop alive until the last task has ended.
    let alive = env.set_timeout(Duration::from_secs(600), || panic!("a wake-up is lost"));
    let channels: Arc<[Channel; THREADS]> = Arc::default();
    let (wakers, left) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(TASKS)));
    for task in 0..TASKS {
        let (channels, wakers, mut is_new) = (Arc::clone(&channels), Rc::clone(&wakers), true);
        let (left, alive) = (Rc::clone(&left), alive.clone());
        env.spawn_detached(async move {
            poll_fn(move |context| {
                if std::mem::take(&mut is_new) {
                    wakers.borrow_mut().push(context.waker().clone());
                }
                let has_all = channels.iter().filter(|channel| channel.see(task)).count() == THREADS;
                if has_all { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            left.set(left.get() - 1);
            if left.get() == 0 {
                alive.clear();
            }
        });
    }
    env.make_callback(AsyncContext::NONE, || {});
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (channels, wakers) = (Arc::clone(&channels), wakers.borrow().clone());
            thread::spawn(move || channels[number].wake_all(&wakers))
        })
        .collect();
    run_to_the_end(&event_loop, &env);
    threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
}

/// Tasks that end when they are woken, and their wakers.
fn spawn_waiting(env: &Environment, count: usize, log: &Log) -> Vec<Waker> {
    let wakers = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..count {
        let (wakers, log, mut is_new) = (Rc::clone(&wakers), log.clone(), true);
        env.spawn_detached(poll_fn(move |context| {
            if std::mem::take(&mut is_new) {
                wakers.borrow_mut().push(context.waker().clone());
                return Poll::Pending;
            }
            log.push("woken");
            Poll::Ready(())
        }));
    }
    env.make_callback(AsyncContext::NONE, || {});
    wakers.take()
}

// AI10
#[test]
fn tasks_that_a_thread_has_woken_run_within_one_wake_up_of_the_loop() {
    let (event_loop, env) = new_loop();
    let guard = env.keep_alive();
    let log = Log::default();
    for count in [1, 2, 50] {
        let wakers = spawn_waiting(&env, count, &log);
        env.run(RunMode::NoWait).expect("the loop runs");
        assert_eq!(log.take(), [""; 0], "nothing has woken them");
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().expect("a thread");
        env.run(RunMode::Once).expect("the loop runs");
        assert_eq!(log.take().len(), count);
    }
    drop(guard);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn wake_ups_of_a_thread_coalesce() {
    let (event_loop, env) = new_loop();
    let polls = Rc::new(Cell::new(0));
    let (count, own) = (Rc::clone(&polls), Rc::new(Cell::new(None)));
    let place = Rc::clone(&own);
    let task = env.spawn_local(poll_fn(move |context| {
        count.set(count.get() + 1);
        place.set(Some(context.waker().clone()));
        Poll::<()>::Pending
    }));
    env.make_callback(AsyncContext::NONE, || {});
    let waker = own.take().expect("it was polled");
    thread::spawn(move || (0..1000).for_each(|_| waker.wake_by_ref())).join().expect("a thread");
    let guard = env.keep_alive();
    env.run(RunMode::Once).expect("the loop runs");
    drop(guard);
    assert_eq!(polls.get(), 2);
    task.abort();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_task_that_runs_the_loop_in_its_first_poll_misses_no_wake_up() {
    let (event_loop, env) = new_loop();
    let (log, inner, mut is_new) = (Log::default(), env.clone(), true);
    let l = log.clone();
    let task = env.start_detached(poll_fn(move |context| {
        if std::mem::take(&mut is_new) {
            context.waker().wake_by_ref();
            // The poll comes now, and cannot be made.
            inner.run(RunMode::NoWait).expect("the loop does not run yet");
            return Poll::Pending;
        }
        l.push("polled again");
        Poll::Ready(())
    }));
    assert!(task.is_some());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["polled again"]);
}

// AI11
#[test]
fn a_task_that_wakes_itself_for_ever_starves_neither_threads_nor_ticks_nor_other_tasks() {
    let (event_loop, env) = new_loop();
    let steady: TaskHandle = env
        .start_detached(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        }))
        .expect("it does not end");
    let log = Log::default();
    let wakers = spawn_waiting(&env, 1, &log);
    let (l, inner) = (log.clone(), env.clone());
    let remote = event_loop.remote();
    thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().expect("a thread");
    env.set_timeout(Duration::from_millis(2), move || {
        inner.next_tick(l.note("tick"));
        // Behind what the timer has begun: input of the poll phase.
        let posted = thread::spawn(move || remote.post(|event_loop| event_loop.stop()));
        posted.join().expect("a thread").expect("the loop is there");
    });
    assert_eq!(env.run(RunMode::Default), Ok(true), "stopped");
    assert_eq!(log.take(), ["woken", "tick"]);
    steady.abort();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn wakers_that_outlive_their_loops_wake_nothing_from_any_thread() {
    let begin = Arc::new(Barrier::new(THREADS + 1));
    let mut wakers = Vec::new();
    for _ in 0..10 {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        wakers.extend(spawn_waiting(&env, 10, &log));
        assert_eq!(env.tasks(), 10);
        drop(event_loop);
        assert_eq!((env.tasks(), log.take().len()), (0, 0));
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (begin, wakers) = (Arc::clone(&begin), wakers.clone());
            thread::spawn(move || {
                begin.wait();
                wakers.iter().for_each(Waker::wake_by_ref);
                wakers.into_iter().for_each(Waker::wake);
            })
        })
        .collect();
    begin.wait();
    // Meanwhile others live here, in the places of the old ones.
    for _ in 0..10 {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let living = spawn_waiting(&env, 10, &log);
        wakers.iter().for_each(Waker::wake_by_ref);
        env.run(RunMode::NoWait).expect("the loop runs");
        assert_eq!(log.take().len(), 0);
        living.into_iter().for_each(Waker::wake);
        run_to_the_end(&event_loop, &env);
        assert_eq!(log.take().len(), 10);
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
}

#[test]
fn a_waker_that_is_dropped_while_its_loop_lives_on_another_thread_leaves_nothing() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let looping = thread::spawn(move || {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        let log = Log::default();
        for _ in 0..100 {
            let wakers = spawn_waiting(&env, 10, &log);
            sender.send(wakers).expect("the test receives");
            let guard = env.keep_alive();
            while env.tasks() > 0 {
                env.run(RunMode::Once).expect("the loop runs");
            }
            drop(guard);
        }
        close(&event_loop, &env);
        assert_eq!(log.take().len(), 1000);
    });
    for wakers in receiver {
        for waker in wakers {
            drop(waker.clone());
            waker.wake();
        }
    }
    looping.join().expect("the loop's thread");
}

#[test]
fn what_is_left_is_named_with_the_line_that_has_spawned_it() {
    let (event_loop, env) = new_loop();
    let line = line!() + 1;
    let task = env.spawn_local(std::future::pending::<()>());
    assert!(env.why_pending().contains("to be polled"), "{}", env.why_pending());
    env.make_callback(AsyncContext::NONE, || {});
    let why = env.why_pending();
    assert!(
        why.contains(&format!("spawned at async-wrap/tests/wakes.rs:{line}:")) || !cfg!(debug_assertions),
        "{why}"
    );
    assert!(!why.contains("to be polled"), "{why}");
    assert_eq!((env.tasks(), why.lines().count()), (1, 1));
    task.abort();
    assert_eq!((env.tasks(), env.why_pending()), (0, "no task is pending".to_owned()));
    run_to_the_end(&event_loop, &env);
}
