//! The commands of the program `upcall`, as a library so that tests and benchmarks can run what `upcall serve` runs.

#![forbid(unsafe_code)]

pub mod args;
pub mod chain;
pub mod limit;
pub mod pomelo;
pub mod proxy;
pub mod say;
pub mod serve;
mod service;
mod signals;
pub mod sources;
pub mod trace;

pub use ::app;
