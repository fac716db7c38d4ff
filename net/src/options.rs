//! A server's options, with Node's defaults except for `accept_batch`. Mirrors the options of `net.createServer`.

use crate::admission::BlockList;
use crate::{Error, ErrorCode, Result};
use std::time::Duration;

/// The default high-water mark of a socket in bytes: Node's number.
pub(crate) const HIGH_WATER_MARK: usize = 64 * 1024;

/// The default number of connections accepted in one loop iteration. libuv accepts one, which is fair to other
/// processes that share the socket; a larger number saves polls.
const ACCEPT_BATCH: u32 = 16;

/// The default length of the IPv6 networks that count as one address: that of a local network (RFC 4291, section 2.5.4).
const IPV6_PREFIX: u8 = 64;

/// The options of a server and of its connections.
///
/// ```
/// use net::ServerOptions;
///
/// let options = ServerOptions::default().no_delay(true).max_connections(Some(1000));
/// assert_eq!(options.high_water_mark, 64 * 1024);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Keep this side open when the peer has sent its FIN; otherwise this side ends as well. Default: `false`.
    pub allow_half_open: bool,
    /// Start connections paused: nothing is read before `resume`. Default: `false`.
    pub pause_on_connect: bool,
    /// Set `TCP_NODELAY`, so that small segments are sent without delay. Default: `false`.
    pub no_delay: bool,
    /// The idle time, in whole seconds, before the kernel's first keepalive probe. Default: `None`, no probes. A time
    /// below a second counts as a second; zero is invalid.
    pub keep_alive: Option<Duration>,
    /// `write` returns `false` once this many bytes are queued, at least 1. Default: 64 KiB.
    pub high_water_mark: usize,
    /// Connections above this number are accepted, closed and reported by `on_drop`. Default: `None`, no limit.
    pub max_connections: Option<usize>,
    /// Connections from these addresses are closed and reported by `on_drop`. Default: `None`.
    pub block_list: Option<BlockList>,
    /// Connections above this number from one address are closed and reported by `on_drop`; in a cluster each worker counts
    /// its own. Unix sockets have no limit. Default: `None`, no limit.
    pub max_connections_per_address: Option<usize>,
    /// The bits of an IPv6 address that count for `max_connections_per_address`, at most 128: a host may use all addresses
    /// of its network. Default: 64.
    pub ipv6_prefix: u8,
    /// In a cluster worker: drop connections above the limit instead of returning them to the primary. Default:
    /// `false`.
    pub drop_max_connection: bool,
    /// Connections accepted in one loop iteration, at least 1. Default: 16.
    pub accept_batch: u32,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            allow_half_open: false,
            pause_on_connect: false,
            no_delay: false,
            keep_alive: None,
            high_water_mark: HIGH_WATER_MARK,
            max_connections: None,
            block_list: None,
            max_connections_per_address: None,
            ipv6_prefix: IPV6_PREFIX,
            drop_max_connection: false,
            accept_batch: ACCEPT_BATCH,
        }
    }
}

impl ServerOptions {
    /// Sets [`allow_half_open`](Self#structfield.allow_half_open).
    #[must_use]
    pub fn allow_half_open(self, allow_half_open: bool) -> Self {
        Self { allow_half_open, ..self }
    }

    /// Sets [`pause_on_connect`](Self#structfield.pause_on_connect).
    #[must_use]
    pub fn pause_on_connect(self, pause_on_connect: bool) -> Self {
        Self { pause_on_connect, ..self }
    }

    /// Sets [`no_delay`](Self#structfield.no_delay).
    #[must_use]
    pub fn no_delay(self, no_delay: bool) -> Self {
        Self { no_delay, ..self }
    }

    /// Sets [`keep_alive`](Self#structfield.keep_alive).
    #[must_use]
    pub fn keep_alive(self, keep_alive: impl Into<Option<Duration>>) -> Self {
        Self { keep_alive: keep_alive.into(), ..self }
    }

    /// Sets [`high_water_mark`](Self#structfield.high_water_mark).
    #[must_use]
    pub fn high_water_mark(self, high_water_mark: usize) -> Self {
        Self { high_water_mark, ..self }
    }

    /// Sets [`max_connections`](Self#structfield.max_connections).
    #[must_use]
    pub fn max_connections(self, max_connections: impl Into<Option<usize>>) -> Self {
        Self { max_connections: max_connections.into(), ..self }
    }

    /// Sets [`block_list`](Self#structfield.block_list).
    #[must_use]
    pub fn block_list(self, list: &BlockList) -> Self {
        Self { block_list: Some(list.clone()), ..self }
    }

    /// Sets [`max_connections_per_address`](Self#structfield.max_connections_per_address).
    #[must_use]
    pub fn max_connections_per_address(self, max_connections_per_address: impl Into<Option<usize>>) -> Self {
        Self { max_connections_per_address: max_connections_per_address.into(), ..self }
    }

    /// Sets [`ipv6_prefix`](Self#structfield.ipv6_prefix).
    #[must_use]
    pub fn ipv6_prefix(self, ipv6_prefix: u8) -> Self {
        Self { ipv6_prefix, ..self }
    }

    /// Sets [`drop_max_connection`](Self#structfield.drop_max_connection).
    #[must_use]
    pub fn drop_max_connection(self, drop_max_connection: bool) -> Self {
        Self { drop_max_connection, ..self }
    }

    /// Sets [`accept_batch`](Self#structfield.accept_batch).
    #[must_use]
    pub fn accept_batch(self, accept_batch: u32) -> Self {
        Self { accept_batch, ..self }
    }

    /// Checks the values. `listen` does so; a layer above checks its server's options earlier.
    ///
    /// # Errors
    /// `InvalidArgument` if `accept_batch`, `high_water_mark` or the time of `keep_alive` is zero, or `ipv6_prefix` is above
    /// 128.
    pub fn check(&self) -> Result<()> {
        if self.accept_batch == 0 {
            return Err(invalid("accept_batch is zero: the least is 1"));
        }
        if self.ipv6_prefix > 128 {
            return Err(invalid("ipv6_prefix is above 128"));
        }
        check_connection(self.high_water_mark, self.keep_alive)
    }
}

/// Checks the options that a connection has on either side.
pub(crate) fn check_connection(high_water_mark: usize, keep_alive: Option<Duration>) -> Result<()> {
    if high_water_mark == 0 {
        return Err(invalid("high_water_mark is zero: the least is 1"));
    }
    if keep_alive.is_some_and(|idle| idle.is_zero()) {
        return Err(invalid("keep_alive is zero: `None` turns the probes off"));
    }
    Ok(())
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}
