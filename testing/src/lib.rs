#![doc = include_str!("../README.md")]
#![cfg(upcall_faults)]
#![forbid(unsafe_code)]

mod awaiting;
mod check;
mod children;
mod explore;
mod failure;
mod minimal;
mod names;
mod panics;
mod peer;
mod recording;
mod seeds;
mod world;

pub use children::Child;
pub use explore::{Explorer, Outcome, explore};
pub use failure::Failure;
pub use peer::Peer;
pub use uv_core::faults::{Fault, Kind};
pub use world::World;
