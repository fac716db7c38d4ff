//! The client: requests, and what comes of them. Mirrors `http.request` and `http.ClientRequest`.
//!
//! A [`Client`] makes [`RequestBuilder`]s; [`send`](RequestBuilder::send) hands a request over with the
//! [`ClientHandler`](crate::upcall::ClientHandler) of its response, and returns a [`ClientRequest`], with which the program
//! aborts it. A request whose body the program writes begins with [`begin`](RequestBuilder::begin).
//!
//! ```
//! use http::async_wrap::Environment;
//! use http::client::{Client, ClientRequest, Error};
//! use http::proto::{Fields, IncomingResponse};
//! use http::upcall::ClientHandler;
//! # use http::net::ListenOptions;
//! # use http::{Server, ServerOptions};
//!
//! struct Print;
//!
//! impl ClientHandler for Print {
//!     fn on_response(&mut self, _: &ClientRequest, response: &IncomingResponse<'_>) {
//!         println!("{}", response.status);
//!     }
//!
//!     fn on_data(&mut self, _: &ClientRequest, data: &[u8]) {
//!         println!("{}", String::from_utf8_lossy(data));
//!     }
//!
//!     fn on_error(&mut self, _: &ClientRequest, error: Error) {
//!         panic!("{error}");
//!     }
//! }
//!
//! let env = Environment::with_new_loop()?;
//! # let server = Server::new(&env, ServerOptions::default())?;
//! # let closing = server.clone();
//! # server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), move |_, response| {
//! #     let _ = response.end(b"hello");
//! #     let _ = closing.close();
//! # })?;
//! # let url = format!("http://{}/", server.address().ok_or("it listens")?);
//! # let url = &url;
//! let client = Client::new(&env)?;
//! client.get(url).send(Print)?;
//! env.run_to_end()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same as futures is in [`RequestBuilder`] and [`ClientResponse`], adaptors over the calls of a handler.
//!
//! # Theory of operation
//!
//! ```text
//!  RequestBuilder ──▶ Exchange ──begin──▶ agent ──▶ Connection ──bytes──▶ socket
//!    ClientRequest ──▶   │  ▲                            │  ▲              │
//!    ClientHandler ◀─────┘  └────────── response ────────┘  └────bytes─────┘
//! ```
//!
//! An exchange is a request with its response, and lasts until its end is told. Nothing is written within `send`: the agent decides at
//! once which connection the request gets, and the loop does the rest. The phase that an exchange is in is what its limits of
//! time and its errors name:
//!
//! | phase | until |
//! |---|---|
//! | [`Queue`](Phase::Queue) | the agent has a connection for it, or may make one |
//! | [`Resolve`](Phase::Resolve), [`Connect`](Phase::Connect) | the connection is made; neither is there if it was idle |
//! | [`Send`](Phase::Send) | the kernel has all of the request; an upload that makes progress may last |
//! | [`AwaitContinue`](Phase::AwaitContinue) | `100 Continue`, or the limit, which sends the body |
//! | [`Head`](Phase::Head) | the head of the final response |
//! | [`Body`](Phase::Body) | the end of the response, whatever is still sent of the request |
//!
//! An exchange ends once: by [`on_end`](crate::upcall::ClientHandler::on_end),
//! [`on_upgrade`](crate::upcall::ClientHandler::on_upgrade) or [`on_error`](crate::upcall::ClientHandler::on_error), behind which
//! `on_close` is the last call. What ends it within a call of the program, such as [`ClientRequest::abort`], takes effect at once and
//! is told from the loop.
//!
//! Request and response are independent of each other. A server may answer before it has the whole request, and close: then
//! writing fails, and what has come is read all the same, so that the answer is never lost. Behind a complete response the
//! connection is kept only if the request is written too, or if at most 64 KiB of it are still queued. A request whose connection
//! breaks before a byte of its response is the agent's affair, which may send it once more.
//!
//! - `builder.rs`, `url.rs`, `options.rs`: a request that is being prepared
//! - `exchange.rs`: one request through its phases; `clock.rs` and `limits.rs` have its times, `upload.rs` what it writes,
//!   `place.rs` its handler
//! - `connection/`: one connection, with the table of its stages; `input.rs` and `output.rs` are the two directions
//! - `shared.rs`: what the requests of an agent share: the records, buffers and the table of fields that are used again. So a
//!   request in the steady state allocates nothing, and costs two system calls beside the poll and a look at the socket
//! - `request.rs`, `error.rs`: the handle of a program, and what it is told of a failure
//! - `futures/`: requests that are awaited

mod builder;
mod clock;
mod connection;
mod error;
mod exchange;
mod futures;
mod limits;
mod options;
mod place;
mod request;
mod shared;
mod upload;
mod url;

pub use builder::RequestBuilder;
pub use error::{Error, ErrorKind};
pub use futures::{ClientResponse, ResponseFuture};
pub use options::{Phase, TimeLimits};
pub use request::ClientRequest;
pub use url::UrlError;

pub(crate) use connection::Connection;
pub(crate) use exchange::Exchange;
pub(crate) use shared::Shared;
pub(crate) use url::Url;

use crate::{Agent, AgentOptions, Result};
use async_wrap::Environment;

/// Makes requests, over the connections of an [`Agent`]. A cheap clone.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    limits: TimeLimits,
}

impl Client {
    /// A client with an agent of its own, which has the default options.
    ///
    /// # Errors
    /// As [`Agent::new`], which accepts the default options.
    pub fn new(env: &Environment) -> Result<Self> {
        Ok(Self::with_agent(&Agent::new(env, AgentOptions::default())?))
    }

    /// A client that shares the connections of an agent.
    #[must_use]
    pub fn with_agent(agent: &Agent) -> Self {
        Self { agent: agent.clone(), limits: TimeLimits::default() }
    }

    /// The same client with other limits of time.
    #[must_use]
    pub fn time_limits(self, limits: TimeLimits) -> Self {
        Self { limits, ..self }
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The environment in which requests run.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.agent.core().shared.env
    }

    /// A request of any method. The builder remembers the first error, which [`send`](RequestBuilder::send) returns.
    pub fn request(&self, method: &str, url: impl AsRef<str>) -> RequestBuilder {
        RequestBuilder::new(self, method, url.as_ref())
    }

    /// A `GET` request.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request("GET", url)
    }

    /// A `HEAD` request.
    pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request("HEAD", url)
    }

    /// A `POST` request.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request("POST", url)
    }

    /// A `PUT` request.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request("PUT", url)
    }

    /// A `PATCH` request.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request("PATCH", url)
    }

    /// A `DELETE` request.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request("DELETE", url)
    }
}
