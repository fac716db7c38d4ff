//! The loop of `uv-core` by itself: phases, timers, threads, children.

pub(crate) mod phases;
pub(crate) mod processes;
pub(crate) mod threads;
pub(crate) mod timers;
