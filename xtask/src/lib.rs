//! The project's commands, as a library so that tests can run what `cargo xtask serve` runs.

#![forbid(unsafe_code)]

pub mod app;
pub mod args;
pub mod build;
pub mod chain;
pub mod ci;
pub mod fuzz;
pub mod limit;
pub mod pomelo;
pub mod say;
pub mod serve;
pub mod sources;
pub mod trace;
