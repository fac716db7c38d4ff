//! How tasks end otherwise than by their values: aborted from anywhere, by a destructor that panics, with their environment.

mod common;

use async_wrap::storage::Storage;
use async_wrap::task::JoinHandle;
use async_wrap::{AsyncContext, AsyncHook, AsyncId, Environment, Provider};
use common::{Log, close, new_loop, run_to_a_panic, run_to_the_end};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;
use uv_core::RunMode;

/// Calls a closure when it is dropped.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A task that ends only by force, and then notes that.
fn spawn_endless(env: &Environment, log: &Log) -> Rc<JoinHandle<()>> {
    let dropped = AtEnd(log.note("dropped"));
    let task = env.spawn_local(async move {
        let _dropped = dropped;
        pending::<()>().await;
    });
    env.make_callback(AsyncContext::NONE, || {});
    Rc::new(task)
}

/// Calls `abort` when a task is told of.
struct OnHook<F: FnMut()>(F);

impl<F: FnMut()> AsyncHook for OnHook<F> {
    fn on_before(&mut self, _: AsyncId) {
        (self.0)();
    }
}

// AI9
#[test]
fn a_task_is_aborted_from_anywhere_and_dropped_once_before_the_next_turn() {
    type Place = fn(&Environment, Rc<JoinHandle<()>>);
    let places: [(&str, Place); 9] = [
        ("a tick", |env, task| env.next_tick(move || task.abort())),
        ("a microtask", |env, task| env.queue_microtask(move || task.abort())),
        ("an immediate", |env, task| drop(env.set_immediate(move || task.abort()))),
        ("a timer", |env, task| drop(env.set_timeout(Duration::ZERO, move || task.abort()))),
        ("another task", |env, task| env.spawn_detached(async move { task.abort() })),
        ("a destructor", |env, task| {
            let guard = AtEnd(move || task.abort());
            env.spawn_detached(async move { drop(guard) });
        }),
        ("a hook", |env, task| {
            let hook = env.hook(OnHook(move || task.abort()));
            hook.enable();
            env.next_tick(move || hook.disable());
        }),
        ("the completion of work", |env, task| {
            env.loop_handle().queue_work(|| (), move |_| task.abort());
        }),
        ("twice, from a task that it has spawned", |env, task| {
            let inner = env.clone();
            env.spawn_detached(async move {
                inner.spawn_detached(async move {
                    task.abort();
                    task.abort();
                });
            });
        }),
    ];
    for (name, place) in places {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let task = spawn_endless(&env, &log);
        place(&env, Rc::clone(&task));
        run_to_the_end(&event_loop, &env);
        assert_eq!(log.take(), ["dropped"], "{name}");
        assert!(task.is_finished(), "{name}");
    }
}

