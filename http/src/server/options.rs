//! A server's options, with Node's defaults.

use crate::proto::Limits;
use crate::{Error, Result};
use std::time::Duration;

/// The options of a server. Times of zero turn their limit off.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// From a request's first byte (the first request's: from the connection's start) to its last; 300 s at first.
    /// Answered with 408; where no byte of a request came, or only line ends, the connection is closed without an answer,
    /// which its client could take for that to its next request (Node answers 408). If the loop is late, what came in time
    /// is read before anybody is judged.
    /// A client that fetches nothing of an answer for as long is disconnected.
    pub request_timeout: Duration,
    /// The same, to the end of the head; 60 s at first. At most `request_timeout`. Answered with 408.
    pub headers_timeout: Duration,
    /// From the end of a response to the next request; 65 s at first, as in Node's main branch. Told to the client in
    /// whole seconds; a second more passes before the close, so that a client that counts finds the connection open.
    pub keep_alive_timeout: Duration,
    /// How often the timeouts are looked at; 1 s at first, so that they are kept to the second.
    pub checking_interval: Duration,
    /// Requests on one connection, after which it is closed; 0, for no limit, at first. The last answer says so; what
    /// follows it is ignored, as RFC 9112, 9.6 demands (Node answers 503).
    pub max_requests_per_socket: u32,
    /// Wait for the answers that are due when a client has ended its side (`httpAllowHalfOpen`); their handlers hear
    /// `on_client_end`. Off at first, as in Node: such a client counts as gone, and handlers of answers that have not
    /// begun hear `on_close`. Unlike in Node it still gets what comes all the same, as long as it takes what is sent and
    /// then for 3 s.
    pub allow_half_open: bool,
    /// How much of a client's input is held or skipped.
    pub limits: Limits,
    /// The options of the connections beneath. `allow_half_open` is always on and ends are handled here.
    pub net: net::ServerOptions,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(300),
            headers_timeout: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(65),
            checking_interval: Duration::from_secs(1),
            max_requests_per_socket: 0,
            allow_half_open: false,
            limits: Limits::default(),
            net: net::ServerOptions { no_delay: true, ..net::ServerOptions::default() },
        }
    }
}

impl ServerOptions {
    pub(crate) fn check(&self) -> Result<()> {
        let (request, headers) = (self.request_timeout, self.headers_timeout);
        if !request.is_zero() && headers > request {
            return Err(Error::InvalidOptions("headers_timeout is longer than request_timeout"));
        }
        if self.checking_interval.is_zero() {
            return Err(Error::InvalidOptions("checking_interval is zero"));
        }
        Ok(())
    }
}
