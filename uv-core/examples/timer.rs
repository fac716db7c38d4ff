//! A timer that ends the loop: with its only handle closed, nothing keeps the loop alive.
//!
//! `cargo run -p upcall-uv-core --example timer`

use std::time::Duration;
use uv_core::{Loop, Result, RunMode, Timer};

fn main() -> Result<()> {
    let event_loop = Loop::new()?;
    let timer = Timer::new(&event_loop);
    let period = Duration::from_millis(20);
    let mut ticks = 0;
    timer.start(period, period, move |timer: &Timer| {
        ticks += 1;
        println!("tick {ticks} at {:?}", timer.loop_handle().now());
        if ticks == 3 {
            timer.close();
        }
    })?;
    event_loop.run(RunMode::Default)?;
    event_loop.close()
}
