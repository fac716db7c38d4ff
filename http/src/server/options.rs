//! A server's options, with Node's defaults.

#[cfg(feature = "codings")]
use crate::codings::Codings;
use crate::proto::{Limits, setters};
use crate::{Error, Result};
use std::time::Duration;

/// The default of `headers_timeout`, which gives way to a shorter `request_timeout`.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(60);

/// The options of a server. Zero turns a timeout off.
///
/// ```
/// use http::ServerOptions;
/// use http::proto::Limits;
/// use std::time::Duration;
///
/// let options = ServerOptions::default()
///     .keep_alive_timeout(Duration::from_secs(10))
///     .limits(Limits::default().max_header_size(8 * 1024));
/// assert_eq!(options.request_timeout, Duration::from_secs(300));
///
/// // The options of the sockets begin with the defaults of this layer.
/// let net = ServerOptions::default().net.max_connections(10_000).max_connections_per_address(20);
/// let options = options.net(net);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The time from a request's first byte (of a first request, from the connection's start) to its last. Default: 300 s.
    ///
    /// The response to a late request is 408. Where no byte of a request came, or only line ends, the connection is closed
    /// without a response, which its client could take for the one to its next request (Node sends 408). If the loop is
    /// late, input that came in time is read before a client is judged. A client that receives nothing of a response for
    /// this time is disconnected.
    pub request_timeout: Duration,
    /// The time from a request's first byte to the end of its head, at most `request_timeout`. Default: 60 s, or
    /// `request_timeout` if that is shorter, as in Node. The response to a late request is 408.
    pub headers_timeout: Duration,
    /// The time from the end of a response to the next request. Default: 65 s, as in Node's main branch.
    ///
    /// Clients are told in whole seconds; a second more passes before the close, so that a client that counts finds the
    /// connection open.
    pub keep_alive_timeout: Duration,
    /// How long nothing may be received on a connection and nothing of a response be fetched, whatever it waits for: a handler,
    /// too (`server.timeout`). Default: 0, as in Node, since the other timeouts limit what clients can do.
    ///
    /// [`RequestHandler::accepts_silence`](crate::upcall::RequestHandler::accepts_silence) may keep such a connection. What has
    /// left HTTP is its handler's affair.
    pub timeout: Duration,
    /// The interval at which the timeouts are checked. Default: 1 s, so that they are accurate to the second.
    pub checking_interval: Duration,
    /// The number of requests after which a connection is closed, or 0 for no limit. Default: 0.
    ///
    /// The last response says `Connection: close`; requests behind it are ignored, as RFC 9112, 9.6 demands (Node sends
    /// 503).
    pub max_requests_per_socket: u32,
    /// Requests whose responses are due at most, in all connections together, or 0 for no limit. Default: 0.
    ///
    /// The response to one more is 503 with `Retry-After`, without a call of its handler. Those that are served go on, and all
    /// connections stay; `Server::shed_requests` counts what was refused. A client that sends its body slowly has a request in
    /// flight, too, for `request_timeout` at most: limits for addresses (`net`) belong beside this one.
    /// [`RequestHandler::accepts_overload`](crate::upcall::RequestHandler::accepts_overload) may let requests in all the same.
    pub max_requests_in_flight: usize,
    /// For how long the loop may be busy before it looks for events again, or 0 for any time. Default: 0.
    ///
    /// Requests that are read when the loop's last turn took longer, or this one does, get 503, as with
    /// `max_requests_in_flight`: a loop that is late with everything is late with fewer things then. It should be several times as
    /// long as the longest callback of the program. The [measurements](crate::uv_core::metrics) cost two readings of the clock for each
    /// wait, and one for each request, which is then not served on the fast path.
    pub max_loop_lag: Duration,
    /// When a client that got 503 may ask again, in whole seconds. Default: 1 s.
    pub retry_after: Duration,
    /// Whether a client that has ended its side gets the responses that are due (`httpAllowHalfOpen`). Default: `false`, as
    /// in Node.
    ///
    /// With `false` such a client counts as closed: handlers of responses that have not begun get `on_close`. Unlike in Node
    /// it still gets what is written within 3 s, as long as it reads. With `true` the handlers get `on_client_end`.
    pub allow_half_open: bool,
    /// Which responses are coded, and how. Default: `None`. Each request is then served on the slow path.
    #[cfg(feature = "codings")]
    pub codings: Option<Codings>,
    /// How much of a client's input is held or skipped.
    pub limits: Limits,
    /// Whether every request is served on the slow path, for tests. Default: `false`. Nothing differs but the cost.
    #[doc(hidden)]
    pub slow_path_only: bool,
    /// The options of the sockets and the limits for connections, with `no_delay` by default: change these, instead of those
    /// of [`net::ServerOptions::default`], which are without. `allow_half_open` has no effect there.
    pub net: net::ServerOptions,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(300),
            headers_timeout: HEADERS_TIMEOUT,
            keep_alive_timeout: Duration::from_secs(65),
            timeout: Duration::ZERO,
            checking_interval: Duration::from_secs(1),
            max_requests_per_socket: 0,
            max_requests_in_flight: 0,
            max_loop_lag: Duration::ZERO,
            retry_after: Duration::from_secs(1),
            allow_half_open: false,
            #[cfg(feature = "codings")]
            codings: None,
            limits: Limits::default(),
            slow_path_only: false,
            net: net::ServerOptions::default().no_delay(true),
        }
    }
}

setters! {
    ServerOptions:
    request_timeout: Duration,
    headers_timeout: Duration,
    keep_alive_timeout: Duration,
    timeout: Duration,
    checking_interval: Duration,
    max_requests_per_socket: u32,
    max_requests_in_flight: usize,
    max_loop_lag: Duration,
    retry_after: Duration,
    allow_half_open: bool,
    #[cfg(feature = "codings")]
    codings: Option<Codings>,
    limits: Limits,
    #[doc(hidden)]
    slow_path_only: bool,
    net: net::ServerOptions,
}

impl ServerOptions {
    pub(super) fn check(&self) -> Result<()> {
        self.net.check()?;
        let Self { request_timeout, headers_timeout, checking_interval, limits, .. } = self;
        // The default needs no lowering: `request_timeout` bounds the head as well.
        let is_longer = headers_timeout > request_timeout && *headers_timeout != HEADERS_TIMEOUT;
        let fault = if is_longer && !request_timeout.is_zero() {
            "headers_timeout is longer than request_timeout"
        } else if checking_interval.is_zero() {
            "checking_interval is zero: the timeouts would be checked without pause"
        } else if limits.max_header_size == 0 {
            "limits.max_header_size is zero: every request would be refused"
        } else if limits.max_headers == 0 {
            "limits.max_headers is zero: every request with a Host would be refused"
        } else {
            return Ok(());
        };
        Err(Error::InvalidOptions(fault))
    }
}
