//! What a proxy is told: its upstreams, and what it says and believes.

use super::upstreams::Health;
use crate::client::{TimeLimits, Url, UrlError};
use crate::proto::{OutgoingRequest, setters};
use crate::{AgentOptions, Error, Result};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Upstreams of one proxy. More are a list that should be a service's.
pub const MAX_UPSTREAMS: usize = 64;

/// The default limits of connecting, and of the wait for a response: those of nginx for the latter.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// The options of a proxy.
///
/// ```
/// use http::proxy::ProxyOptions;
/// use std::time::Duration;
///
/// let options = ProxyOptions::default().trust_clients(true).pause(Duration::from_secs(1));
/// assert!(options.pass_host);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProxyOptions {
    /// Whether what clients say in `Forwarded`, `X-Forwarded-*` and `X-Real-IP` is passed on, with this hop added. Default:
    /// `false`: it is removed, since every client can say it. For a proxy that only other proxies can reach.
    pub trust_clients: bool,
    /// Whether an upstream gets the `Host` that the client has sent. Default: `true`. Else it gets its own, and finds the client's
    /// in `X-Forwarded-Host`.
    pub pass_host: bool,
    /// The name in `Via`, by which a request that comes again is recognised. Default: a random one, so that two proxies are never
    /// taken for one.
    pub name: Option<String>,
    /// Failures in a row after which an upstream is left out. Default: 1.
    pub max_failures: u32,
    /// How long an upstream is left out before a request tries it again. Default: 10 s.
    pub pause: Duration,
    /// Bytes of a request's body that are kept until the response begins, so that the request can be sent to another upstream.
    /// Default: 16 KiB. Zero keeps none.
    pub max_replay: usize,
    /// The limits of time of a request to an upstream. Default: 5 s to connect, 60 s until the head of the response, and
    /// otherwise those of [`TimeLimits`].
    pub time_limits: TimeLimits,
    /// The options of the connections to upstreams. Default: those of [`AgentOptions`].
    pub agent: AgentOptions,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            trust_clients: false,
            pass_host: true,
            name: None,
            max_failures: 1,
            pause: Duration::from_secs(10),
            max_replay: 16 * 1024,
            time_limits: TimeLimits::default().connect(CONNECT_LIMIT).head(HEAD_LIMIT),
            agent: AgentOptions::default(),
        }
    }
}

setters! {
    ProxyOptions:
    trust_clients: bool,
    pass_host: bool,
    name: Option<String>,
    max_failures: u32,
    pause: Duration,
    max_replay: usize,
    time_limits: TimeLimits,
    agent: AgentOptions,
}

impl ProxyOptions {
    pub(super) fn check(&self, upstreams: usize) -> Result<()> {
        let is_token = |name: &String| OutgoingRequest::new(name, "/").is_ok();
        let fault = if upstreams == 0 {
            "a proxy has no upstream"
        } else if upstreams > MAX_UPSTREAMS {
            "a proxy has more than 64 upstreams"
        } else if self.max_failures == 0 {
            "max_failures is zero: an upstream would be left out before it has failed"
        } else if self.name.as_ref().is_some_and(|name| !is_token(name)) {
            "the name of a proxy is not a token"
        } else {
            return Ok(());
        };
        Err(Error::InvalidOptions(fault))
    }

    pub(super) fn health(&self) -> Health {
        Health { max_failures: self.max_failures, pause: self.pause }
    }
}

/// A server that a proxy passes requests on to.
///
/// ```
/// use http::proxy::Upstream;
///
/// let upstream: Upstream = "http://127.0.0.1:9000".parse()?;
/// assert_eq!((upstream.host(), upstream.port()), ("127.0.0.1", 9000));
/// assert!("https://example.org".parse::<Upstream>().is_err());
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What requests are sent to: with the port, and the zone of an address.
    url: String,
    host: String,
    port: u16,
    authority: String,
}

impl Upstream {
    /// The host as it is looked up: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as `Host` has them: without a port that is the default.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL, without a path.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl FromStr for Upstream {
    type Err = Error;

    /// # Errors
    /// `InvalidOptions`, for what is not `http://` with a host and perhaps a port.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what| Err(Error::InvalidOptions(what));
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(UrlError::NotAbsolute) => return wrong("not a URL, such as http://127.0.0.1:9000"),
            Err(UrlError::Tls) => return wrong("https is not supported: there is no TLS yet"),
            Err(UrlError::UnsupportedScheme) => return wrong("the scheme is not http"),
            Err(UrlError::NoHost) => return wrong("there is no host"),
            Err(UrlError::InvalidPort) => return wrong("the port is not a number from 1 to 65535"),
            Err(_) => return wrong("the host is neither a name in ASCII nor an address"),
        };
        let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
        let authority = after_scheme.strip_suffix('/').unwrap_or(after_scheme);
        if url.user_info.is_some() {
            return wrong("a user is not supported: requests keep their own Authorization");
        }
        if authority.contains(['/', '?', '#']) {
            return wrong("a path is not supported: requests keep their own");
        }
        let mut authority = String::new();
        url.put_host(&mut authority);
        authority.make_ascii_lowercase();
        let host = url.host.to_ascii_lowercase();
        let url_host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        Ok(Self { url: format!("http://{url_host}:{}", url.port), host, port: url.port, authority })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}
