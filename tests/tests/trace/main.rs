//! `cargo xtask trace`, `cargo xtask chain` and `/chain` of `serve`: what people see of the chain.

mod browser;
mod page;
mod printed;
mod program;
mod recorded;
mod sites;
