//! Futures on the loop: what wakes them, in which context they run, and when they are dropped.

mod common;

use async_wrap::{AsyncContext, AsyncId, Environment, Provider};
use common::{Log, Recorder, close, new_loop, run_to_a_panic, run_to_the_end};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;
use uv_core::{Loop, RunMode};

/// A gate that a future waits for and any code opens.
#[derive(Default)]
struct Gate {
    open: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Gate {
    async fn pass(&self) {
        poll_fn(|context| {
            self.waker.replace(Some(context.waker().clone()));
            if self.open.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn open(&self) {
        self.open.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

#[test]
fn a_future_runs_as_a_microtask_in_a_context_of_its_own() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    env.hook(Recorder(log.clone())).enable();
    let parent = env.new_context(Provider::TcpWrap);
    let (inner, l) = (env.clone(), log.clone());
    env.make_callback(parent, || {
        env.spawn_local(async move {
            assert_eq!(inner.trigger_async_id(), parent.async_id());
            l.push(format!("future in {}", inner.execution_async_id()));
        });
        env.next_tick(log.note("tick"));
    });
    let events = log.take();
    let expected = ["before 3", "tick", "after 3", "before 2", "future in 2", "after 2"];
    assert_eq!(events[events.len() - 6..], expected);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["destroy 3", "destroy 2"]);
}

#[test]
fn a_wake_during_a_scope_is_a_microtask_in_its_turn() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let gate = Rc::new(Gate::default());
    let (g, l) = (Rc::clone(&gate), log.clone());
    env.spawn_local(async move {
        g.pass().await;
        l.push("future");
    });
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "a pending future keeps nothing alive");
    env.make_callback(AsyncContext::NONE, || {
        env.queue_microtask(log.note("microtask before"));
        gate.open();
        gate.wake();
        env.queue_microtask(log.note("microtask after"));
        env.next_tick(log.note("tick"));
    });
    assert_eq!(log.take(), ["tick", "microtask before", "future", "microtask after"]);
    gate.wake();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [""; 0], "a task that has ended is not polled again");
}

#[test]
fn a_wake_outside_of_a_scope_is_not_lost() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let gate = Rc::new(Gate::default());
    let (g, l) = (Rc::clone(&gate), log.clone());
    env.spawn_local(async move {
        g.pass().await;
        l.push("future");
    });
    env.run(RunMode::Default).expect("the loop runs");
    gate.open();
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["future"]);
    close(&event_loop, &env);
}

#[test]
fn a_future_that_wakes_itself_is_polled_again_in_the_same_turn() {
    let (event_loop, env) = new_loop();
    let polls = Rc::new(Cell::new(0));
    let inner = Rc::clone(&polls);
    env.make_callback(AsyncContext::NONE, || {
        env.spawn_local(poll_fn(move |context| {
            inner.set(inner.get() + 1);
            context.waker().wake_by_ref();
            if inner.get() == 5 { Poll::Ready(()) } else { Poll::Pending }
        }));
    });
    assert_eq!(polls.get(), 5);
    run_to_the_end(&event_loop, &env);
}

/// A task that wakes itself until `stop` is set, and counts its polls.
fn spawn_steady(env: &Environment, stop: &Rc<Cell<bool>>) -> Rc<Cell<u32>> {
    let polls = Rc::new(Cell::new(0));
    let (stop, count) = (Rc::clone(stop), Rc::clone(&polls));
    env.spawn_local(poll_fn(move |context| {
        count.set(count.get() + 1);
        context.waker().wake_by_ref();
        if stop.get() { Poll::Ready(()) } else { Poll::Pending }
    }));
    polls
}

#[test]
fn a_task_that_wakes_itself_without_end_starves_neither_timers_nor_other_tasks_nor_immediates() {
    let (event_loop, env) = new_loop();
    let stop = Rc::new(Cell::new(false));
    let (first, second) = (spawn_steady(&env, &stop), spawn_steady(&env, &stop));
    let log = Log::default();
    env.set_immediate(log.note("immediate"));
    let l = log.clone();
    env.set_timeout(Duration::from_millis(5), move || {
        l.push("timeout");
        stop.set(true);
    });
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["immediate", "timeout"]);
    assert!(first.get() > 1 && first.get().abs_diff(second.get()) <= 1, "they have equal turns");
}

