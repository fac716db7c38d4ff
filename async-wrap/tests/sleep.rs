//! Time to await: never early, dropped without a trace.

mod common;

use async_wrap::Environment;
use async_wrap::task::JoinHandle;
use common::{Log, new_loop, run_to_the_end};
use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use uv_core::Errno;

// AI7. Node: parallel/test-timers-promises
#[test]
fn a_sleep_is_never_early() {
    let (event_loop, env) = new_loop();
    for millis in [0, 1, 2, 7, 20] {
        let (begun, wait) = (Instant::now(), Duration::from_millis(millis));
        env.block_on(env.sleep(wait)).expect("the loop runs");
        assert!(begun.elapsed() >= wait, "{:?} instead of {wait:?}", begun.elapsed());
    }
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_sleep_counts_from_its_making() {
    let (event_loop, env) = new_loop();
    let (early, late) = (env.sleep(Duration::from_millis(5)), env.sleep(Duration::from_millis(10)));
    let log = Log::default();
    let l = log.clone();
    env.block_on(async move {
        late.await;
        l.push("late");
        early.await;
        l.push("early was over");
    })
    .expect("the loop runs");
    assert_eq!(log.take(), ["late", "early was over"]);
    run_to_the_end(&event_loop, &env);
}

// tokio: a tick that is late is ready at once.
#[test]
fn what_is_late_is_ready_in_the_next_turn() {
    let (event_loop, env) = new_loop();
    let (turns, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    /// Counts the turns of the loop.
    fn count(env: &Environment, turns: &Rc<Cell<u32>>, is_over: &Rc<Cell<bool>>) {
        turns.set(turns.get() + 1);
        if !is_over.get() {
            let (again, turns, is_over) = (env.clone(), Rc::clone(turns), Rc::clone(is_over));
            env.set_immediate(move || count(&again, &turns, &is_over));
        }
    }
    count(&env, &turns, &is_over);
    let (inner, counted) = (env.clone(), Rc::clone(&turns));
    let waited = env.block_on(async move {
        let (every, mut waited) = (Duration::from_millis(1), [0; 4]);
        let mut interval = inner.interval(every);
        for (index, waited) in waited.iter_mut().enumerate() {
            let late = inner.sleep(every);
            let begun = Instant::now();
            while begun.elapsed() < 2 * every {}
            let before = counted.get();
            if index % 2 == 0 {
                late.await
            } else {
                interval.tick().await
            }
            *waited = counted.get() - before;
        }
        waited
    });
    is_over.set(true);
    let waited = waited.expect("the loop runs");
    assert!(waited.iter().all(|turns| *turns <= 1), "ready behind {waited:?} turns");
    run_to_the_end(&event_loop, &env);
}

// AI7
#[test]
fn a_million_sleeps_made_and_dropped_leave_nothing() {
    let (event_loop, env) = new_loop();
    let before = event_loop.handles().len();
    for _ in 0..1_000 {
        let inner = env.clone();
        let task = env.spawn_local(async move {
            for _ in 0..1_000 {
                let mut sleep = pin!(inner.sleep(Duration::from_secs(3600)));
                // Its timer runs from the first poll on.
                assert!(poll_fn(|context| Poll::Ready(sleep.as_mut().poll(context).is_pending())).await);
            }
        });
        env.block_on(task).expect("the loop runs").expect("it ends");
    }
    run_to_the_end(&event_loop, &env);
    assert!(before > 0, "the environment's own handles");
    assert_eq!(event_loop.handles().len(), 0);
}

// tokio: `From<Elapsed> for io::Error`.
#[test]
fn what_takes_too_long_is_an_error_of_those_who_wait() {
    async fn of_the_loop(env: Environment) -> uv_core::Result<()> {
        Ok(env.timeout(Duration::from_millis(1), pending()).await?)
    }
    async fn of_io(env: Environment) -> io::Result<()> {
        Ok(env.timeout(Duration::from_millis(1), pending()).await?)
    }
    let (event_loop, env) = new_loop();
    let late = env.block_on(of_the_loop(env.clone())).expect("the loop runs").expect_err("it is late");
    assert_eq!(late.errno(), Errno::ETIMEDOUT);
    assert!(late.to_string().starts_with("timeout 1ms: "), "{late}");
    let late = env.block_on(of_io(env.clone())).expect("the loop runs").expect_err("it is late");
    assert_eq!((late.kind(), late.to_string()), (io::ErrorKind::TimedOut, "not ready after 1ms".to_owned()));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_sleep_that_is_dropped_keeps_nothing_alive() {
    let (event_loop, env) = new_loop();
    let sleep = env.sleep(Duration::from_secs(3600));
    let task = env.spawn_local(sleep);
    env.block_on(ready(())).expect("the loop runs");
    assert!(event_loop.is_alive(), "it was polled");
    task.abort();
    run_to_the_end(&event_loop, &env);
}

// AI8
#[test]
fn a_timeout_drops_what_it_waits_for_in_the_same_turn() {
    struct Guard(Log);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.push("dropped");
        }
    }
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let guard = Guard(log.clone());
    let waiting = env.timeout(Duration::from_millis(1), async move {
        let _guard = guard;
        pending::<()>().await;
    });
    let l = log.clone();
    env.block_on(async move {
        let mut waiting = pin!(waiting);
        let elapsed = waiting.as_mut().await.expect_err("it is never ready");
        l.push(elapsed.to_string());
    })
    .expect("the loop runs");
    assert_eq!(log.take(), ["dropped", "not ready after 1ms"]);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_timeout_gives_the_value_of_what_is_ready_in_time() {
    let (event_loop, env) = new_loop();
    assert_eq!(env.block_on(env.timeout(Duration::ZERO, ready(1))), Ok(Ok(1)));
    assert_eq!(env.block_on(env.timeout(Duration::MAX, ready(2))), Ok(Ok(2)));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn an_interval_ticks_no_earlier_than_its_time_and_loses_no_tick_to_a_dropped_future() {
    let (event_loop, env) = new_loop();
    let ticks = Rc::new(Cell::new(0));
    let (inner, count) = (env.clone(), Rc::clone(&ticks));
    let begun = Instant::now();
    env.block_on(async move {
        let mut interval = inner.interval(Duration::from_millis(4));
        while count.get() < 3 {
            // Most of these end before the tick.
            if inner.timeout(Duration::from_millis(1), interval.tick()).await.is_ok() {
                count.set(count.get() + 1);
            }
        }
    })
    .expect("the loop runs");
    assert!(begun.elapsed() >= Duration::from_millis(12));
    assert_eq!(ticks.get(), 3);
    run_to_the_end(&event_loop, &env);
}

// tokio-rs/tokio#2160: a task that is always ready must not starve the rest.
#[test]
fn a_task_that_sleeps_for_no_time_starves_neither_timers_nor_other_tasks() {
    let (event_loop, env) = new_loop();
    let is_over = Rc::new(Cell::new(false));
    let (inner, seen) = (env.clone(), Rc::clone(&is_over));
    let task = env.spawn_local(async move {
        let mut interval = inner.interval(Duration::ZERO);
        while !seen.get() {
            inner.sleep(Duration::ZERO).await;
            interval.tick().await;
            // Late before it is awaited.
            let (late, begun) = (inner.sleep(Duration::from_micros(1)), Instant::now());
            while begun.elapsed() < Duration::from_micros(10) {}
            inner.loop_handle().update_time();
            late.await;
        }
    });
    env.set_timeout(Duration::from_millis(2), move || is_over.set(true));
    env.block_on(task).expect("the loop runs").expect("it ends");
    run_to_the_end(&event_loop, &env);
}

// tokio-rs/tokio#2667, tokio-rs/tokio#5183, tokio-rs/tokio#6634
#[test]
fn no_duration_is_too_long() {
    let (event_loop, env) = new_loop();
    let long =
        [Duration::MAX, Duration::MAX / 10, Duration::from_nanos(u64::MAX), Duration::from_millis(u64::MAX)];
    let mut tasks = Vec::new();
    for after in long {
        let (sleep, mut interval) = (env.sleep(after), env.interval(after));
        let late = env.timeout(after, pending::<()>());
        tasks.push(env.spawn_local(sleep));
        tasks.push(env.spawn_local(async move { interval.tick().await }));
        tasks.push(env.spawn_local(async move { assert!(late.await.is_err()) }));
        assert_eq!(env.block_on(env.timeout(after, ready(1))).expect("the loop runs"), Ok(1));
    }
    env.block_on(env.sleep(Duration::from_millis(2))).expect("the loop runs");
    assert!(tasks.iter().all(|task| !task.is_finished()));
    tasks.iter().for_each(JoinHandle::abort);
    run_to_the_end(&event_loop, &env);
}

// tokio-rs/tokio#4291, tokio-rs/tokio#4314
#[test]
fn a_timeout_ends_what_never_lets_go() {
    let (event_loop, env) = new_loop();
    let busy = poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    env.block_on(env.timeout(Duration::from_millis(2), busy)).expect("the loop runs").expect_err("too late");
    let handed = env.clone();
    let spawning = async move {
        loop {
            handed.spawn_local(ready(())).await.expect("it ends");
        }
    };
    let waited = env.block_on(env.timeout::<_>(Duration::from_millis(2), spawning));
    assert!(matches!(waited, Ok(Err(_))));
    run_to_the_end(&event_loop, &env);
}
