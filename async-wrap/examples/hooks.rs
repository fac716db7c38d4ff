//! An async hook that shows which resource caused which, and when their callbacks are called.
//!
//! `cargo run -p upcall-async-wrap --example hooks`

use async_wrap::uv_core::Result;
use async_wrap::{AsyncHook, AsyncId, Environment, Provider};
use std::time::Duration;

/// Prints every event, indented by the depth of nested callbacks.
#[derive(Default)]
struct Printer {
    depth: usize,
}

impl AsyncHook for Printer {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        println!("{:depth$}{provider} {id} was made; trigger: {trigger}", "", depth = self.depth);
    }

    fn on_before(&mut self, id: AsyncId) {
        println!("{:depth$}before {id}", "", depth = self.depth);
        self.depth += 2;
    }

    fn on_after(&mut self, id: AsyncId) {
        self.depth -= 2;
        println!("{:depth$}after {id}", "", depth = self.depth);
    }

    fn on_destroy(&mut self, id: AsyncId) {
        println!("{:depth$}destroyed {id}", "", depth = self.depth);
    }
}

fn main() -> Result<()> {
    let env = Environment::with_new_loop()?;
    env.hook(Printer::default()).enable();

    let later = env.clone();
    env.set_timeout(Duration::from_millis(1), move || {
        later.next_tick(|| println!("    a tick, after the callback that queued it"));
        later.set_immediate(|| println!("    an immediate"));
        println!("    a timeout");
    });
    env.run_to_end()?;
    Ok(())
}
