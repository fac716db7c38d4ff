//! An agent's options, with Node's defaults where Node has the option.

use super::pool::{Bounds, Scheduling};
use crate::proto::{Limits, setters};
use crate::{Error, Result};
use net::names::Resolver;
use net::{ConnectOptions, ConnectTarget};
use std::time::Duration;

/// The options of an [`Agent`](super::Agent).
///
/// ```
/// use http::agent::{AgentOptions, Scheduling};
/// use std::time::Duration;
///
/// let options = AgentOptions::default()
///     .max_per_origin(32)
///     .max_waiting(1000)
///     .scheduling(Scheduling::LeastUsed)
///     .max_age(Duration::from_secs(60));
/// assert_eq!(options.idle_timeout, Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentOptions {
    /// Whether connections are used again (`keepAlive`). Default: `true`, as Node's global agent. With `false` every request
    /// says `Connection: close`.
    pub keep_alive: bool,
    /// How long a connection may be idle (`timeout` of Node's global agent). Default: 5 s.
    ///
    /// A server's `Keep-Alive: timeout=N` replaces it, up to 600 s.
    pub idle_timeout: Duration,
    /// By how much earlier than such a hint says a connection is closed (`agentKeepAliveTimeoutBuffer`), since a request that
    /// is on its way when the server closes is lost. Default: 1 s. A connection whose hint is not longer is not used again.
    pub hint_margin: Duration,
    /// Which idle connection a request gets. Default: [`Scheduling::Lifo`].
    pub scheduling: Scheduling,
    /// Connections of one origin, whether they connect, are active or idle (`maxSockets`). Default: `usize::MAX`, no limit.
    /// Further requests wait.
    pub max_per_origin: usize,
    /// Connections of all origins together (`maxTotalSockets`). Default: `usize::MAX`, no limit.
    ///
    /// At the limit the idle connection that was used least recently is closed to make room; if none is idle the request waits.
    /// The oldest request is served first whatever its origin: if it has waited for room, the next connection that becomes free
    /// is closed for it, also if younger requests of that connection's origin wait.
    pub max_total: usize,
    /// Idle connections of one origin (`maxFreeSockets`). Default: 256. Beyond it the oldest is closed.
    pub max_idle_per_origin: usize,
    /// Requests of all origins together that wait for a connection. Default: `usize::MAX`, no limit. Beyond it a request fails at
    /// once.
    pub max_waiting: usize,
    /// The age at which a connection is not used again, so that a name is looked up anew from time to time. Default: `None`, no
    /// limit. A request in progress is not disturbed.
    pub max_age: Option<Duration>,
    /// The requests after which a connection is not used again. Default: `None`, no limit.
    pub max_requests: Option<u32>,
    /// Whether an idempotent request that has lost a connection which was used before is sent once more, on a new connection.
    /// Default: `true`.
    ///
    /// A server may close a connection while a request is on its way. So a request is repeated if no byte of a response has come,
    /// its method is idempotent or it has an `Idempotency-Key`, and its body is there still (RFC 9112, 9.3.1). A request on a new
    /// connection is never repeated.
    pub retry: bool,
    /// How much of a server's input is held or skipped.
    pub limits: Limits,
    /// How hosts are looked up. Default: `getaddrinfo(3)`, in the thread pool.
    pub resolver: Resolver,
    /// The idle time before the kernel's first keepalive probe (`keepAliveMsecs`). Default: 1 s. `None` turns probes off.
    pub keep_alive_probes: Option<Duration>,
    /// Whether small segments are sent without delay (`noDelay`). Default: `true`.
    pub no_delay: bool,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            keep_alive: true,
            idle_timeout: Duration::from_secs(5),
            hint_margin: Duration::from_secs(1),
            scheduling: Scheduling::default(),
            max_per_origin: usize::MAX,
            max_total: usize::MAX,
            max_idle_per_origin: 256,
            max_waiting: usize::MAX,
            max_age: None,
            max_requests: None,
            retry: true,
            limits: Limits::default(),
            resolver: Resolver::default(),
            keep_alive_probes: Some(Duration::from_secs(1)),
            no_delay: true,
        }
    }
}

setters! {
    AgentOptions:
    keep_alive: bool,
    idle_timeout: Duration,
    hint_margin: Duration,
    scheduling: Scheduling,
    max_per_origin: usize,
    max_total: usize,
    max_idle_per_origin: usize,
    max_waiting: usize,
    retry: bool,
    limits: Limits,
    resolver: Resolver,
    no_delay: bool,
}

impl AgentOptions {
    /// Sets [`max_age`](Self#structfield.max_age).
    #[must_use]
    pub fn max_age(self, max_age: impl Into<Option<Duration>>) -> Self {
        Self { max_age: max_age.into(), ..self }
    }

    /// Sets [`max_requests`](Self#structfield.max_requests).
    #[must_use]
    pub fn max_requests(self, max_requests: impl Into<Option<u32>>) -> Self {
        Self { max_requests: max_requests.into(), ..self }
    }

    /// Sets [`keep_alive_probes`](Self#structfield.keep_alive_probes).
    #[must_use]
    pub fn keep_alive_probes(self, idle: impl Into<Option<Duration>>) -> Self {
        Self { keep_alive_probes: idle.into(), ..self }
    }

    pub(super) fn check(&self) -> Result<()> {
        let fault = if self.max_per_origin == 0 {
            "max_per_origin is zero: no request would get a connection"
        } else if self.max_total == 0 {
            "max_total is zero: no request would get a connection"
        } else if self.idle_timeout.is_zero() {
            "idle_timeout is zero: `keep_alive(false)` uses no connection again"
        } else if self.max_age == Some(Duration::ZERO) {
            "max_age is zero: `keep_alive(false)` uses no connection again, `None` is no limit"
        } else if self.max_requests == Some(0) {
            "max_requests is zero: a connection serves one request at least, `None` is no limit"
        } else if self.limits.max_header_size == 0 {
            "limits.max_header_size is zero: every response would be refused"
        } else if self.keep_alive_probes == Some(Duration::ZERO) {
            "keep_alive_probes is zero: `None` turns the probes off"
        } else {
            return Ok(());
        };
        Err(Error::InvalidOptions(fault))
    }

    /// The same for a connection to somewhere.
    pub(super) fn of_connection(&self, connect: ConnectOptions) -> ConnectOptions {
        let connect = connect.resolver(self.resolver.clone());
        if matches!(connect.target, ConnectTarget::Path(_)) {
            return connect;
        }
        connect.no_delay(self.no_delay).keep_alive(self.keep_alive_probes)
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            scheduling: self.scheduling,
            max_per_origin: self.max_per_origin,
            max_total: self.max_total,
            max_idle_per_origin: self.max_idle_per_origin,
            max_waiting: self.max_waiting,
            idle_timeout: self.idle_timeout,
            hint_margin: self.hint_margin,
            max_age: self.max_age,
            max_requests: self.max_requests,
        }
    }
}
