//! Handles of tasks: their values, panics and aborts, and running a loop for one future.

mod common;

use async_wrap::task::JoinHandle;
use async_wrap::{AsyncContext, AsyncHook, AsyncId, Environment, OwnedEnvironment, Provider};
use common::{Log, new_loop, run_to_a_panic, run_to_the_end};
use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;
use uv_core::{Errno, RunMode};

/// Notes that it is dropped.
struct Guard(Log);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.push("dropped");
    }
}

#[test]
fn a_handle_gives_the_value_of_its_task() {
    let (event_loop, env) = new_loop();
    let inner = env.clone();
    let task = env.spawn_local(async move {
        let other = inner.spawn_local(async { "value".to_owned() });
        other.await.expect("it ends")
    });
    assert!(!task.is_finished());
    assert_eq!(env.block_on(task).expect("the loop runs").expect("it ends"), "value");
    let done = env.spawn_local(ready(1));
    env.block_on(ready(())).expect("the loop runs");
    assert!(done.is_finished());
    assert_eq!(env.block_on(done).expect("the loop runs").ok(), Some(1), "a value that was there before");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_panic_arrives_at_the_handle() {
    let (event_loop, env) = new_loop();
    let task: JoinHandle<()> = env.spawn_local(async { panic!("on purpose") });
    let error = env.block_on(task).expect("the loop runs").expect_err("it panics");
    assert!(!error.is_aborted());
    assert_eq!(error.to_string(), "the task has panicked: on purpose");
    let panic = error.into_panic().expect("a panic");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn what_a_task_failed_with_is_carried_as_an_error_of_input_and_output() {
    let (event_loop, env) = new_loop();
    let panicking: JoinHandle<()> = env.spawn_local(async { resume_unwind(Box::new("on purpose")) });
    let carried = env.block_on(async { Ok::<_, std::io::Error>(panicking.await?) }).expect("the loop runs");
    assert_eq!(carried.expect_err("it panics").to_string(), "the task has panicked: on purpose");
    let aborted: JoinHandle<()> = env.spawn_local(pending());
    aborted.abort();
    let carried = env.block_on(async { Ok::<_, std::io::Error>(aborted.await?) }).expect("the loop runs");
    assert_eq!(carried.expect_err("it is aborted").to_string(), "the task was aborted");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn without_a_handle_a_panic_passes_out_of_run() {
    let (event_loop, env) = new_loop();
    env.spawn_local(async { panic!("dropped") });
    assert_eq!(run_to_a_panic(&env), "dropped");
    env.spawn_local(async { panic!("detached") }).detach();
    assert_eq!(run_to_a_panic(&env), "detached");
    env.spawn_detached(async { panic!("never had one") });
    assert_eq!(run_to_a_panic(&env), "never had one");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn abort_drops_the_future_at_once_and_the_handle_says_so() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let guard = Guard(log.clone());
    let task = env.spawn_local(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    env.make_callback(AsyncContext::NONE, || {});
    assert_eq!(log.take(), [""; 0]);
    task.abort();
    assert_eq!(log.take(), ["dropped"]);
    task.abort();
    let error = env.block_on(task).expect("the loop runs").expect_err("it was aborted");
    assert!(error.is_aborted());
    assert_eq!(error.to_string(), "the task was aborted");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_task_that_was_never_polled_can_be_aborted() {
    let (event_loop, env) = new_loop();
    let task = env.spawn_local(async { unreachable!("it is aborted before") });
    task.abort();
    assert!(task.is_finished());
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_task_that_aborts_itself_ends_with_its_poll() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let own: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
    let (place, l, guard) = (Rc::clone(&own), log.clone(), Guard(log.clone()));
    own.set(Some(env.spawn_local(async move {
        let _guard = guard;
        let handle = place.take().expect("it is set before the first poll");
        handle.abort();
        l.push("goes on");
        pending::<()>().await;
    })));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["goes on", "dropped"]);
}

#[test]
fn aborting_a_task_that_has_ended_changes_nothing() {
    let (event_loop, env) = new_loop();
    let task = env.spawn_local(ready(1));
    env.block_on(ready(())).expect("the loop runs");
    // Another task takes its place in the table.
    let other = env.spawn_local(ready(2));
    task.abort();
    assert_eq!(env.block_on(other).expect("the loop runs").ok(), Some(2));
    assert_eq!(env.block_on(task).expect("the loop runs").ok(), Some(1));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_waker_that_outlives_its_task_wakes_no_other() {
    let (event_loop, env) = new_loop();
    let kept = Rc::new(Cell::new(None));
    let place = Rc::clone(&kept);
    env.spawn_local(poll_fn(move |context| {
        place.set(Some(context.waker().clone()));
        Poll::Ready(())
    }));
    env.block_on(ready(())).expect("the loop runs");
    let polls = Rc::new(Cell::new(0));
    let count = Rc::clone(&polls);
    let other = env.spawn_local(poll_fn(move |_| {
        count.set(count.get() + 1);
        Poll::<()>::Pending
    }));
    env.make_callback(AsyncContext::NONE, || kept.take().expect("it was polled").wake());
    assert_eq!(polls.get(), 1, "its first poll");
    other.abort();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn tasks_that_are_dropped_with_the_environment_end_as_aborted() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let guard = Guard(log.clone());
    let mut task = env.spawn_local(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    env.make_callback(AsyncContext::NONE, || {});
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["dropped"]);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let outcome = std::pin::Pin::new(&mut task).poll(&mut context);
    assert!(matches!(outcome, Poll::Ready(Err(error)) if error.is_aborted()));
    let late = env.spawn_local(ready(1));
    assert!(late.is_finished(), "a closed environment takes no task");
}

#[test]
fn block_on_returns_with_the_future_and_leaves_the_rest_to_the_next_run() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.set_timeout(Duration::from_millis(20), log.note("timeout"));
    let sleeper = env.clone();
    let slept = env.block_on(async move {
        sleeper.sleep(Duration::from_millis(1)).await;
        7
    });
    assert_eq!((slept, log.take().len()), (Ok(7), 0));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["timeout"]);
}

#[test]
fn block_on_a_future_that_nothing_can_wake_is_an_error_and_drops_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let guard = Guard(log.clone());
    let error = env.block_on(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    let error = error.expect_err("it would never end");
    assert_eq!((error.op(), error.errno()), ("block_on", Errno::EDEADLK));
    assert_eq!(log.take(), ["dropped"]);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn block_on_goes_on_when_something_else_stops_the_loop() {
    let (event_loop, env) = new_loop();
    let (stopping, sleeper) = (env.clone(), env.clone());
    env.set_immediate(move || stopping.loop_handle().stop());
    assert_eq!(env.block_on(async move { sleeper.sleep(Duration::from_millis(2)).await }), Ok(()));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn block_on_within_a_callback_is_refused() {
    let (event_loop, env) = new_loop();
    let (inner, log) = (env.clone(), Log::default());
    let l = log.clone();
    env.set_immediate(move || {
        let error = inner.block_on(pending::<()>()).expect_err("the loop runs already");
        l.push(format!("{}", error.errno() == Errno::EBUSY));
    });
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["true"]);
}

#[test]
fn block_on_passes_a_panic_on() {
    let (event_loop, env) = new_loop();
    let panic = catch_unwind(AssertUnwindSafe(|| env.block_on(async { panic!("on purpose") })));
    assert_eq!(panic.expect_err("it panics").downcast_ref::<&str>(), Some(&"on purpose"));
    run_to_the_end(&event_loop, &env);
}

// tokio-rs/tokio#4780
#[test]
fn block_on_ends_with_its_panic_although_something_else_goes_on() {
    let (event_loop, env) = new_loop();
    let endless = env.set_interval(Duration::from_millis(1), || {});
    for panics_late in [false, true] {
        let sleep = env.sleep(Duration::from_millis(2));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            env.block_on(async move {
                if panics_late {
                    sleep.await;
                }
                panic!("on purpose")
            })
        }));
        assert_eq!(panic.expect_err("it panics").downcast_ref::<&str>(), Some(&"on purpose"));
    }
    endless.clear();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn block_on_that_gives_up_stops_no_other_run() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.block_on(pending::<()>()).expect_err("nothing wakes it");
    let (refused, note) = (env.clone(), log.note("timeout"));
    env.set_timeout(Duration::ZERO, move || {
        assert_eq!(refused.block_on(pending::<()>()).expect_err("it runs").errno(), Errno::EBUSY);
        refused.set_timeout(Duration::from_millis(2), note);
    });
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["timeout"], "one run was enough");
    run_to_the_end(&event_loop, &env);
}

