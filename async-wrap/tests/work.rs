//! Work on the pool and look-ups to await: values, panics, contexts, and their end when the future is dropped.

mod common;

use async_wrap::Environment;
use async_wrap::storage::Storage;
use async_wrap::uv_core::names::{AddrFlags, AddrQuery, NameFlags, NameQuery};
use common::{Log, Recorder, new_loop, run_to_the_end};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use uv_core::Errno;

/// Longer than any test waits.
const LONG: Duration = Duration::from_secs(600);

// libuv: test/test-threadpool.c
#[test]
fn work_gives_its_value_and_keeps_the_loop_alive() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (inner, told) = (env.clone(), log.clone());
    env.spawn_local(async move {
        let all = (inner.work(|| 6), inner.work(|| 7));
        told.push((all.0.await.expect("it ends") * all.1.await.expect("it ends")).to_string());
    });
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["42"]);
}

#[test]
fn a_panic_of_work_is_an_error_and_never_passes_out_of_run() {
    let (event_loop, env) = new_loop();
    let failed =
        env.block_on(env.work(|| std::panic::resume_unwind(Box::new("a mistake")))).expect("the loop runs");
    let error = failed.expect_err("it has panicked");
    assert_eq!((error.is_panic(), error.to_string().as_str()), (true, "the work has panicked: a mistake"));
    let again = env.block_on(env.work(|| std::panic::resume_unwind(Box::new("a mistake"))));
    let carried: std::io::Error = again.expect("the loop runs").expect_err("it has panicked").into();
    assert_eq!((carried.kind(), carried.to_string()), (std::io::ErrorKind::Other, error.to_string()));
    let panic = error.into_panic().expect("a panic");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a mistake"));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_request_begins_with_the_first_poll_in_a_context_of_its_own() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let never = env.work(|| unreachable!("it is not polled"));
    assert_eq!(log.take(), Vec::<String>::new());
    drop(never);
    env.spawn_local(env.work(|| {}));
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    assert_eq!(&all[..4], ["init 1 PROMISE 0", "before 1", "init 2 WORK 1", "after 1"]);
    assert_eq!(&all[4..8], ["before 2", "after 2", "before 1", "after 1"]);
    for id in [1, 2] {
        assert_eq!(all.iter().filter(|entry| **entry == format!("destroy {id}")).count(), 1, "{all:?}");
    }
}

// AL6
#[test]
fn values_are_there_behind_each_await() {
    let (event_loop, env) = new_loop();
    let user = Storage::<u32>::new(&env);
    let (inner, storage) = (env.clone(), user.clone());
    let task = user.run(5, || {
        env.spawn_local(async move {
            inner.work(|| {}).await.expect("it ends");
            let first = storage.get();
            let query = AddrQuery::new("127.0.0.1").flags(AddrFlags::NUMERICHOST);
            inner.lookup(query).await.expect("it is found");
            (first, storage.get())
        })
    });
    let (first, second) = env.block_on(task).expect("the loop runs").expect("it ends");
    assert_eq!((first.as_deref(), second.as_deref()), (Some(&5), Some(&5)));
    run_to_the_end(&event_loop, &env);
}

// AI20: what was dropped keeps nothing alive.
#[test]
fn the_loop_does_not_wait_for_work_that_runs_and_is_not_wanted() {
    let (event_loop, env) = new_loop();
    let ((begun, has_begun), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let (log, inner) = (Log::default(), env.clone());
    env.hook(Recorder(log.clone())).enable();
    let waiting = env.work(move || {
        begun.send(()).expect("the test waits");
        let _ = released.recv_timeout(LONG);
    });
    let started = Instant::now();
    let task = env.spawn_local(waiting);
    env.spawn_local(async move {
        // The task was polled before this one.
        inner.work(move || has_begun.recv().expect("it begins")).await.expect("it ends");
        task.abort();
    });
    run_to_the_end(&event_loop, &env);
    assert!(started.elapsed() < LONG);
    assert_eq!((log.count("init"), log.count("destroy")), (4, 4));
    drop(release);
}

#[test]
fn work_that_has_not_begun_is_cancelled_with_its_future() {
    let (event_loop, env) = new_loop();
    // More than the pool has threads, each of which waits for the end of the channel.
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let tasks: Vec<_> = (0..1024)
        .map(|_| {
            let held = std::sync::Arc::clone(&held);
            env.spawn_local(env.work(move || {
                let _ = held.lock().map(|held| held.recv_timeout(LONG));
            }))
        })
        .collect();
    env.block_on(std::future::ready(())).expect("the loop runs");
    tasks.iter().for_each(async_wrap::task::JoinHandle::abort);
    let weak = std::sync::Arc::downgrade(&held);
    drop((held, hold));
    run_to_the_end(&event_loop, &env);
    // The few that had begun end soon.
    let begun = Instant::now();
    while weak.strong_count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} are left", weak.strong_count());
        std::thread::yield_now();
    }
}

async fn look_up(env: &Environment) {
    let found = env.lookup(AddrQuery::new("127.0.0.1").flags(AddrFlags::NUMERICHOST)).await;
    assert_eq!(found.expect("it is found").addresses[0].ip().to_string(), "127.0.0.1");
    let query = NameQuery::new(([127, 0, 0, 1], 80).into());
    let names = env.lookup_service(query.flags(NameFlags::NUMERICHOST | NameFlags::NUMERICSERV)).await;
    assert_eq!(names.map(|names| (names.host, names.service)), Ok(("127.0.0.1".into(), "80".into())));
    assert_eq!(env.lookup("").await.expect_err("no name").errno(), Errno::EINVAL);
}

// Node: parallel/test-dns-lookup-promises
#[test]
fn look_ups_are_awaited_and_say_why_they_fail() {
    let (event_loop, env) = new_loop();
    let inner = env.clone();
    env.block_on(async move { look_up(&inner).await }).expect("the loop runs");
    run_to_the_end(&event_loop, &env);
}
