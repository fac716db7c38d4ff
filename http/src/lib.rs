//! An HTTP/1.1 server on `net`: Node's `connectionListener`, with the rules of RFC 9110 and RFC 9112.
//!
//! [`Server`] takes requests to a [`RequestHandler`](upcall::RequestHandler), which may be a closure. A
//! [`Response`] is finished there and then, or later from wherever it was carried to. Bodies stream both ways and are
//! never held whole. The protocol itself, without sockets and clocks, is in [`proto`].
//!
//! ```
//! use http::async_wrap::{Environment, Loop, RunMode};
//! use http::net::ListenOptions;
//! use http::{Server, ServerOptions};
//!
//! let event_loop = Loop::new()?;
//! let env = Environment::new(&event_loop);
//! let server = Server::new(&env, ServerOptions::default())?;
//! let address = "127.0.0.1:0".parse().expect("an address");
//! server.listen_with(ListenOptions::addr(address), |request, response| {
//!     // An error means that the client is gone.
//!     let _ = match request.path() {
//!         "/" => response.end(b"hello"),
//!         _ => response.set_status(404).and_then(|response| response.end(b"")),
//!     };
//! })?;
//! # server.close()?;
//! env.run(RunMode::Default)?;
//! # Ok::<(), http::Error>(())
//! ```
//!
//! The layers beneath are exported as modules, so that a program depends on this crate alone: [`net`] for addresses and
//! sockets, [`async_wrap`] for the environment and its timers, [`uv_core`] for the loop, signals and processes.
//!
//! With the feature `trace` the layer says to `log`, at level trace, under the target `http`, which handlers it calls,
//! in the context of which request, and how responses are written: see [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

mod body;
mod connection;
pub mod differences;
mod error;
pub mod proto;
mod request;
mod response;
mod server;
mod trace;
pub mod upcall;

pub use async_wrap::uv_core;
pub use body::Body;
pub use error::{Error, Result};
pub use request::Request;
pub use response::Response;
pub use server::{Server, ServerOptions};
pub use {async_wrap, net};
