//! Sleeps of hyper: never early, from any thread, and dropped without a trace.

mod common;

use common::{finish, new_loop, run};
use hyper::rt::{Sleep, Timer};
use net::uv_core::RunMode;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use upcall_hyper::{LoopSleep, LoopTimer};

const HOUR: Duration = Duration::from_secs(3600);

/// Polls once, for no task.
fn poll(sleep: &mut Pin<Box<dyn Sleep>>) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

// AI13: the assertion is made by the compiler.
#[test]
fn timers_and_sleeps_may_be_sent_and_shared() {
    const fn is_send_and_sync<T: Send + Sync + Unpin + 'static>() {}
    const { is_send_and_sync::<LoopTimer>() };
    const { is_send_and_sync::<LoopSleep>() };
}

#[test]
fn a_sleep_is_never_early() {
    run(|env| async move {
        let timer = LoopTimer::new(&env);
        for millis in [0, 1, 2, 7, 20] {
            let (begun, wait) = (Instant::now(), Duration::from_millis(millis));
            timer.sleep(wait).await;
            assert!(begun.elapsed() >= wait, "{:?} instead of {wait:?}", begun.elapsed());
            let deadline = Instant::now() + wait;
            timer.sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
        timer.sleep_until(Instant::now() - Duration::from_millis(1)).await;
    });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    run(|env| async move {
        let (timer, order) = (LoopTimer::new(&env), Rc::new(RefCell::new(Vec::new())));
        let mut tasks = Vec::new();
        for millis in [9, 3, 6, 1, 3] {
            let (sleep, order) = (timer.sleep(Duration::from_millis(millis)), Rc::clone(&order));
            tasks.push(env.spawn_local(async move {
                sleep.await;
                order.borrow_mut().push(millis);
            }));
        }
        for task in tasks {
            task.await.expect("it ends");
        }
        assert_eq!(*order.borrow(), [1, 3, 3, 6, 9]);
    });
}

#[test]
fn a_sleep_that_is_over_stays_over() {
    run(|env| async move {
        let timer = LoopTimer::new(&env);
        let mut sleep = timer.sleep(Duration::from_millis(1));
        sleep.as_mut().await;
        assert_eq!(poll(&mut sleep), Poll::Ready(()));
        let mut sleep = timer.sleep(Duration::ZERO);
        assert_eq!([poll(&mut sleep), poll(&mut sleep)], [Poll::Ready(()); 2]);
    });
}

#[test]
fn a_reset_postpones_and_advances() {
    run(|env| async move {
        let timer = LoopTimer::new(&env);
        let mut sleep = timer.sleep(Duration::from_millis(1));
        assert!(poll(&mut sleep).is_pending());
        let deadline = Instant::now() + Duration::from_millis(10);
        timer.reset(&mut sleep, deadline);
        sleep.as_mut().await;
        assert!(Instant::now() >= deadline);
        // A sleep that is over begins again.
        timer.reset(&mut sleep, Instant::now() + HOUR);
        assert!(poll(&mut sleep).is_pending());
        timer.reset(&mut sleep, Instant::now() + Duration::from_millis(1));
        sleep.await;
    });
}

#[test]
fn a_reset_takes_a_sleep_of_another_timer_over() {
    struct Never;
    impl Sleep for Never {}
    impl Future for Never {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
    run(|env| async move {
        let mut sleep: Pin<Box<dyn Sleep>> = Box::pin(Never);
        LoopTimer::new(&env).reset(&mut sleep, Instant::now() + Duration::from_millis(1));
        // The timer is dropped, and the sleep still works.
        sleep.await;
    });
}

#[test]
fn a_time_that_no_instant_can_express_is_far() {
    run(|env| async move {
        let mut sleep = LoopTimer::new(&env).sleep(Duration::MAX);
        assert!(poll(&mut sleep).is_pending());
        assert!(env.timeout(Duration::from_millis(1), sleep).await.is_err());
    });
}

// AI7
#[test]
fn a_million_sleeps_made_and_dropped_leave_nothing() {
    const COUNT: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let (event_loop, env) = new_loop();
    let timer = LoopTimer::new(&env);
    let waiting = timer.clone();
    env.block_on(async move {
        let mut kept = Vec::new();
        for number in 0..COUNT {
            let mut sleep = waiting.sleep(HOUR);
            assert!(poll(&mut sleep).is_pending());
            if number % 1000 == 0 {
                kept.push(sleep);
            }
        }
    })
    .expect("the loop runs");
    assert!(format!("{timer:?}").contains("waiting: 0"), "{timer:?}");
    finish(&event_loop, &env);
}

#[test]
fn a_sleep_keeps_the_loop_alive_until_it_is_dropped() {
    let (event_loop, env) = new_loop();
    let timer = LoopTimer::new(&env);
    let mut sleep = timer.sleep(HOUR);
    assert!(!env.run(RunMode::NoWait).expect("the loop runs"), "nothing has polled it");
    assert!(poll(&mut sleep).is_pending());
    assert!(env.run(RunMode::NoWait).expect("the loop runs"));
    drop(sleep);
    finish(&event_loop, &env);
}

#[test]
fn a_sleep_that_is_dropped_leaves_the_later_ones() {
    run(|env| async move {
        let timer = LoopTimer::new(&env);
        let (mut early, late) =
            (timer.sleep(Duration::from_millis(1)), timer.sleep(Duration::from_millis(3)));
        assert!(poll(&mut early).is_pending());
        let late = env.spawn_local(late);
        env.sleep(Duration::ZERO).await;
        drop(early);
        late.await.expect("it ends");
    });
}

// AI13: polled on another thread it is no error either.
#[test]
fn a_sleep_works_on_another_thread_while_the_loop_runs() {
    let (event_loop, env) = new_loop();
    let (timer, alive) = (LoopTimer::new(&env), env.keep_alive());
    let (tell, told) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        let (begun, wait) = (Instant::now(), Duration::from_millis(5));
        // Made, polled, reset and dropped where the loop is not.
        drop(timer.sleep(HOUR));
        let mut sleep = timer.sleep(HOUR);
        assert!(poll(&mut sleep).is_pending());
        timer.reset(&mut sleep, Instant::now() + wait);
        block_on(sleep);
        assert!(begun.elapsed() >= wait);
        let waker: Waker = told.recv().expect("the loop waits");
        waker.wake();
    });
    env.block_on(async move {
        let mut is_told = false;
        poll_fn(|context| {
            if is_told {
                return Poll::Ready(());
            }
            is_told = true;
            tell.send(context.waker().clone()).expect("the thread waits");
            Poll::Pending
        })
        .await;
        drop(alive);
    })
    .expect("the loop runs");
    sleeper.join().expect("it ends");
    finish(&event_loop, &env);
}

