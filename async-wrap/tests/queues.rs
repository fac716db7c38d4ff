//! Ticks and microtasks: their order, their ids, and that no entry is lost.

mod common;

use async_wrap::{AsyncContext, AsyncId, Provider};
use common::{Log, Recorder, close, new_loop, run_to_a_panic, run_to_the_end};
use std::cell::Cell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;
use uv_core::RunMode;

// Node: test-next-tick-ordering, test-next-tick-ordering2, test-microtask-queue-run
#[test]
fn all_ticks_run_before_microtasks_and_all_microtasks_before_the_next_ticks() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let e = env.clone();
    let l = log.clone();
    env.make_callback(AsyncContext::NONE, move || {
        let (e1, l1) = (e.clone(), l.clone());
        e.queue_microtask(move || {
            l1.push("microtask 1");
            e1.next_tick(l1.note("tick of microtask 1"));
            e1.queue_microtask(l1.note("microtask of microtask 1"));
        });
        let (e2, l2) = (e.clone(), l.clone());
        e.next_tick(move || {
            l2.push("tick 1");
            e2.queue_microtask(l2.note("microtask of tick 1"));
            e2.next_tick(l2.note("tick of tick 1"));
        });
        e.next_tick(l.note("tick 2"));
        l.push("callback");
    });
    let expected = [
        "callback",
        "tick 1",
        "tick 2",
        "tick of tick 1",
        "microtask 1",
        "microtask of tick 1",
        "microtask of microtask 1",
        "tick of microtask 1",
    ];
    assert_eq!(log.take(), expected);
    run_to_the_end(&event_loop, &env);
}

// Node: test-next-tick-intentional-starvation
#[test]
fn ticks_that_queue_ticks_run_before_anything_else() {
    fn again(env: &async_wrap::Environment, count: Rc<Cell<u32>>) {
        if count.get() < 1000 {
            count.set(count.get() + 1);
            let inner = env.clone();
            env.next_tick(move || again(&inner, count));
        }
    }
    let (event_loop, env) = new_loop();
    let count = Rc::new(Cell::new(0));
    let seen = Rc::clone(&count);
    env.set_timeout(Duration::ZERO, move || assert_eq!(seen.get(), 1000));
    again(&env, Rc::clone(&count));
    run_to_the_end(&event_loop, &env);
}

// Node: test-next-tick-errors
#[test]
fn a_tick_that_panics_does_not_lose_the_others() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.next_tick(log.note("tick 1"));
    env.next_tick(|| resume_unwind(Box::new("tick 2")));
    env.next_tick(log.note("tick 3"));
    env.queue_microtask(|| resume_unwind(Box::new("microtask 1")));
    env.queue_microtask(log.note("microtask 2"));
    assert_eq!(run_to_a_panic(&env), "tick 2");
    assert_eq!(log.take(), ["tick 1"]);
    assert_eq!(env.execution_async_id(), AsyncId::NONE);
    assert_eq!(run_to_a_panic(&env), "microtask 1");
    assert_eq!(log.take(), ["tick 3"]);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["microtask 2"]);
}

// Node: async-hooks/test-nexttick-default-trigger
#[test]
fn a_tick_is_caused_by_the_default_trigger_and_runs_as_itself() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let other = env.new_async_id();
    let context = env.new_context(Provider::TcpWrap);
    log.take();
    let inner = env.clone();
    env.make_callback(context, move || {
        let seen = inner.clone();
        inner.clone().with_default_trigger(other, move || {
            inner.next_tick(move || {
                assert_eq!(seen.execution_async_id().get(), 3);
                assert_eq!(seen.trigger_async_id(), other);
            });
        });
    });
    assert_eq!(log.take(), ["before 2", "init 3 TickObject 1", "after 2", "before 3", "after 3"]);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["destroy 3"]);
}

// Node: async-hooks/test-queue-microtask
#[test]
fn a_microtask_is_a_resource_of_its_own() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    env.queue_microtask(log.note("microtask"));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["init 1 Microtask 0", "before 1", "microtask", "after 1", "destroy 1"]);
}

#[test]
fn what_is_queued_outside_of_a_scope_runs_first() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.set_immediate(log.note("immediate"));
    env.queue_microtask(log.note("microtask"));
    env.next_tick(log.note("tick"));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["tick", "microtask", "immediate"]);
}

#[test]
fn what_is_queued_outside_of_a_scope_runs_also_when_the_loop_is_run_by_hand() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.queue_microtask(log.note("microtask"));
    env.next_tick(log.note("tick"));
    assert!(event_loop.is_alive(), "what is queued keeps the loop alive");
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["tick", "microtask"]);
    close(&event_loop, &env);
}

// Node: test-next-tick-when-exiting
#[test]
fn nothing_is_queued_once_the_environment_is_closed() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    close(&event_loop, &env);
    env.next_tick(log.note("tick"));
    env.queue_microtask(log.note("microtask"));
    env.set_immediate(log.note("immediate"));
    env.spawn_local(async { panic!("never polled") });
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [""; 0]);
    env.make_callback(AsyncContext::NONE, || env.next_tick(log.note("tick of a scope")));
    assert_eq!(log.take(), ["tick of a scope"], "the end of a scope still runs what is queued in it");
}

#[test]
fn what_is_queued_when_the_environment_is_closed_is_dropped() {
    let (event_loop, env) = new_loop();
    let held = Rc::new(());
    let (a, b, c, d) = (held.clone(), held.clone(), held.clone(), held.clone());
    env.next_tick(move || drop(a));
    env.queue_microtask(move || drop(b));
    env.set_immediate(move || drop(c));
    env.spawn_local(async move { drop(d) });
    close(&event_loop, &env);
    assert_eq!(Rc::strong_count(&held), 1);
}
