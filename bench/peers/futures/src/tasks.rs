//! Tasks without any I/O: what spawning, waking and joining cost.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures::executor::{LocalPool, LocalSpawner};
use futures::future::RemoteHandle;
use futures::task::LocalSpawnExt;

/// Tasks that live at a time, and those of the ring.
const TASKS: u64 = 1000;
const RING: usize = 64;

#[derive(Default)]
struct Gate {
    waiting: RefCell<Vec<Waker>>,
    opener: Cell<Option<Waker>>,
}

impl Gate {
    /// Waits once. The last of `all` wakes the opener.
    async fn pass(&self, all: u64) {
        let mut is_there = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_there, true) {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(context.waker().clone());
            if waiting.len() as u64 == all
                && let Some(opener) = self.opener.take()
            {
                opener.wake();
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits until `all` wait, and wakes them.
    async fn open(&self, all: u64) {
        poll_fn(|context| {
            if self.waiting.borrow().len() as u64 == all {
                return Poll::Ready(());
            }
            self.opener.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

fn spawn<T: 'static>(spawner: &LocalSpawner, task: impl Future<Output = T> + 'static) -> RemoteHandle<T> {
    spawner.spawn_local_with_handle(task).expect("the pool lives")
}

/// Tasks are spawned, wait, are woken, and joined, in bursts.
pub(crate) fn live(ops: u64) {
    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    pool.run_until(async move {
        let mut left = ops;
        while left > 0 {
            let burst = left.min(TASKS);
            left -= burst;
            let gate = Rc::new(Gate::default());
            let tasks: Vec<_> = (0..burst)
                .map(|_| {
                    let gate = Rc::clone(&gate);
                    spawn(&spawner, async move {
                        gate.pass(burst).await;
                        1
                    })
                })
                .collect();
            gate.open(burst).await;
            let mut joined = 0;
            for task in tasks {
                joined += task.await;
            }
            assert_eq!(joined, burst, "all are joined");
        }
    });
}

/// A task of a ring wakes the next.
pub(crate) fn go_round(ops: u64) {
    let mut pool = LocalPool::new();
    let (left, ring) = (Rc::new(Cell::new(ops)), Rc::new(RefCell::new(Vec::new())));
    let tasks: Vec<_> = (0..RING)
        .map(|place| {
            let (left, ring, mut is_new) = (Rc::clone(&left), Rc::clone(&ring), true);
            let task = poll_fn(move |context| {
                if std::mem::take(&mut is_new) {
                    let mut ring = ring.borrow_mut();
                    ring.push(context.waker().clone());
                    if ring.len() < RING {
                        return Poll::Pending;
                    }
                } else {
                    left.set(left.get() - 1);
                }
                if left.get() == 0 {
                    return Poll::Ready(());
                }
                let ring: std::cell::Ref<'_, Vec<Waker>> = ring.borrow();
                ring[(place + 1) % RING].wake_by_ref();
                Poll::Pending
            });
            spawn(&pool.spawner(), task)
        })
        .collect();
    pool.run_until_stalled();
    assert_eq!(left.get(), 0, "all wake-ups came");
    drop(tasks);
}
