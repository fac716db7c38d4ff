//! `net.Server` and `net.Socket`: connections with Node's rules for their lives.
//!
//! What this layer adds to `async-wrap`: a server that counts its connections and closes when the last one is gone, a
//! socket with flow control (high-water mark, drain, pause), half-open rules, inactivity timeouts and an orderly end.
//! Mirrors Node's `lib/net.js`.
//!
//! A [`Server`] gets its listening handle from a [`ListenSource`](source::ListenSource): the plain one binds a socket of its own, a cluster
//! worker's asks its primary. That trait is all that this crate knows of clusters.
//!
//! ```
//! use async_wrap::{Environment, Loop, RunMode};
//! use net::upcall::SocketHandler;
//! use net::{ListenOptions, Server, ServerOptions, Socket};
//!
//! struct Echo;
//!
//! impl SocketHandler for Echo {
//!     fn on_data(&mut self, socket: &Socket, data: &[u8]) {
//!         // `false` means that the peer reads too slowly: a pause keeps the memory flat, `on_drain` ends it.
//!         if let Ok(false) = socket.write(data) {
//!             socket.pause();
//!         }
//!     }
//!     fn on_drain(&mut self, socket: &Socket) {
//!         socket.resume();
//!     }
//! }
//!
//! let event_loop = Loop::new()?;
//! let env = Environment::new(&event_loop);
//! let server = Server::new(&env, ServerOptions::default());
//! server.listen(ListenOptions::addr("127.0.0.1:0".parse().expect("an address")), |_: &Server, socket: Socket| {
//!     socket.set_handler(Echo);
//! })?;
//! # server.close()?;
//! env.run(RunMode::Default)?;
//! # Ok::<(), net::Error>(())
//! ```
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
pub use connect::{ConnectOptions, ConnectTarget};
pub use error::{Error, ErrorCode, ListenPhase, Result};
pub use linger::Linger;
pub use listen::ListenOptions;
pub use server::{Dropped, Server, ServerOptions};
pub use socket::{ReadyState, Socket};

/// The source of this layer's records: see [`async_wrap::layer::trace`].
pub(crate) const LAYER: async_wrap::layer::trace::Layer = async_wrap::layer::trace::Layer::new("net");
