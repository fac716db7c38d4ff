//! Callback scopes: ids, nesting, and what a panic leaves behind.

mod common;

use async_wrap::{AsyncContext, AsyncId, AsyncResource, Provider};
use common::{Log, Recorder, new_loop, run_to_a_panic, run_to_the_end};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use uv_core::RunMode;

#[test]
fn ids_are_those_of_the_innermost_context_and_none_outside() {
    let (event_loop, env) = new_loop();
    assert_eq!(env.execution_async_id(), AsyncId::NONE);
    let outer = env.new_context(Provider::TcpServerWrap);
    let inner = env.new_context_with_trigger(Provider::TcpWrap, outer.async_id());
    env.make_callback(outer, || {
        assert_eq!(env.execution_async_id(), outer.async_id());
        assert_eq!(env.trigger_async_id(), AsyncId::NONE);
        env.make_callback(inner, || {
            assert_eq!(env.execution_async_id(), inner.async_id());
            assert_eq!(env.trigger_async_id(), outer.async_id());
        });
        assert_eq!(env.execution_async_id(), outer.async_id());
    });
    assert_eq!(env.execution_async_id(), AsyncId::NONE);
    assert_eq!(env.trigger_async_id(), AsyncId::NONE);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_resource_is_caused_by_what_executes_unless_told_otherwise() {
    let (event_loop, env) = new_loop();
    let outer = env.new_context(Provider::TcpServerWrap);
    let other = env.new_async_id();
    env.make_callback(outer, || {
        assert_eq!(env.new_context(Provider::TcpWrap).trigger_async_id(), outer.async_id());
        env.with_default_trigger(other, || {
            assert_eq!(env.new_context(Provider::TcpWrap).trigger_async_id(), other);
            env.with_default_trigger(AsyncId::NONE, || {
                assert_eq!(env.new_context(Provider::TcpWrap).trigger_async_id(), AsyncId::NONE);
            });
            let explicit = env.new_context_with_trigger(Provider::TcpWrap, outer.async_id());
            assert_eq!(explicit.trigger_async_id(), outer.async_id());
        });
        assert_eq!(env.new_context(Provider::TcpWrap).trigger_async_id(), outer.async_id());
    });
    run_to_the_end(&event_loop, &env);
}

// Node: addons/make-callback-recurse
#[test]
fn ticks_run_at_the_end_of_the_outermost_scope_only() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let context = env.new_context(Provider::TcpWrap);
    env.make_callback(context, || {
        env.next_tick(log.note("tick"));
        env.queue_microtask(log.note("microtask"));
        env.make_callback(context, || env.next_tick(log.note("tick of the inner scope")));
        log.push("inner scope is over");
        env.run_in_context(context, || env.next_tick(log.note("tick of the inner context")));
        log.push("outer scope ends");
    });
    let expected = [
        "inner scope is over",
        "outer scope ends",
        "tick",
        "tick of the inner scope",
        "tick of the inner context",
        "microtask",
    ];
    assert_eq!(log.take(), expected);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_scope_opened_by_a_tick_is_not_the_outermost() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let tick = {
        let (env, log) = (env.clone(), log.clone());
        move || {
            env.make_callback(AsyncContext::NONE, || env.next_tick(log.note("second tick")));
            log.push("first tick");
        }
    };
    env.make_callback(AsyncContext::NONE, || env.next_tick(tick));
    assert_eq!(log.take(), ["first tick", "second tick"]);
    run_to_the_end(&event_loop, &env);
}

// Node: test-async-hooks-recursive-stack-runInAsyncScope
#[test]
fn a_thousand_scopes_nest() {
    fn nest(env: &async_wrap::Environment, left: u32) {
        if left > 0 {
            let resource = AsyncResource::new(env, Provider::Custom(&"RECURSION"));
            let outer = env.execution_async_id();
            assert_eq!(resource.trigger_async_id(), outer);
            resource.run_in_async_scope(|| {
                assert_eq!(env.execution_async_id(), resource.async_id());
                env.make_callback(AsyncContext::NONE, || assert_eq!(env.execution_async_id(), AsyncId::NONE));
                nest(env, left - 1);
                assert_eq!(env.execution_async_id(), resource.async_id());
            });
            assert_eq!(env.execution_async_id(), outer);
        }
    }
    let (event_loop, env) = new_loop();
    nest(&env, 1000);
    assert_eq!(env.execution_async_id(), AsyncId::NONE);
    run_to_the_end(&event_loop, &env);
}

// Node: async-hooks/test-unhandled-exception-valid-ids, test-improper-unwind
#[test]
fn a_panic_restores_the_ids_and_ends_every_callback_in_order() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let outer = env.new_context(Provider::TcpWrap);
    let inner = env.new_context(Provider::WriteWrap);
    let other = env.new_async_id();
    let result = catch_unwind(AssertUnwindSafe(|| {
        env.with_default_trigger(other, || {
            env.make_callback(outer, || env.make_callback(inner, || resume_unwind(Box::new("on purpose"))));
        });
    }));
    result.expect_err("the panic passes through");
    assert_eq!(log.take()[2..], ["before 1", "before 2", "after 2", "after 1"]);
    assert_eq!(env.execution_async_id(), AsyncId::NONE);
    assert_eq!(env.new_context(Provider::TcpWrap).trigger_async_id(), AsyncId::NONE);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn what_a_panicking_callback_queued_runs_in_the_next_scope() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        env.make_callback(AsyncContext::NONE, || {
            env.next_tick(log.note("tick"));
            env.queue_microtask(log.note("microtask"));
            resume_unwind(Box::new("on purpose"));
        });
    }));
    assert_eq!(log.take(), [""; 0], "a failed scope runs nothing");
    env.make_callback(AsyncContext::NONE, log.note("next scope"));
    assert_eq!(log.take(), ["next scope", "tick", "microtask"]);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn what_a_panicking_callback_queued_is_run_by_the_loop_if_nothing_else_happens() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    {
        let (inner, log) = (env.clone(), log.clone());
        env.set_timeout(Duration::ZERO, move || {
            inner.next_tick(log.note("tick"));
            resume_unwind(Box::new("on purpose"));
        });
    }
    assert_eq!(run_to_a_panic(&env), "on purpose");
    assert_eq!(log.take(), [""; 0]);
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["tick"]);
    run_to_the_end(&event_loop, &env);
}