#[test]
fn two_tasks_that_wake_each_other_without_end_starve_nobody() {
    let (event_loop, env) = new_loop();
    let stop = Rc::new(Cell::new(false));
    let wakers: Rc<RefCell<[Option<Waker>; 2]>> = Rc::default();
    for own in 0..2 {
        let (stop, wakers) = (Rc::clone(&stop), Rc::clone(&wakers));
        env.spawn_local(poll_fn(move |context| {
            let mut wakers = wakers.borrow_mut();
            wakers[own] = Some(context.waker().clone());
            if let Some(other) = &wakers[1 - own] {
                other.wake_by_ref();
            }
            if stop.get() { Poll::Ready(()) } else { Poll::Pending }
        }));
    }
    env.set_timeout(Duration::from_millis(5), move || stop.set(true));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn tasks_that_spawn_tasks_without_end_starve_nobody() {
    fn spawn(env: &Environment, stop: Rc<Cell<bool>>) {
        let inner = env.clone();
        env.spawn_local(async move {
            if !stop.get() {
                spawn(&inner, stop);
            }
        });
    }
    let (event_loop, env) = new_loop();
    let stop = Rc::new(Cell::new(false));
    spawn(&env, Rc::clone(&stop));
    env.set_timeout(Duration::from_millis(5), move || stop.set(true));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn many_tasks_that_are_woken_at_once_are_polled_in_order_and_none_is_lost() {
    const COUNT: usize = 1000;
    let (event_loop, env) = new_loop();
    let order = Rc::new(RefCell::new(Vec::new()));
    let gates: Vec<Rc<Gate>> = (0..COUNT).map(|_| Rc::default()).collect();
    for (number, gate) in gates.iter().enumerate() {
        let (gate, order) = (Rc::clone(gate), Rc::clone(&order));
        env.spawn_local(async move {
            gate.pass().await;
            order.borrow_mut().push(number);
        });
    }
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    gates.iter().for_each(|gate| gate.open());
    run_to_the_end(&event_loop, &env);
    assert!(order.take().into_iter().eq(0..COUNT));
}

#[test]
fn a_panic_among_many_polls_loses_none_of_the_others() {
    const COUNT: usize = 200;
    let (event_loop, env) = new_loop();
    let ended = Rc::new(Cell::new(0));
    for number in 0..COUNT {
        let ended = Rc::clone(&ended);
        env.spawn_local(async move {
            assert!(number != 100, "task 100");
            ended.set(ended.get() + 1);
        });
    }
    assert_eq!(run_to_a_panic(&env), "task 100");
    run_to_the_end(&event_loop, &env);
    assert_eq!(ended.get(), COUNT - 1);
}

#[test]
fn a_task_that_wakes_itself_ends_with_the_environment() {
    let (event_loop, env) = new_loop();
    let stop = Rc::new(Cell::new(false));
    spawn_steady(&env, &stop);
    assert!(env.run(RunMode::NoWait).expect("the loop runs"), "a task that was woken keeps the loop alive");
    close(&event_loop, &env);
    assert_eq!(Rc::strong_count(&stop), 1, "the task is dropped");
    // Without a loop the end of a scope runs what it can and drops the rest.
    env.make_callback(AsyncContext::NONE, || drop(spawn_steady(&env, &stop)));
    assert_eq!(Rc::strong_count(&stop), 1);
}

/// A value that another thread sends once. The receiver must keep the loop alive by other means.
#[derive(Default)]
struct Oneshot {
    state: Mutex<(Option<u32>, Option<Waker>)>,
}

impl Oneshot {
    fn send(&self, value: u32) {
        let mut state = self.state.lock().expect("no thread panics with the lock");
        state.0 = Some(value);
        let waker = state.1.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn receive(&self) -> u32 {
        poll_fn(|context| {
            let mut state = self.state.lock().expect("no thread panics with the lock");
            match state.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    state.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[test]
fn futures_are_woken_from_other_threads() {
    let (event_loop, env) = new_loop();
    let sum = Rc::new(Cell::new(0));
    // Keeps the loop alive until all answers have arrived.
    let alive = env.set_timeout(Duration::from_secs(3600), || panic!("an answer is missing"));
    let mut threads = Vec::new();
    let (send_go, go) = mpsc::channel::<()>();
    let go = Arc::new(Mutex::new(go));
    for number in 1..=8 {
        let oneshot = Arc::new(Oneshot::default());
        let (sender, go) = (Arc::clone(&oneshot), Arc::clone(&go));
        threads.push(thread::spawn(move || {
            go.lock().expect("no thread panics with the lock").recv().expect("the test sends");
            sender.send(number);
        }));
        let (sum, alive, inner) = (Rc::clone(&sum), alive.clone(), env.clone());
        env.spawn_local(async move {
            let value = oneshot.receive().await;
            assert_ne!(inner.execution_async_id(), AsyncId::NONE, "the poll is in a scope");
            sum.set(sum.get() + value);
            if sum.get() == 36 {
                alive.clear();
            }
        });
    }
    // Sent from a callback, when all futures are waiting.
    env.set_immediate(move || (0..8).for_each(|_| send_go.send(()).expect("the threads wait")));
    run_to_the_end(&event_loop, &env);
    assert_eq!(sum.get(), 36);
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}

#[test]
fn futures_are_woken_from_the_thread_pool_and_from_callbacks_of_the_bare_loop() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let from_pool = Arc::new(Oneshot::default());
    let from_loop = Arc::new(Oneshot::default());
    let (in_pool, in_loop) = (Arc::clone(&from_pool), Arc::clone(&from_loop));
    let l = log.clone();
    // The request keeps the loop alive until the second answer, which is sent outside of every scope.
    event_loop.queue_work(move || in_pool.send(1), move |_| in_loop.send(2));
    env.spawn_local(async move {
        l.push(from_pool.receive().await.to_string());
        l.push(from_loop.receive().await.to_string());
    });
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["1", "2"]);
}

#[test]
fn a_future_that_panics_is_gone_and_the_others_go_on() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let held = Rc::new(());
    let inner = Rc::clone(&held);
    env.spawn_local(async move {
        let _inner = inner;
        resume_unwind(Box::new("on purpose"));
    });
    let l = log.clone();
    env.spawn_local(async move { l.push("other") });
    assert_eq!(run_to_a_panic(&env), "on purpose");
    assert_eq!(Rc::strong_count(&held), 1);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["other"]);
}

#[test]
fn a_pending_future_is_dropped_with_the_loop_and_its_waker_outlives_it() {
    let event_loop = Loop::new().expect("the system has descriptors left");
    let env = Environment::new(&event_loop);
    let gate = Rc::new(Gate::default());
    let inner = Rc::clone(&gate);
    env.spawn_local(async move { inner.pass().await });
    env.run(RunMode::Default).expect("the loop runs");
    assert_eq!(Rc::strong_count(&gate), 2);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&gate), 1, "the future is dropped although the environment is still held");
    gate.wake();
    drop(env);
    let waker = gate.waker.take().expect("the future was polled");
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().expect("a late wake-up does not panic");
}
