//! How long each phase of a request may take. Mirrors the option `timeout`, which in Node has one value for all phases and ends
//! nothing.

use std::fmt;
use std::time::Duration;

/// What a request is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// It waits for a connection, since its agent has reached a limit.
    Queue,
    /// The host of a new connection is looked up.
    Resolve,
    /// The connection is being made.
    Connect,
    /// The request is written.
    Send,
    /// Its head is written, and its body waits for `100 Continue`.
    AwaitContinue,
    /// It is written, and the head of its response has not come.
    Head,
    /// The body of the response is coming.
    Body,
}

impl Phase {
    pub(crate) const COUNT: usize = 7;

    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Queue, Self::Resolve, Self::Connect, Self::Send, Self::AwaitContinue, Self::Head, Self::Body];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for a connection",
            Self::Resolve => "looking the host up",
            Self::Connect => "connecting",
            Self::Send => "sending the request",
            Self::AwaitContinue => "waiting for 100 Continue",
            Self::Head => "waiting for the response",
            Self::Body => "receiving the body",
        })
    }
}

/// The limits of a request's phases. `None` is no limit.
///
/// A limit of ten seconds or more is looked at once a second, for all requests of an agent together; a shorter one has a timer
/// of its own. If the loop is late, input that came in time is read before a request is judged.
///
/// ```
/// use http::client::TimeLimits;
/// use std::time::Duration;
///
/// let limits = TimeLimits::default().connect(Duration::from_secs(2)).whole(Duration::from_secs(30));
/// assert_eq!(limits.head, Some(Duration::from_secs(300)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeLimits {
    /// How long the request waits for a connection. Default: `None`.
    pub queue: Option<Duration>,
    /// How long the look-up of the host takes. Default: 10 s.
    pub resolve: Option<Duration>,
    /// How long connecting takes, for all addresses of the host together. Default: 10 s.
    pub connect: Option<Duration>,
    /// How long the server takes nothing of a request that is being written. Default: 300 s.
    pub send: Option<Duration>,
    /// How long the body waits for `100 Continue`; then it is sent without. Default: 1 s.
    pub await_continue: Option<Duration>,
    /// The time from the end of the request to the head of the response. Default: 300 s.
    pub head: Option<Duration>,
    /// How long nothing comes of the response's body, unless it is paused. Default: 300 s.
    pub between_bytes: Option<Duration>,
    /// The time from the beginning of the request to the end of its response, with all phases and a second attempt. Default:
    /// `None`.
    pub whole: Option<Duration>,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            queue: None,
            resolve: Some(Duration::from_secs(10)),
            connect: Some(Duration::from_secs(10)),
            send: Some(Duration::from_secs(300)),
            await_continue: Some(Duration::from_secs(1)),
            head: Some(Duration::from_secs(300)),
            between_bytes: Some(Duration::from_secs(300)),
            whole: None,
        }
    }
}

macro_rules! limits {
    ($($field:ident,)*) => {
        impl TimeLimits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(self, $field: impl Into<Option<Duration>>) -> Self {
                    Self { $field: $field.into(), ..self }
                }
            )*
        }
    };
}

limits! { queue, resolve, connect, send, await_continue, head, between_bytes, whole, }
