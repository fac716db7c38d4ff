#![doc = include_str!("../README.md")]
#![cfg(upcall_faults)]
#![forbid(unsafe_code)]

mod check;
mod children;
mod explore;
mod minimal;
mod peer;
mod recording;
mod world;

pub use children::Child;
pub use explore::{Explorer, Failure, Outcome, explore};
pub use peer::Peer;
pub use uv_core::faults::{Fault, Kind, Plan};
pub use world::World;
