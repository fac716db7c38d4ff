//! Ticks, microtasks, timers and futures, in the order in which they run.
//!
//! `cargo run -p upcall-async-wrap --example order`

use async_wrap::Environment;
use async_wrap::uv_core::Result;
use std::time::Duration;

fn main() -> Result<()> {
    let env = Environment::with_new_loop()?;
    env.set_timeout(Duration::ZERO, || println!("4: a timeout, in the loop's timer phase"));
    env.queue_microtask(|| println!("2: a microtask"));
    env.spawn_local(async { println!("3: a future, polled as a microtask") });
    env.next_tick(|| println!("1: a tick, before all microtasks"));
    env.run_to_end()?;
    Ok(())
}
