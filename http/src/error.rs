//! What the user of a response may get wrong, or find gone.

use crate::proto::EncodeError;
use std::fmt;

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that could not be carried out. Nothing of it was, but for [`BodyTooShort`](Self::BodyTooShort).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The response has ended, or its connection is gone (`ERR_STREAM_WRITE_AFTER_END`, `ERR_STREAM_DESTROYED`).
    Gone,
    /// The head is sent: neither status nor fields can change (`ERR_HTTP_HEADERS_SENT`).
    HeadersSent,
    /// A status, field or trailer that cannot be written.
    Encode(EncodeError),
    /// A `Content-Length` that is no number, or a `Transfer-Encoding` that is empty.
    InvalidFraming,
    /// More body than the response's `Content-Length` (`ERR_HTTP_CONTENT_LENGTH_MISMATCH`).
    BodyTooLong,
    /// Less body than the response's `Content-Length`: what is sent is lost with its connection.
    BodyTooShort,
    /// A `Trailer` field, or trailers, on a response that is not chunked (`ERR_HTTP_TRAILER_INVALID`).
    TrailerWithoutChunked,
    /// Options that contradict each other.
    InvalidOptions(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the response has ended or its connection is gone"),
            Self::HeadersSent => f.write_str("the head of the response is sent"),
            Self::Encode(error) => error.fmt(f),
            Self::InvalidFraming => f.write_str("the length or transfer coding cannot be sent"),
            Self::BodyTooLong => f.write_str("the body is longer than the content length"),
            Self::BodyTooShort => f.write_str("the body is shorter than the content length"),
            Self::TrailerWithoutChunked => f.write_str("only a chunked response can have trailers"),
            Self::InvalidOptions(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InvalidFraming => Self::InvalidFraming,
            EncodeError::TrailerWithoutChunked => Self::TrailerWithoutChunked,
            EncodeError::BodyTooLong => Self::BodyTooLong,
            EncodeError::BodyTooShort => Self::BodyTooShort,
            _ => Self::Encode(error),
        }
    }
}
