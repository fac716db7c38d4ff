//! libuv's `async_pummel` and `million_async`: a thread that wakes the loop as often as it can.

use crate::Result;
use crate::subjects::solo::{MILLION, Random, check, measure};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use uv_core::threads::AsyncSender;
use uv_core::{Async, Loop, RunMode};

/// One operation is a call of the one handle, which the other thread wakes without a pause.
pub(crate) fn one(ops: u64) -> Result<()> {
    let loops = Pummelled::new(1)?;
    loops.measure(ops, |senders, is_over| {
        while !is_over.load(Ordering::Relaxed) {
            senders[0].send();
        }
    })
}

/// One operation is a call of one of a million handles, which the other thread wakes at random.
pub(crate) fn million(ops: u64) -> Result<()> {
    let loops = Pummelled::new(MILLION)?;
    loops.measure(ops, |senders, is_over| {
        let mut random = Random::new();
        while !is_over.load(Ordering::Relaxed) {
            senders[random.next_below(MILLION)].send();
        }
    })
}

/// A loop with handles, which stops after so many calls.
struct Pummelled {
    event_loop: Loop,
    senders: Vec<AsyncSender>,
    left: Rc<Cell<u64>>,
}

impl Pummelled {
    fn new(handles: usize) -> Result<Self> {
        let event_loop = Loop::new()?;
        let left = Rc::new(Cell::new(0_u64));
        let new = |_| {
            let left = Rc::clone(&left);
            let handle = Async::new(&event_loop, move |handle: &Async| {
                // Calls of the turn in which the last one came do not count.
                left.set(left.get().saturating_sub(1));
                if left.get() == 0 {
                    handle.loop_handle().stop();
                }
            });
            handle.sender()
        };
        let senders = (0..handles).map(new).collect();
        Ok(Self { event_loop, senders, left })
    }

    /// Runs the loop while `pummel` wakes its handles on another thread.
    fn measure(
        self,
        ops: u64,
        pummel: impl FnOnce(&[AsyncSender], &AtomicBool) + Send + 'static,
    ) -> Result<()> {
        let Self { event_loop, senders, left } = self;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || pummel(&senders, &over));
        measure(ops, |count| {
            left.set(count);
            event_loop.run(RunMode::Default)?;
            check(count - left.get(), count)
        })?;
        is_over.store(true, Ordering::Relaxed);
        thread.join().map_err(|_| "the other thread panicked".into())
    }
}
