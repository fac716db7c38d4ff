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
//! # Where it differs from Node
//!
//! Where an RFC demands something else, the RFC wins; the files of [`proto`] say where. Beyond that:
//!
//! - `100 Continue` is sent once the handler has returned without an answer, so that one that refuses a request spares
//!   the client its body; another expectation is answered with 417, without a handler of its own;
//! - answers due are sent before the answer to a broken request that follows them, before a close, and, if they come
//!   within 3 s, to a client that has ended its side (Node cuts them off); see
//!   [`ServerOptions::allow_half_open`];
//! - a reset is told at once, also while a body is paused, and so is that the client has ended behind one
//!   ([`ResponseHandler::on_client_end`](upcall::ResponseHandler::on_client_end)), where Node says nothing before it
//!   reads on;
//! - a broken request is always answered by the server: `on_client_error` is told of it, and not of timeouts;
//! - requests that follow `Connection: close`, or the last that `max_requests_per_socket` allows, are ignored (Node
//!   answers 503), and so is an `Upgrade` that nobody accepts; a `CONNECT` is then answered with 501;
//! - an `Upgrade` is offered to the handler only if no earlier request waits for its answer;
//! - no more than 64 requests of a connection wait for their answers; the rest stays undecoded;
//! - an answer may be followed by the rest of its request's body, which goes to its handler if it has one, as in Node;
//!   but an answer that says close cuts it;
//! - after an end of its own the server reads on for two seconds, so that no reset destroys the answer;
//! - a response dropped without an end becomes a 500, or ends the connection if it has begun;
//! - a connection is idle from when its client has the whole answer, not from when the answer was written;
//! - a client that fetches nothing of its answer for as long as a request may take (`request_timeout`) is cut off;
//! - limits and timeouts are looked at once a second, where Node looks every thirty; there is no timeout of the socket's
//!   own (`server.timeout`) beside them;
//! - [`Server::shutdown`] ends in an orderly way, which [`Server::close`] as in Node does not.
//!
//! With the feature `trace` the layer says to `log`, at level trace, under the target `http`, which handlers it calls,
//! in the context of which request, and how responses are written: see [`async_wrap::layer::trace`].

#![forbid(unsafe_code)]

mod body;
mod connection;
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
