//! Iterations of the loop in which nothing happens but one idle watcher.

use crate::Result;
use crate::subjects::solo::{check, measure};
use std::cell::Cell;
use std::rc::Rc;
use uv_core::{Idle, Loop, RunMode};

/// One operation is one iteration: its phases, its poll without waiting, its look at the clock.
pub(crate) fn ticks(ops: u64) -> Result<()> {
    let event_loop = Loop::new()?;
    let idle = Idle::new(&event_loop);
    measure(ops, |count| {
        let did = Rc::new(Cell::new(0));
        let counter = Rc::clone(&did);
        idle.start(move |idle: &Idle| {
            counter.set(counter.get() + 1);
            if counter.get() == count {
                // Nothing is left alive, and the run ends.
                idle.stop();
            }
        })?;
        event_loop.run(RunMode::Default)?;
        check(did.get(), count)
    })
}
