//! An HTTP/1.1 server on `net`: Node's `connectionListener`, with the rules of RFC 9110 and RFC 9112.
//!
//! [`Server`] takes requests to a [`RequestHandler`](upcall::RequestHandler), which may be a closure. A
//! [`Response`] is finished there and then, or later from wherever it was carried to. Bodies stream both ways and are
//! never held whole. The protocol itself, without sockets and clocks, is in [`proto`].
//!
//! ```
//! use async_wrap::{Environment, Loop, RunMode};
//! use http::{ListenOptions, Request, Response, Server, ServerOptions};
//!
//! let lp = Loop::new()?;
//! let env = Environment::new(&lp);
//! let server = Server::new(&env, ServerOptions::default())?;
//! server.listen(
//!     ListenOptions::addr("127.0.0.1:0".parse().expect("an address")),
//!     |request: &Request<'_>, response: Response| {
//!         let _ = match request.path() {
//!             "/" => response.end(b"hello"),
//!             _ => response.set_status(404).and_then(|response| response.end(b"")),
//!         };
//!     },
//! )?;
//! # server.close()?;
//! env.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
pub mod upcall;

pub use body::Body;
pub use error::{Error, Result};
pub use net::source::ListenSource;
pub use net::{Address, ListenOptions, ListenPhase, Socket};
pub use request::Request;
pub use response::Response;
pub use server::{Server, ServerOptions};

/// The source of this layer's records: see [`async_wrap::layer::trace`].
pub(crate) const LAYER: async_wrap::layer::trace::Layer = async_wrap::layer::trace::Layer::new("http");