// tokio-rs/tokio#1842, tokio-rs/tokio#5162, z-galaxy/zbus#380
#[test]
fn an_environment_of_a_thread_may_end_with_it_with_tasks_that_spawn_when_they_are_dropped() {
    struct Spawning(Environment);
    impl Drop for Spawning {
        fn drop(&mut self) {
            self.0.spawn_local(async { unreachable!("the environment has ended") });
            drop(self.0.sleep(Duration::ZERO));
        }
    }
    std::thread_local! {
        static ENV: OwnedEnvironment = Environment::with_new_loop().expect("descriptors are left");
    }
    let thread = thread::spawn(|| {
        ENV.with(|env| {
            let (guard, late) = (Spawning((**env).clone()), (**env).clone());
            env.spawn_local(async move {
                let _guard = guard;
                late.sleep(Duration::MAX).await;
            });
            env.run(RunMode::NoWait).expect("the loop runs");
            assert_eq!(env.tasks(), 1);
        });
    });
    thread.join().expect("nothing panics");
}

// rust-lang/futures-rs#1737, rust-lang/futures-rs#2593
#[test]
fn a_run_without_waiting_goes_as_far_as_tasks_can_get() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (spawner, note) = (env.clone(), log.clone());
    env.spawn_detached(async move {
        note.push("begin");
        let inner = note.clone();
        let value = spawner.spawn_local(async move {
            inner.push("inner");
            let mut left = 3;
            poll_fn(|context| {
                left -= 1;
                context.waker().wake_by_ref();
                if left == 0 { Poll::Ready(5) } else { Poll::Pending }
            })
            .await
        });
        note.push(format!("end {}", value.await.expect("it ends")));
    });
    env.run(RunMode::NoWait).expect("the loop runs");
    assert_eq!(log.take(), ["begin", "inner", "end 5"]);
    run_to_the_end(&event_loop, &env);
}

