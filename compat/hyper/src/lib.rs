#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod executor;
mod io;
#[cfg(feature = "server")]
mod server;
mod timer;
#[cfg(feature = "tower")]
mod tower;

pub use executor::LoopExecutor;
pub use io::Io;
pub use net;
#[cfg(feature = "server")]
pub use server::http1_server;
pub use timer::{LoopSleep, LoopTimer};
#[cfg(feature = "tower")]
pub use tower::TowerService;
