//! Futures that wait for the same event.

mod common;

use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use async_wrap::task::{Wait, Waiters};
use common::{Log, new_loop, run_to_the_end};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
struct Gate {
    is_open: Cell<bool>,
    waiters: Waiters,
}

impl Gate {
    async fn opened(&self, log: &Log) {
        let wait = Wait::default();
        let _left = OnDrop::new(|| self.waiters.leave(&wait));
        poll_fn(|context| {
            log.push("polled");
            if self.is_open.get() {
                return Poll::Ready(());
            }
            self.waiters.wait(&wait, context);
            Poll::Pending
        })
        .await;
    }
}

fn waiting(env: &Environment, gate: &Rc<Gate>, log: &Log) -> async_wrap::task::JoinHandle<()> {
    let (gate, log) = (Rc::clone(gate), log.clone());
    env.spawn_local(async move { gate.opened(&log).await })
}

#[test]
fn a_wake_up_wakes_each_that_waits_and_none_that_has_left() {
    let (event_loop, env) = new_loop();
    let (gate, log) = (Rc::<Gate>::default(), Log::default());
    let tasks = [(); 3].map(|()| waiting(&env, &gate, &log));
    env.run(uv_core::RunMode::NoWait).expect("the loop runs");
    assert_eq!(log.take().len(), 3);
    tasks[1].abort();
    // Those that find nothing wait on, in their places.
    gate.waiters.wake();
    env.run(uv_core::RunMode::NoWait).expect("the loop runs");
    assert_eq!(log.take().len(), 2);
    gate.is_open.set(true);
    gate.waiters.wake();
    gate.waiters.wake();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take().len(), 2);
    assert!(gate.waiters.is_empty());
}

/// Counts its wake-ups.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_future_that_moves_to_another_task_wakes_that_one_alone() {
    let (gate, log) = (Gate::default(), Log::default());
    let counts = [(); 2].map(|()| Arc::<Count>::default());
    let mut opened = pin!(gate.opened(&log));
    for count in &counts {
        let waker = Waker::from(Arc::clone(count));
        assert!(opened.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    gate.waiters.wake();
    assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    // No waker is kept: neither the first one, nor behind the wake-up.
    assert_eq!(counts.each_ref().map(Arc::strong_count), [1, 1]);
}
