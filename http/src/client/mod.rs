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
