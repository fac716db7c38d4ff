//! `cargo xtask serve` as people use it: a program that is started, asked, told to end, and given wrong words.
//!
//! Everything is done in each of the [ways to serve](site::WAYS): in one process, and with two workers under both
//! policies.

mod client;
mod descriptors;
mod ending;
mod failing;
mod files;
mod idle;
mod node;
mod refusals;
mod routes;
#[path = "../../../uv-core/tests/shim/mod.rs"]
mod shim;
mod site;
mod unread;
mod workers;