#[test]
fn a_task_that_is_to_be_polled_is_aborted_and_not_polled() {
    let (event_loop, env) = new_loop();
    let (log, steady) = (Log::default(), Rc::new(RefCell::new(Vec::new())));
    for _ in 0..200 {
        let l = log.clone();
        // More than a turn polls, so that some are deferred.
        let task = env.spawn_local(poll_fn(move |context| {
            l.push("polled");
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        steady.borrow_mut().push(task);
    }
    env.make_callback(AsyncContext::NONE, || {});
    let polls = log.take().len();
    assert!(polls > 0 && polls < 200, "{polls}");
    steady.borrow().iter().for_each(JoinHandle::abort);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_handle_awaited_by_a_task_that_is_aborted_lets_its_task_go_on() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (sleeper, l) = (env.clone(), log.clone());
    let awaited = env.spawn_local(async move {
        sleeper.sleep(Duration::from_millis(1)).await;
        l.push("awaited ends");
    });
    let l = log.clone();
    let awaiting = env.spawn_local(async move {
        awaited.await.expect("it ends");
        l.push("never");
    });
    env.set_immediate(move || awaiting.abort());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["awaited ends"]);
}

#[test]
fn a_panic_of_a_task_whose_handle_went_with_an_aborted_one_passes_out_of_run() {
    let (event_loop, env) = new_loop();
    let sleeper = env.clone();
    let awaited: JoinHandle<()> = env.spawn_local(async move {
        sleeper.sleep(Duration::from_millis(1)).await;
        resume_unwind(Box::new("on purpose"));
    });
    let awaiting = env.spawn_local(awaited);
    env.set_immediate(move || awaiting.abort());
    assert_eq!(run_to_a_panic(&env), "on purpose");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn two_tasks_that_abort_each_other_both_end() {
    let (event_loop, env) = new_loop();
    let handles: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
    let log = Log::default();
    for other in [1, 0] {
        let (handles, dropped) = (Rc::clone(&handles), AtEnd(log.note("dropped")));
        let place = Rc::clone(&handles);
        let task = env.spawn_local(async move {
            let _dropped = dropped;
            place.borrow()[other].abort();
            pending::<()>().await;
        });
        handles.borrow_mut().push(task);
    }
    env.make_callback(AsyncContext::NONE, || {});
    // The first has aborted the second, which was never polled.
    assert_eq!((log.take().len(), env.tasks()), (1, 1));
    handles.borrow()[0].abort();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn a_destructor_of_a_pending_task_may_use_the_environment_that_ends() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let storage = Storage::<u32>::new(&env);
    let others: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
    let wakers: Rc<RefCell<Vec<Waker>>> = Rc::default();
    for number in 0..10 {
        let (inner, log, value) = (env.clone(), log.clone(), storage.clone());
        let (theirs, woken) = (Rc::clone(&others), Rc::clone(&wakers));
        let guard = AtEnd(move || {
            inner.spawn_detached(async { unreachable!("it is not polled any more") });
            inner.next_tick(|| unreachable!("it is not called any more"));
            inner.queue_microtask(|| unreachable!("it is not called any more"));
            inner.set_immediate(|| unreachable!("it is not called any more"));
            inner.set_timeout(Duration::ZERO, || unreachable!("it is not called any more")).clear();
            theirs.borrow().iter().for_each(JoinHandle::abort);
            woken.borrow().iter().for_each(Waker::wake_by_ref);
            value.with(|value| log.push(format!("a value: {}", value.is_some())));
            drop(inner.keep_alive());
        });
        let woken = Rc::clone(&wakers);
        let task = storage.run(number, || {
            env.spawn_local(async move {
                let _guard = guard;
                poll_fn(move |context| {
                    woken.borrow_mut().push(context.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            })
        });
        others.borrow_mut().push(task);
    }
    env.make_callback(AsyncContext::NONE, || {});
    drop(event_loop);
    assert_eq!((log.take().len(), env.tasks()), (10, 0));
    assert!(others.borrow().iter().all(JoinHandle::is_finished));
}

#[test]
fn a_destructor_that_panics_passes_out_of_abort_and_leaves_no_task() {
    let (event_loop, env) = new_loop();
    let guard = AtEnd(|| resume_unwind(Box::new("on purpose")));
    let task = env.spawn_local(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    env.make_callback(AsyncContext::NONE, || {});
    catch_unwind(AssertUnwindSafe(|| task.abort())).expect_err("the destructor panics");
    assert_eq!(env.tasks(), 0);
    task.abort();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_destructor_that_panics_at_the_end_of_a_task_passes_out_of_run_and_the_others_go_on() {
    /// Holds what panics beyond its value.
    fn spawn(env: &Environment, is_aborted_within: bool) -> JoinHandle<u32> {
        let guard = AtEnd(|| resume_unwind(Box::new("on purpose")));
        let own: Rc<Cell<Option<JoinHandle<u32>>>> = Rc::default();
        let place = Rc::clone(&own);
        let task = env.spawn_local(poll_fn(move |_| {
            let _guard = &guard;
            match place.take() {
                Some(own) => {
                    own.abort();
                    Poll::Pending
                }
                None => Poll::Ready(1),
            }
        }));
        if is_aborted_within {
            own.set(Some(task));
            return env.spawn_local(ready(1));
        }
        task
    }
    for is_aborted_within in [false, true] {
        let (event_loop, env) = new_loop();
        let task = spawn(&env, is_aborted_within);
        let log = Log::default();
        let l = log.clone();
        env.spawn_detached(async move { l.push("other") });
        assert_eq!(run_to_a_panic(&env), "on purpose");
        assert_eq!(env.block_on(task).expect("the loop runs").ok(), Some(1), "the value was there before");
        run_to_the_end(&event_loop, &env);
        assert_eq!(log.take(), ["other"]);
    }
}

// Two panics at once would end the process.
#[test]
fn a_task_that_panics_in_its_poll_and_in_its_destructor_ends_with_one_panic() {
    let (event_loop, env) = new_loop();
    let spawn = || {
        let guard = AtEnd(|| resume_unwind(Box::new("its destructor")));
        env.spawn_local(poll_fn(move |_| -> Poll<()> {
            let _guard = &guard;
            resume_unwind(Box::new("its poll"));
        }))
    };
    drop(spawn());
    assert_eq!(run_to_a_panic(&env), "its poll");
    // A handle has the panic of the poll.
    let task = spawn();
    assert_eq!(run_to_a_panic(&env), "its destructor");
    let error = env.block_on(task).expect("the loop runs").expect_err("it panics");
    assert_eq!(error.to_string(), "the task has panicked: its poll");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_task_whose_poll_a_hook_refuses_by_a_panic_ends() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let guard = AtEnd(log.note("dropped"));
    let hook = env.hook(OnHook(|| resume_unwind(Box::new("the hook"))));
    hook.enable();
    let task = env.spawn_local(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    assert_eq!(run_to_a_panic(&env), "the hook");
    hook.disable();
    assert_eq!((log.take(), env.tasks()), (vec!["dropped".to_owned()], 0));
    assert!(env.block_on(task).expect("the loop runs").is_err_and(|error| error.is_aborted()));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_destructor_that_panics_with_the_environment_keeps_no_other_task() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    for number in 0..10 {
        let note = log.note("dropped");
        let guard = AtEnd(note);
        let panicking = (number % 5 == 0).then(|| AtEnd(|| resume_unwind(Box::new("on purpose"))));
        env.spawn_detached(async move {
            let _guards = (guard, panicking);
            pending::<()>().await;
        });
    }
    env.make_callback(AsyncContext::NONE, || {});
    env.close();
    catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))).expect_err("the destructor panics");
    assert_eq!((log.take().len(), env.tasks()), (10, 0));
    close(&event_loop, &env);
}

// The value of a storage that a task replaces is dropped when its poll is over, and may use the tasks.
#[test]
fn a_value_that_a_task_replaces_may_spawn_when_it_is_dropped() {
    struct Spawning(Environment, Log);
    impl Drop for Spawning {
        fn drop(&mut self) {
            let log = self.1.clone();
            self.0.spawn_detached(async move { log.push("spawned") });
        }
    }
    let (event_loop, env) = new_loop();
    let (storage, log) = (Storage::<Spawning>::new(&env), Log::default());
    let (inner, place, l) = (env.clone(), storage.clone(), log.clone());
    let task = storage.run(Spawning(env.clone(), log.clone()), || {
        env.spawn_local(async move {
            place.enter_with(Spawning(inner.clone(), l.clone()));
            inner.sleep(Duration::ZERO).await;
            place.enter_with(Spawning(inner.clone(), l));
            inner.sleep(Duration::from_millis(1)).await;
        })
    });
    env.block_on(task).expect("the loop runs").expect("it ends");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["spawned"; 3]);
}

#[test]
fn a_hook_that_refuses_a_resource_by_a_panic_leaves_no_value_of_it() {
    struct Refusing;
    impl AsyncHook for Refusing {
        fn on_init(&mut self, _: AsyncId, _: Provider, _: AsyncId) {
            resume_unwind(Box::new("on purpose"));
        }
    }
    let (event_loop, env) = new_loop();
    let (storage, value) = (Storage::<u32>::new(&env), Rc::new(1));
    let hook = env.hook(Refusing);
    hook.enable();
    storage.run(Rc::clone(&value), || {
        catch_unwind(AssertUnwindSafe(|| env.next_tick(|| ()))).expect_err("the hook panics");
    });
    hook.disable();
    assert_eq!(Rc::strong_count(&value), 1);
    run_to_the_end(&event_loop, &env);
}
