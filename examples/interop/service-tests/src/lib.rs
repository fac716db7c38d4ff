//! Starts the service and its twin, and speaks HTTP to them over plain sockets.

mod client;
mod running;

pub use client::{Answer, Client};
pub use running::{Folder, Running, SERVICES};
