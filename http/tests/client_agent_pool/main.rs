//! The decisions of an agent, without sockets: each sentence about limits, order and age, and a plain model. The pool is
//! private to the crate, and depends on nothing of it, so its files are compiled into this test.

mod decisions;
mod model;
#[path = "../../src/agent/pool/mod.rs"]
#[expect(dead_code, unreachable_pub, reason = "the crate uses all of it, and shows some to its users")]
mod pool;
#[path = "../../../tests/shared/seeds.rs"]
mod seeds;

use pool::{Bounds, Scheduling};
use std::time::Duration;

/// Bounds that no test reaches unless it changes them.
fn unbounded() -> Bounds {
    Bounds {
        scheduling: Scheduling::Lifo,
        max_per_origin: usize::MAX,
        max_total: usize::MAX,
        max_idle_per_origin: 256,
        max_waiting: usize::MAX,
        idle_timeout: Duration::from_secs(5),
        hint_margin: Duration::from_secs(1),
        max_age: None,
        max_requests: None,
    }
}