// What is left would stop the next run.
#[test]
fn block_on_drops_its_future_when_a_callback_panics() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (sleeper, guard) = (env.clone(), Guard(log.clone()));
    env.set_immediate(|| resume_unwind(Box::new("on purpose")));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        env.block_on(async move {
            let _guard = guard;
            sleeper.sleep(Duration::from_millis(1)).await;
        })
    }));
    assert_eq!(ended.expect_err("the immediate panics").downcast_ref::<&str>(), Some(&"on purpose"));
    assert_eq!((log.take(), env.tasks()), (vec!["dropped".to_owned()], 0));
    env.set_timeout(Duration::from_millis(5), log.note("timeout"));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["timeout"]);
}

// The tasks that were spawned before `run` are polled before the loop runs.
#[test]
fn block_on_within_a_task_is_refused_also_before_the_loop_runs() {
    let (event_loop, env) = new_loop();
    let inner = env.clone();
    let errors = env.block_on(async move {
        let early = (inner.block_on(ready(())), inner.run(RunMode::NoWait));
        inner.sleep(Duration::ZERO).await;
        [early.0, early.1.map(drop), inner.block_on(ready(())), inner.run(RunMode::NoWait).map(drop)]
    });
    for refused in errors.expect("the loop runs") {
        assert_eq!(refused.expect_err("the loop runs already").errno(), Errno::EBUSY);
    }
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_guard_keeps_the_loop_alive_until_it_is_dropped() {
    let (event_loop, env) = new_loop();
    assert!(!event_loop.is_alive());
    let (one, other) = (env.keep_alive(), env.keep_alive());
    drop(one);
    assert!(event_loop.is_alive());
    let done = Arc::new(AtomicBool::new(false));
    let (theirs, ours) = (Arc::clone(&done), Arc::clone(&done));
    let mut thread = None;
    let guard = Cell::new(Some(other));
    env.spawn_local(poll_fn(move |context| {
        if ours.load(Ordering::SeqCst) {
            drop(guard.take());
            return Poll::Ready(());
        }
        let (waker, theirs) = (context.waker().clone(), Arc::clone(&theirs));
        thread.get_or_insert_with(|| {
            thread::spawn(move || {
                theirs.store(true, Ordering::SeqCst);
                waker.wake();
            })
        });
        Poll::Pending
    }));
    run_to_the_end(&event_loop, &env);
    assert!(done.load(Ordering::SeqCst));
}

/// Notes the life of tasks.
struct Settling(Log);

impl AsyncHook for Settling {
    fn on_init(&mut self, id: AsyncId, provider: Provider, _: AsyncId) {
        if provider == Provider::Promise {
            self.0.push(format!("init {id}"));
        }
    }

    fn on_settled(&mut self, id: AsyncId) {
        self.0.push(format!("settled {id}"));
    }
}

// Node: parallel/test-async-hooks-promise, async_hooks/test-promise.promise-before-init-hooks (promiseResolve)
#[test]
fn hooks_are_told_once_when_a_task_has_ended_been_aborted_or_has_panicked() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Settling(log.clone())).enable();
    let mut expected = Vec::new();
    let note = |env: &Environment, expected: &mut Vec<String>| {
        let id = env.new_async_id().get() + 1;
        expected.extend([format!("init {id}"), format!("settled {id}")]);
    };
    note(&env, &mut expected);
    env.spawn_local(ready(()));
    env.make_callback(AsyncContext::NONE, || {});
    note(&env, &mut expected);
    env.spawn_local(pending::<()>()).abort();
    note(&env, &mut expected);
    let _held: JoinHandle<()> = env.spawn_local(async { panic!("on purpose") });
    env.make_callback(AsyncContext::NONE, || {});
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), expected);
}

// Only the task that waits is woken: what it has given up wakes it no more.
#[test]
fn a_handle_that_is_dropped_while_it_is_awaited_wakes_nothing() {
    let (event_loop, env) = new_loop();
    let polls = Rc::new(Cell::new(0));
    let (counted, inner) = (Rc::clone(&polls), env.clone());
    env.spawn_detached(async move {
        let ending = inner.clone();
        let mut handle = Some(inner.spawn_local(async move { ending.sleep(Duration::from_millis(1)).await }));
        let waits = inner.sleep(Duration::from_millis(10));
        let mut waits = std::pin::pin!(waits);
        poll_fn(move |context| {
            counted.set(counted.get() + 1);
            if let Some(mut handle) = handle.take() {
                assert!(std::pin::Pin::new(&mut handle).poll(context).is_pending());
            }
            waits.as_mut().poll(context)
        })
        .await;
    });
    run_to_the_end(&event_loop, &env);
    assert_eq!(polls.get(), 2);
}