/// Waits for a future on a thread without a loop.
fn block_on(mut sleep: Pin<Box<dyn Sleep>>) {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park();
    }
}

#[test]
fn the_sleeps_of_four_threads_lose_no_wake_up() {
    const SLEEPS: u64 = 500;
    let (event_loop, env) = new_loop();
    let alive = env.keep_alive();
    let timer = LoopTimer::new(&env);
    let sleepers: Vec<_> = (0..4)
        .map(|thread| {
            let timer = timer.clone();
            thread::spawn(move || {
                for number in 0..SLEEPS {
                    let mut dropped = timer.sleep(Duration::from_micros(number * 7 % 1000));
                    let _ = poll(&mut dropped);
                    block_on(timer.sleep(Duration::from_micros((number + thread) * 13 % 300)));
                }
            })
        })
        .collect();
    // In the loop too, and until the last thread has ended.
    env.block_on(async move {
        while !sleepers.iter().all(thread::JoinHandle::is_finished) {
            timer.sleep(Duration::from_micros(200)).await;
        }
        drop(alive);
    })
    .expect("the loop runs");
    finish(&event_loop, &env);
}

#[test]
fn a_sleep_is_sent_to_another_thread_and_dropped_there() {
    let (event_loop, env) = new_loop();
    let timer = LoopTimer::new(&env);
    let mut sleep = timer.sleep(HOUR);
    assert!(poll(&mut sleep).is_pending());
    assert!(env.run(RunMode::NoWait).expect("the loop runs"));
    let dropping = move || drop((sleep, timer));
    thread::spawn(dropping).join().expect("it ends");
    // The hour is not waited for.
    finish(&event_loop, &env);
}

#[test]
fn a_sleep_outlives_its_loop_pending() {
    let (event_loop, env) = new_loop();
    let timer = LoopTimer::new(&env);
    let deadline = Instant::now() + Duration::from_millis(1);
    let mut sleep = timer.sleep_until(deadline);
    assert!(poll(&mut sleep).is_pending());
    drop((env, event_loop));
    while Instant::now() < deadline {
        thread::yield_now();
    }
    assert!(poll(&mut sleep).is_pending());
    // Nothing waits for the instant, which is over.
    assert!(poll(&mut timer.sleep_until(deadline)).is_ready());
}

/// A waker whose references are counted.
#[derive(Default)]
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_timer_whose_environment_has_ended_keeps_nothing_and_its_sleeps_stay_pending() {
    let (event_loop, env) = new_loop();
    let timer = LoopTimer::new(&env);
    let counted = Arc::<Counted>::default();
    let waker = Waker::from(Arc::clone(&counted));
    let mut begun = timer.sleep(Duration::from_millis(1));
    assert!(begun.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(Arc::strong_count(&counted), 3);
    drop((event_loop, env));
    assert_eq!(Arc::strong_count(&counted), 2, "its waker is dropped");
    for _ in 0..3 {
        assert!(begun.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let mut sleeps: Vec<_> = (0..100).map(|_| timer.sleep(HOUR)).collect();
    for sleep in &mut sleeps {
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&counted), 2, "nothing is entered");
    assert_eq!(format!("{timer:?}"), "LoopTimer { waiting: 0, .. }");
    // A timer of an environment that has ended already.
    let env = new_loop().1;
    let mut sleep = LoopTimer::new(&env).sleep(HOUR);
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(Arc::strong_count(&counted), 2);
}
