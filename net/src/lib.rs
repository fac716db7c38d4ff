#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The module [`upcall`] has the handlers of servers and sockets, [`udp`] has sockets of datagrams, [`names`] how host names
//! are looked up, [`admission`] decides which connections a server takes, [`abort`] ends connects and servers, [`source`]
//! has the trait through which a cluster's workers listen, and [`differences`] the differences from Node. [`futures`] has sockets
//! to await, and [`process`] child processes.
//!
//! # Tracing
//!
//! With the feature `trace` the layer logs through the crate `log`, at level trace, with the target `net`: the events
//! of servers and sockets and the calls to sockets, with the async ids of the socket. See [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

pub mod abort;
mod acceptor;
mod address;
pub mod admission;
mod connect;
pub mod differences;
mod error;
pub mod futures;
mod held;
mod linger;
mod listen;
mod listening;
pub mod names;
mod options;
pub mod process;
mod query;
mod reading;
mod send_file;
mod server;
mod socket;
pub mod source;
mod state;
mod timeout;
mod tower;
pub mod udp;
pub mod upcall;

pub use address::Address;
pub use async_wrap::{self, uv_core};
pub use connect::{ConnectOptions, ConnectTarget};
pub use error::{Error, ErrorCode, ListenPhase, Result};
pub use linger::Linger;
pub use listen::ListenOptions;
pub use options::ServerOptions;
pub use reading::Pulled;
pub use server::{Dropped, Server};
pub use socket::Socket;
pub use state::ReadyState;

/// The target of this layer's log records: see [`async_wrap::layer::trace`].
pub(crate) const LAYER: async_wrap::layer::trace::Layer = async_wrap::layer::trace::Layer::new("net");
