#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! [`upcall`] has the handlers of servers and sockets, [`source`] the seam through which a cluster's workers listen, and
//! [`differences`] what Node does otherwise.
//!
//! # Tracing
//!
//! With the feature `trace` the layer says to `log`, at level trace, under the target `net`, what servers and sockets
//! emit and how sockets are called, with the ids of the socket: see [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

mod address;
mod connect;
pub mod differences;
mod error;
mod held;
mod linger;
mod listen;
mod listening;
mod query;
mod server;
mod socket;
pub mod source;
mod state;
mod timeout;
mod tower;
pub mod upcall;

pub use address::Address;
pub use async_wrap;
pub use connect::{ConnectOptions, ConnectTarget};
pub use error::{Error, ErrorCode, ListenPhase, Result};
pub use linger::Linger;
pub use listen::ListenOptions;
pub use server::{Dropped, Server, ServerOptions};
pub use socket::{ReadyState, Socket};

/// The source of this layer's records: see [`async_wrap::layer::trace`].
pub(crate) const LAYER: async_wrap::layer::trace::Layer = async_wrap::layer::trace::Layer::new("net");
