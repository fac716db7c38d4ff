//! Why a call failed, as Node's error codes name it. Errors of the layers beneath are contained, so that `?` carries all of
//! them, from a loop that cannot be made to a response that has ended.

use crate::client;
use crate::proto::EncodeError;
use crate::uv_core;
use std::{fmt, io};

/// The result of a fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call. It has had no effect, unless its documentation names one.
///
/// ```
/// use http::net::ListenOptions;
/// use http::{Server, ServerOptions};
/// use http::async_wrap::Environment;
/// use http::uv_core::Loop;
///
/// fn start(address: &str) -> http::Result<()> {
///     let event_loop = Loop::new()?;
///     let server = Server::new(&Environment::new(&event_loop), ServerOptions::default())?;
///     server.listen_with(ListenOptions::path(address), |_, response| drop(response))?;
///     server.close()
/// }
///
/// let error: std::io::Error = start("/no/such/folder/socket").expect_err("there is no such folder").into();
/// // As in libuv.
/// assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The response has ended, or a client's request, or the connection is closed (`ERR_STREAM_WRITE_AFTER_END`, `ERR_STREAM_DESTROYED`).
    Closed,
    /// The head is sent: neither status nor fields can change (`ERR_HTTP_HEADERS_SENT`).
    HeadersSent,
    /// A status, field, trailer or body that cannot be sent.
    Encode(EncodeError),
    /// A request's body is longer than the limit of [`BodyReader::bytes`](crate::serve::BodyReader::bytes), which is this many bytes.
    BodyTooLong(usize),
    /// A handler refuses a request: its client gets the status and the text. See [`Error::refused`].
    Refused {
        /// The status of the response.
        status: u16,
        /// Its content, as `text/plain`.
        text: String,
    },
    /// A value that JSON cannot express, such as a map whose keys are no strings.
    Json(String),
    /// Options that contradict each other (`ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`).
    InvalidOptions(&'static str),
    /// The server or the loop beneath failed.
    Net(net::Error),
    /// A request of a client failed.
    Client(client::Error),
}

impl Error {
    /// Refuses a request: an async handler that fails with this has its client get `status`, with `text` as its content, in place
    /// of all that was prepared of the response. If the response has begun it is broken off.
    ///
    /// ```
    /// use http::serve::{Failure, OwnedRequest};
    /// use http::{Error, Response};
    ///
    /// async fn square(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    ///     let number: u32 = request.query().unwrap_or_default().parse().map_err(|error| {
    ///         Error::refused(400, format!("a number is to follow the question mark: {error}"))
    ///     })?;
    ///     let square = number.checked_mul(number).ok_or_else(|| Error::refused(422, "it is too large"))?;
    ///     Ok(response.end(square.to_string().as_bytes())?)
    /// }
    /// ```
    #[must_use]
    pub fn refused(status: u16, text: impl Into<String>) -> Self {
        Self::Refused { status, text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the message has ended or its connection is closed"),
            Self::HeadersSent => f.write_str(
                "the head of the response is sent already: status and fields cannot change any more",
            ),
            Self::Encode(error) => error.fmt(f),
            Self::BodyTooLong(limit) => write!(f, "the body of the request is longer than {limit} bytes"),
            Self::Refused { status, text } => write!(f, "the request is refused with {status}: {text}"),
            Self::Json(message) => write!(f, "no JSON can be made of a value: {message}"),
            Self::InvalidOptions(message) => f.write_str(message),
            Self::Net(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its text is this error's text.
            Self::Net(error) => error.source(),
            Self::Client(error) => error.source(),
            _ => None,
        }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<net::Error> for Error {
    fn from(error: net::Error) -> Self {
        Self::Net(error)
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        Self::Client(error)
    }
}

impl From<uv_core::Error> for Error {
    fn from(error: uv_core::Error) -> Self {
        Self::Net(error.into())
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Net(error) => return error.into(),
            Error::Client(error) => return error.into(),
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::BodyTooLong(_) | Error::Refused { .. } => io::ErrorKind::InvalidData,
            Error::HeadersSent | Error::Encode(_) | Error::Json(_) | Error::InvalidOptions(_) => {
                io::ErrorKind::InvalidInput
            }
        };
        Self::new(kind, error)
    }
}
