//! All tests of `server` once more, with the fast path switched off: no client can tell.

#[path = "../server/main.rs"]
mod server;

use server::{harness, seeds};
