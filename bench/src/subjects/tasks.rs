//! Tasks of `async-wrap` without any I/O: what spawning, waking and joining cost.

use crate::Result;
use crate::subjects::solo::{RING, TASKS, bursts, check, measure};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Where the tasks of a burst wait, and who is woken when all of them are there.
#[derive(Default)]
struct Gate {
    waiting: RefCell<Vec<Waker>>,
    opener: Cell<Option<Waker>>,
}

impl Gate {
    /// Waits once.
    async fn pass(&self, all: usize) {
        let mut is_there = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_there, true) {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(context.waker().clone());
            if waiting.len() == all
                && let Some(opener) = self.opener.take()
            {
                opener.wake();
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits until all wait, and wakes them.
    async fn open(&self, all: usize) {
        poll_fn(|context| {
            if self.waiting.borrow().len() == all {
                return Poll::Ready(());
            }
            self.opener.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

/// One operation is a task that is spawned, waits, is woken, and is joined by another task, in bursts.
pub(crate) fn life(ops: u64) -> Result<()> {
    let env = Environment::with_new_loop()?;
    measure(ops, |count| {
        let spawner = env.clone();
        let joined = env.block_on(async move {
            let mut joined = 0;
            for burst in bursts(count, TASKS) {
                let gate = Rc::new(Gate::default());
                let tasks: Vec<_> = (0..burst)
                    .map(|_| {
                        let gate = Rc::clone(&gate);
                        spawner.spawn_local(async move {
                            gate.pass(burst).await;
                            1
                        })
                    })
                    .collect();
                gate.open(burst).await;
                for task in tasks {
                    joined += task.await.unwrap_or(0);
                }
            }
            joined
        })?;
        check(joined, count)
    })
}

/// One operation is a wake-up of a task by another, and its poll. The tasks stand in a ring.
pub(crate) fn wake(ops: u64) -> Result<()> {
    let env = Environment::with_new_loop()?;
    measure(ops, |count| {
        let (left, ring) = (Rc::new(Cell::new(count)), Rc::new(RefCell::new(Vec::new())));
        let tasks: Vec<_> = (0..RING)
            .map(|place| {
                let (left, ring, mut is_new) = (Rc::clone(&left), Rc::clone(&ring), true);
                env.spawn_local(poll_fn(move |context| {
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
                    ring.borrow()[(place + 1) % RING].wake_by_ref();
                    Poll::Pending
                }))
            })
            .collect();
        env.run_to_end()?;
        tasks.iter().for_each(async_wrap::task::JoinHandle::abort);
        check(left.get(), 0)
    })
}
