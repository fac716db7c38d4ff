//! Signals to await. The only test of its process, which gets them.

mod common;

use async_wrap::storage::Storage;
use common::{Log, Recorder, new_loop, run_to_the_end};
use std::time::Duration;
use uv_core::{Errno, Signal, process};

fn raise(signum: i32) {
    process::kill(std::process::id().cast_signed(), signum).expect("to this process");
}

// Node: async-hooks/test-signalwrap, parallel/test-signal-handler
#[test]
fn signals_are_awaited() {
    deliveries_are_counted_and_a_dropped_future_loses_none();
    a_signal_keeps_the_loop_alive_while_it_is_awaited();
    a_task_that_waits_has_its_values();
    a_signal_that_cannot_be_watched_is_an_error();
    a_stop_is_either_signal_and_counts_from_the_call_on();
}

fn a_stop_is_either_signal_and_counts_from_the_call_on() {
    for signum in [Signal::SIGTERM, Signal::SIGINT] {
        let (event_loop, env) = new_loop();
        let stopped = env.stop_signal().expect("watched");
        raise(signum);
        assert_eq!(env.block_on(stopped), Ok(signum));
        // A dropped one watches no more.
        drop(env.stop_signal().expect("watched"));
        run_to_the_end(&event_loop, &env);
    }
}

fn deliveries_are_counted_and_a_dropped_future_loses_none() {
    let (event_loop, env) = new_loop();
    let mut signals = env.signal(Signal::SIGUSR2).expect("watched");
    assert_eq!(signals.signum(), Signal::SIGUSR2);
    raise(Signal::SIGUSR2);
    let inner = env.clone();
    env.block_on(async move {
        signals.recv().await;
        for _ in 0..3 {
            assert!(inner.timeout(Duration::from_millis(1), signals.recv()).await.is_err());
            drop(signals.recv());
            raise(Signal::SIGUSR2);
            inner.sleep(Duration::from_millis(1)).await;
            signals.recv().await;
        }
    })
    .expect("the loop runs");
    run_to_the_end(&event_loop, &env);
}

fn a_signal_keeps_the_loop_alive_while_it_is_awaited() {
    let (event_loop, env) = new_loop();
    let mut signals = env.signal(Signal::SIGUSR2).expect("watched");
    assert_eq!(env.run(uv_core::RunMode::Default), Ok(false), "nothing waits");
    let task = env.spawn_local(async move { signals.recv().await });
    env.block_on(std::future::ready(())).expect("the loop runs");
    assert!(event_loop.is_alive());
    task.abort();
    assert_eq!(env.run(uv_core::RunMode::Default), Ok(false), "nothing waits any more");
    let mut signals = env.signal(Signal::SIGUSR2).expect("watched");
    signals.unref();
    env.spawn_local(async move { signals.recv().await });
    assert_eq!(env.run(uv_core::RunMode::Default), Ok(false), "it does not keep the loop alive");
    env.close();
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(false));
}

fn a_task_that_waits_has_its_values() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let hook = env.hook(Recorder(log.clone()));
    hook.enable();
    let storage = Storage::<u32>::new(&env);
    let mut signals = env.signal(Signal::SIGUSR2).expect("watched");
    let inner = storage.clone();
    let task = storage.run(3, || {
        env.spawn_local(async move {
            signals.recv().await;
            inner.get().as_deref().copied()
        })
    });
    raise(Signal::SIGUSR2);
    assert_eq!(env.block_on(task).expect("the loop runs").expect("it ends"), Some(3));
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    assert_eq!((all[0].as_str(), all.contains(&"destroy 1".to_owned())), ("init 1 SIGNALWRAP 0", true));
}

fn a_signal_that_cannot_be_watched_is_an_error() {
    let (event_loop, env) = new_loop();
    for signum in [0, -1, 1000, Signal::SIGKILL, Signal::SIGSTOP] {
        assert_eq!(env.signal(signum).expect_err("no handler").errno(), Errno::EINVAL, "{signum}");
    }
    run_to_the_end(&event_loop, &env);
}
