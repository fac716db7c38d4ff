//! The loop of `uv-core` by itself: phases, timers, threads, children, and streams with both ends in one loop.

pub(crate) mod datagrams;
pub(crate) mod pairs;
pub(crate) mod phases;
pub(crate) mod pound;
pub(crate) mod processes;
pub(crate) mod pummel;
pub(crate) mod threads;
pub(crate) mod timers;
