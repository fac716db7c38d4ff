//! Why a request has failed: what, in which phase, and what the phases before it took. Mirrors the errors that Node's
//! `ClientRequest` emits.

use super::options::Phase;
use super::url::UrlError;
use crate::proto::{EncodeError, ParseError};
use std::time::Duration;
use std::{fmt, io};

/// A request that was not sent, or has no whole response.
///
/// ```
/// use http::client::{Error, ErrorKind, Phase};
///
/// /// Whether the server may not have seen the request at all.
/// fn is_unsent(error: &Error) -> bool {
///     matches!(error.phase(), None | Some(Phase::Queue | Phase::Resolve | Phase::Connect))
///         && error.kind() != ErrorKind::Aborted
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    net: Option<net::Error>,
    /// What another library says of it.
    text: Option<Box<str>>,
    at: Option<At>,
}

/// How far a request was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) phase: Option<Phase>,
    /// What each phase took, and is taking.
    pub(crate) times: [Duration; Phase::COUNT],
    pub(crate) is_reused: bool,
}

/// What has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL is none of HTTP. Nothing was sent.
    InvalidUrl(UrlError),
    /// Method, target, fields or body cannot be sent. If it is the body that is not as long as its `Content-Length`, the
    /// request may have been sent in part.
    InvalidRequest(EncodeError),
    /// Too many requests wait for connections of the agent.
    QueueFull,
    /// The agent is closed.
    AgentClosed,
    /// The host's address was not found, or no connection was made: see [`Error::net`].
    Connect,
    /// The connection was closed or broken before the head of the response had come (`ECONNRESET`, "socket hang up"): see
    /// [`Error::net`] and [`Error::is_reused`].
    ConnectionLost,
    /// The response has ended before its end: after so many bytes of its body, of so many if that is known.
    Truncated {
        /// The length that the response has promised.
        expected: Option<u64>,
        /// What has come.
        received: u64,
    },
    /// The response is no HTTP from this byte on, counted from the first byte that came after the request.
    InvalidResponse(ParseError, u64),
    /// The limit of the phase has passed: see [`Error::phase`].
    Timeout,
    /// The limit of the whole request has passed.
    WholeTimeout,
    /// The program has aborted the request.
    Aborted,
    /// The program has discarded the response, and its rest was too long to be read for the connection's sake.
    Discarded,
    /// The stream that was to be the body has failed, and the request was aborted; or the request has one and is not awaited.
    BodyStream,
    /// The body of the response is longer than the limit of [`ClientResponse::bytes`](super::ClientResponse::bytes), which is this
    /// many bytes.
    BodyTooLong(usize),
    /// The body of the response is no text in UTF-8.
    NotText,
    /// JSON cannot express the value for the body; or the body of the response is no JSON, or not of the type asked for.
    NotJson,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, net: None, text: None, at: None }))
    }

    /// The error of a connection.
    pub(crate) fn of_net(kind: ErrorKind, error: Option<net::Error>) -> Self {
        Self(Box::new(Inner { kind, net: error, text: None, at: None }))
    }

    /// An error with the text of another one.
    pub(crate) fn because(kind: ErrorKind, cause: &dyn fmt::Display) -> Self {
        let text = Some(cause.to_string().into());
        Self(Box::new(Inner { kind, net: None, text, at: None }))
    }

    /// Notes how far the request was.
    pub(crate) fn at(mut self, at: At) -> Self {
        self.0.at.get_or_insert(at);
        self
    }

    /// What has failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The phase in which the request was; `None` if it had not begun.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.at.and_then(|at| at.phase)
    }

    /// What a phase took, both attempts together if there were two.
    #[must_use]
    pub fn elapsed(&self, phase: Phase) -> Duration {
        self.0.at.map_or(Duration::ZERO, |at| at.times[phase as usize])
    }

    /// Whether the connection had served another request before. The server may have closed it when the request was on its
    /// way, and not have seen it.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.0.at.is_some_and(|at| at.is_reused)
    }

    /// The error of the look-up, the connect or the connection, if there is one.
    #[must_use]
    pub fn net(&self) -> Option<&net::Error> {
        self.0.net.as_ref()
    }

    /// Whether a limit of time has passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Timeout | ErrorKind::WholeTimeout)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUrl(error) => error.fmt(f),
            Self::InvalidRequest(error) => write!(f, "the request cannot be sent: {error}"),
            Self::QueueFull => f.write_str("too many requests wait for a connection"),
            Self::AgentClosed => f.write_str("the agent is closed"),
            Self::Connect => f.write_str("no connection was made"),
            Self::ConnectionLost => f.write_str("the connection was lost before a response came"),
            Self::Truncated { expected: Some(expected), received } => {
                write!(f, "the response is cut off after {received} of {expected} bytes")
            }
            Self::Truncated { expected: None, received } => {
                write!(f, "the response is cut off after {received} bytes")
            }
            Self::InvalidResponse(error, offset) => {
                write!(f, "the response is invalid at byte {offset}: {error}")
            }
            Self::Timeout => f.write_str("the request took too long"),
            Self::WholeTimeout => f.write_str("the whole request took too long"),
            Self::Aborted => f.write_str("the request was aborted"),
            Self::Discarded => f.write_str("the response was discarded"),
            Self::BodyStream => f.write_str("the stream for the body has failed"),
            Self::BodyTooLong(limit) => write!(f, "the body of the response is longer than {limit} bytes"),
            Self::NotText => f.write_str("the body of the response is no text"),
            Self::NotJson => f.write_str("the body is no JSON, or not of the type asked for"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, net, text, at } = &*self.0;
        kind.fmt(f)?;
        if let Some(error) = net {
            write!(f, ": {error}")?;
        }
        if let Some(text) = text {
            write!(f, ": {text}")?;
        }
        let Some(At { phase: Some(phase), times, is_reused }) = at else { return Ok(()) };
        write!(f, " ({phase}")?;
        if *is_reused {
            f.write_str(" on a connection that was used before")?;
        }
        let mut between = "; ";
        for (phase, time) in Phase::ALL.iter().zip(times).filter(|(_, time)| !time.is_zero()) {
            write!(f, "{between}{phase} took {time:.1?}")?;
            between = ", ";
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The text of each is a part of this error's.
        self.0.net.as_ref().and_then(std::error::Error::source)
    }
}

impl From<UrlError> for Error {
    fn from(error: UrlError) -> Self {
        Self::new(ErrorKind::InvalidUrl(error))
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::new(ErrorKind::InvalidRequest(error))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidUrl(_) | ErrorKind::InvalidRequest(_) => io::ErrorKind::InvalidInput,
            ErrorKind::QueueFull | ErrorKind::AgentClosed | ErrorKind::Discarded | ErrorKind::BodyStream => {
                io::ErrorKind::Other
            }
            ErrorKind::Connect => match &error.0.net {
                Some(cause) => Self::from(cause.clone()).kind(),
                None => io::ErrorKind::NotConnected,
            },
            ErrorKind::ConnectionLost => io::ErrorKind::ConnectionReset,
            ErrorKind::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            ErrorKind::InvalidResponse(..)
            | ErrorKind::BodyTooLong(_)
            | ErrorKind::NotText
            | ErrorKind::NotJson => io::ErrorKind::InvalidData,
            ErrorKind::Timeout | ErrorKind::WholeTimeout => io::ErrorKind::TimedOut,
            ErrorKind::Aborted => io::ErrorKind::Interrupted,
        };
        Self::new(kind, error)
    }
}
