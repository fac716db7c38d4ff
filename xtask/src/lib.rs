//! The project's commands, as a library so that tests can run what `cargo xtask serve` runs.

#![forbid(unsafe_code)]

pub mod app;
pub mod args;
pub mod bench;
pub mod chain;
pub mod ci;
pub mod floor;
pub mod load;
mod poller;
pub mod pomelo;
pub mod say;
pub mod serve;
mod sockets;
pub mod sources;
pub mod subjects;
pub mod trace;
