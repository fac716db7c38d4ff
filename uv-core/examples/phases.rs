//! Timers and phases: the order of callbacks in an iteration of the loop, as in libuv.
//!
//! `cargo run -p upcall-uv-core --example phases`

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Check, Idle, Loop, Prepare, Result, RunMode, Timer};

fn main() -> Result<()> {
    let event_loop = Loop::new()?;
    let iteration = Rc::new(Cell::new(0));

    let idle = Idle::new(&event_loop);
    let count = Rc::clone(&iteration);
    idle.start(move |idle: &Idle| {
        count.set(count.get() + 1);
        println!("iteration {}: idle", count.get());
        // An idle watcher keeps the loop from blocking; after three rounds it stops.
        if count.get() == 3 {
            idle.close();
        }
    })?;

    let prepare = Prepare::new(&event_loop);
    prepare.start(|_: &Prepare| println!("  prepare: the loop is about to poll"))?;
    let check = Check::new(&event_loop);
    check.start(|_: &Check| println!("  check: the loop has polled"))?;

    let tick = Timer::new(&event_loop);
    let period = Duration::from_millis(20);
    tick.start(period, period, move |tick: &Timer| {
        println!("  timer at {:?}", tick.loop_handle().now());
        if tick.loop_handle().now() > 4 * period {
            // With all handles closed nothing keeps the loop alive, and it ends.
            tick.loop_handle().close_all();
        }
    })?;

    event_loop.run(RunMode::Default)?;
    event_loop.close()
}
