//! Tasks without any I/O: what spawning, waking and joining cost.
//!
//! The tasks are those of the runtime itself, which are cheaper than those of a `LocalSet` on it. What they share is in the
//! thread, so that they are `Send` without a lock.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::task::{Poll, Waker};

use tokio::spawn;

use super::{Meter, warm_up};
use crate::runtime;

/// Tasks that live at a time, and those of the ring.
const TASKS: u64 = 1000;
const RING: usize = 64;

thread_local! {
    /// The tasks that wait, or those of the ring.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    static OPENER: Cell<Option<Waker>> = const { Cell::new(None) };
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Waits once. The last of `all` wakes the opener.
async fn pass(all: u64) {
    let mut is_there = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_there, true) {
            return Poll::Ready(());
        }
        WAITING.with_borrow_mut(|waiting| {
            waiting.push(context.waker().clone());
            if waiting.len() as u64 == all
                && let Some(opener) = OPENER.take()
            {
                opener.wake();
            }
        });
        Poll::Pending
    })
    .await;
}

/// Waits until `all` wait, and wakes them.
async fn open(all: u64) {
    poll_fn(|context| {
        if WAITING.with_borrow(|waiting| waiting.len() as u64 == all) {
            return Poll::Ready(());
        }
        OPENER.set(Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
    WAITING.take().into_iter().for_each(Waker::wake);
}

async fn live(ops: u64) -> io::Result<()> {
    let mut left = ops;
    while left > 0 {
        let burst = left.min(TASKS);
        left -= burst;
        let tasks: Vec<_> = (0..burst)
            .map(|_| {
                spawn(async move {
                    pass(burst).await;
                    1
                })
            })
            .collect();
        open(burst).await;
        let mut joined = 0;
        for task in tasks {
            joined += task.await?;
        }
        assert_eq!(joined, burst, "all are joined");
    }
    Ok(())
}

/// Tasks are spawned, wait, are woken, and joined, in bursts.
pub(super) fn life(ops: u64) -> io::Result<()> {
    runtime()?.block_on(async {
        // The runtime's main future is no task.
        let main = async move {
            live(warm_up(ops)).await?;
            let meter = Meter::start()?;
            live(ops).await?;
            meter.print(ops)
        };
        spawn(main).await?
    })
}

async fn go_round(ops: u64) -> io::Result<()> {
    LEFT.set(ops);
    WAITING.take();
    let ring: Vec<_> = (0..RING)
        .map(|place| {
            let mut is_new = true;
            spawn(poll_fn(move |context| {
                if std::mem::take(&mut is_new) {
                    let ring = WAITING.with_borrow_mut(|ring| {
                        ring.push(context.waker().clone());
                        ring.len()
                    });
                    if ring < RING {
                        return Poll::Pending;
                    }
                } else {
                    LEFT.set(LEFT.get() - 1);
                }
                if LEFT.get() == 0 {
                    if let Some(opener) = OPENER.take() {
                        opener.wake();
                    }
                    return Poll::Ready(());
                }
                WAITING.with_borrow(|ring| ring[(place + 1) % RING].wake_by_ref());
                Poll::Pending
            }))
        })
        .collect();
    poll_fn(|context| {
        OPENER.set(Some(context.waker().clone()));
        if LEFT.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ring.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// A task of a ring wakes the next.
pub(super) fn wake(ops: u64) -> io::Result<()> {
    runtime()?.block_on(async {
        let main = async move {
            go_round(warm_up(ops)).await?;
            let meter = Meter::start()?;
            go_round(ops).await?;
            meter.print(ops)
        };
        spawn(main).await?
    })
}
