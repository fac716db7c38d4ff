//! The agent: which connection a request gets, and what becomes of connections behind their responses. Mirrors `http.Agent`.
//!
//! A [`Client`](crate::client::Client) has an agent of its own, or shares one with other clients. The agent keeps connections
//! behind their responses and gives them to later requests of the same origin, within limits:
//!
//! ```
//! use http::agent::{Agent, AgentOptions, Scheduling};
//! use http::async_wrap::Environment;
//! use http::client::Client;
//! use std::time::Duration;
//!
//! let env = Environment::with_new_loop()?;
//! let options = AgentOptions::default()
//!     .max_per_origin(32)
//!     .max_total(1000)
//!     .max_waiting(10_000)
//!     .scheduling(Scheduling::LeastUsed)
//!     .max_age(Duration::from_secs(300));
//! let agent = Agent::new(&env, options)?;
//! let client = Client::with_agent(&agent);
//! # let _ = client;
//! for (origin, counters) in agent.origins() {
//!     println!("{origin}: {} idle, {} reused", counters.idle, counters.reused);
//! }
//! agent.close();
//! # Ok::<(), http::Error>(())
//! ```
//!
//! # Theory of operation
//!
//! ```text
//!  Client ──▶ Exchange ──begin──▶ Core ──what happened──▶ Pool
//!                                  │  ◀──what to do────────┘
//!                Connection ◀──────┘ open, assign, close
//! ```
//!
//! - `pool/` decides. It has no sockets and no clock: numbers and times in, decisions out
//! - `core.rs` carries the decisions out, on the client's connections
//! - `retry.rs` decides whether a request that has lost its connection is sent once more
//! - `expiry.rs` has the one timer of all idle connections
//! - `origin.rs` is what requests have to have in common to share connections
//!
//! An idle connection has no buffer and no timer, and does not keep the loop alive. Its socket is read: an end, a failure or bytes
//! that no request has asked for close it within the turn that sees them. What the loop has not seen yet is asked of the kernel
//! before a request is written, so that no request is sent on a connection that is known to be dead; the request then gets a new
//! one. What dies behind that look costs an idempotent request its first attempt, and no more.
//!
//! Names are looked up for each new connection. An address that a name no longer has is used until its connections are closed:
//! [`AgentOptions::max_age`] bounds that.

mod core;
mod expiry;
mod options;
mod origin;
mod pool;
mod retry;

pub use options::AgentOptions;
pub use pool::{Counters, Scheduling};

pub(crate) use self::core::Core;
pub(crate) use origin::Origin;
pub(crate) use pool::Keep;

use crate::Result;
use crate::client::Error;
use async_wrap::Environment;
use std::fmt;
use std::rc::Rc;

/// The connections of one or more clients. A cheap clone: see the [module](self).
///
/// When the last handle and the last client are dropped, idle connections are closed, and requests that were begun go on.
#[derive(Clone)]
pub struct Agent(Rc<Owner>);

/// What the program's handles share.
struct Owner(Rc<Core>);

/// Why a request has lost its connection.
#[derive(Clone, Debug)]
pub(crate) enum Loss {
    /// The connection was used before, and was found dead before a byte of the request was written.
    Stale,
    /// Not a byte of a response has come.
    Unanswered(Error),
}

impl Agent {
    /// An agent without connections.
    ///
    /// # Errors
    /// `InvalidOptions` if `max_per_origin`, `max_total`, `idle_timeout` or `limits.max_header_size` is zero, or if `max_age`,
    /// `max_requests` or `keep_alive_probes` is set to zero.
    pub fn new(env: &Environment, options: AgentOptions) -> Result<Self> {
        options.check()?;
        Ok(Self(Rc::new(Owner(Rc::new(Core::new(env, options))))))
    }

    /// The connections and requests of all origins together, now and so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core().counters()
    }

    /// The same for each origin: those that have connections or requests, and up to 256 that had. An origin is named as in
    /// `http://example.org:80`, with what else tells its connections apart behind that.
    #[must_use]
    pub fn origins(&self) -> Vec<(String, Counters)> {
        self.core().origins()
    }

    /// Takes no further request, and closes idle connections. Requests that were begun go on, also those that wait for a
    /// connection; each connection is closed when no request needs it. Idempotent.
    ///
    /// A further request fails with [`ErrorKind::AgentClosed`](crate::client::ErrorKind::AgentClosed).
    pub fn close(&self) {
        self.core().close();
    }

    /// Closes all connections at once. Every request fails with
    /// [`ErrorKind::AgentClosed`](crate::client::ErrorKind::AgentClosed), of which its handler is told from the loop. Idempotent.
    /// Sockets that have left HTTP are the program's.
    pub fn destroy(&self) {
        self.core().destroy();
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.0.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.shut();
        self.0.shared.abandon();
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("counters", &self.counters()).finish_non_exhaustive()
    }
}
