//! Why a peer's bytes were refused, each rule with the status of its response and Node's code, and why something cannot be
//! sent. Mirrors llhttp's `HPE_…` and Node's `ERR_…`.

use std::fmt;

/// Makes [`ParseError`] from its table: of each kind the status of the response, the code in Node or nothing, and the text.
macro_rules! parse_errors {
    ($($(#[$attribute:meta])* $kind:ident: $status:literal, $code:literal, $text:literal;)*) => {
        /// A fault in what the peer sent. The connection cannot be read any further: message boundaries are lost.
        ///
        /// The kinds are in the order in which the parts of a message come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ParseError {
            $($(#[$attribute])* $kind,)*
        }

        impl ParseError {
            fn row(self) -> (u16, &'static str, &'static str) {
                match self {
                    $(Self::$kind => ($status, $code, $text),)*
                }
            }
        }
    };
}

parse_errors! {
    /// More empty lines before a request than are tolerated.
    TooManyBlankLines: 400, "", "too many empty lines before the request";
    /// The method is not a token, or not followed by exactly one space.
    InvalidMethod: 400, "HPE_INVALID_METHOD", "the method is not a token followed by one space";
    /// The method is longer than any that is registered.
    MethodTooLong: 501, "", "the method is too long";
    /// The target has a forbidden byte, is empty, or is in none of the forms that its method allows.
    InvalidTarget: 400, "HPE_INVALID_URL", "the request target is not valid for this method";
    /// The request line alone is longer than [`Limits::max_header_size`](super::Limits::max_header_size).
    UriTooLong: 414, "HPE_HEADER_OVERFLOW", "the request line is too long";
    /// The request line has no version (HTTP/0.9), or a malformed one.
    InvalidVersion: 400, "HPE_INVALID_VERSION", "the HTTP version is missing or malformed";
    /// A well-formed version with another major number than 1.
    UnsupportedVersion: 505, "HPE_INVALID_VERSION", "the HTTP version is not supported";
    /// A line that should end in CR LF ends in a bare LF, or has a CR that no LF follows.
    InvalidLineEnd: 400, "HPE_CR_EXPECTED", "a line does not end in CR LF";
    /// A field line that starts with whitespace: obsolete line folding, or whitespace after the request line.
    LeadingWhitespace: 400, "HPE_INVALID_HEADER_TOKEN", "a field line starts with whitespace";
    /// A field name that is not a token directly followed by a colon.
    InvalidFieldName: 400, "HPE_INVALID_HEADER_TOKEN", "a field name is not a token followed by a colon";
    /// A field value with a control character.
    InvalidFieldValue: 400, "HPE_INVALID_HEADER_TOKEN", "a field value has a control character";
    /// The head is longer than [`Limits::max_header_size`](super::Limits::max_header_size).
    HeadTooLarge: 431, "HPE_HEADER_OVERFLOW", "the request head is too large";
    /// There are more field lines than [`Limits::max_headers`](super::Limits::max_headers).
    TooManyFields: 431, "HPE_HEADER_OVERFLOW", "there are too many field lines";
    /// An HTTP/1.1 request without `Host`.
    MissingHost: 400, "", "the request has no Host";
    /// More than one `Host`.
    DuplicateHost: 400, "", "the request has more than one Host";
    /// A `Host` that is not a host with an optional port.
    InvalidHost: 400, "", "Host is not a host with an optional port";
    /// A `Content-Length` that is not one decimal number that fits 64 bits.
    InvalidContentLength: 400, "HPE_INVALID_CONTENT_LENGTH", "Content-Length is not a number of bytes";
    /// A second `Content-Length`, even with the same value.
    DuplicateContentLength: 400, "HPE_UNEXPECTED_CONTENT_LENGTH", "there is more than one Content-Length";
    /// A `Transfer-Encoding` whose last coding is not `chunked`, or that names it twice or with parameters.
    InvalidTransferEncoding: 400, "HPE_INVALID_TRANSFER_ENCODING", "Transfer-Encoding does not end in one chunked";
    /// `Transfer-Encoding` together with `Content-Length`: the mark of request smuggling.
    LengthWithTransferEncoding: 400, "HPE_INVALID_TRANSFER_ENCODING", "Content-Length stands beside Transfer-Encoding";
    /// `Transfer-Encoding` in an HTTP/1.0 request.
    TransferEncodingInHttp10: 400, "HPE_INVALID_TRANSFER_ENCODING", "Transfer-Encoding in an HTTP/1.0 request";
    /// A transfer coding beside `chunked`; none is implemented.
    UnsupportedTransferCoding: 501, "HPE_INVALID_TRANSFER_ENCODING", "a transfer coding other than chunked";
    /// A chunk size that is not 1 to 16 hex digits.
    InvalidChunkSize: 400, "HPE_INVALID_CHUNK_SIZE", "a chunk size is not a hexadecimal number";
    /// A malformed chunk extension.
    InvalidChunkExtension: 400, "HPE_STRICT", "a chunk extension is malformed";
    /// The extensions of one chunk are longer than
    /// [`Limits::max_chunk_extensions`](super::Limits::max_chunk_extensions), or those of a message's chunks together
    /// than four times that.
    ChunkExtensionsTooLarge: 413, "HPE_CHUNK_EXTENSIONS_OVERFLOW", "the extensions of the chunks are too large";
    /// Chunk data that is not followed by exactly CR LF.
    InvalidChunkEnd: 400, "HPE_STRICT", "chunk data does not end in CR LF";
    /// The trailer section is longer than [`Limits::max_trailer_size`](super::Limits::max_trailer_size).
    TrailersTooLarge: 431, "HPE_HEADER_OVERFLOW", "the trailer section is too large";
    /// The peer ended its side inside a message.
    UnexpectedEof: 400, "HPE_INVALID_EOF_STATE", "the peer ended the connection inside a message";
}

impl ParseError {
    /// The status of the response: 400 unless an RFC names a better one.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The `code` that Node's `clientError` has for this fault, where there is one. Node finds a missing or
    /// bad `Host` after parsing and raises no error for it; empty lines and long methods it does not bound.
    pub fn code(self) -> Option<&'static str> {
        Some(self.row().1).filter(|code| !code.is_empty())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().2)
    }
}

impl std::error::Error for ParseError {}

/// Why something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// A status outside 100 to 999 (Node's `ERR_HTTP_INVALID_STATUS_CODE`), or not of the kind asked for.
    InvalidStatus(u16),
    /// A reason phrase with a control character (Node's `ERR_INVALID_CHAR`).
    InvalidReason,
    /// A field name that is not a token (Node's `ERR_INVALID_HTTP_TOKEN`).
    InvalidFieldName,
    /// A field value with a control character (Node's `ERR_INVALID_CHAR`).
    InvalidFieldValue,
    /// A field that may not stand in a trailer section, or in an informational response.
    MisplacedField,
    /// A `Content-Length` that is no number, or a `Transfer-Encoding` that is empty.
    InvalidFraming,
    /// `Trailer` was set on a response that by the application's own choice is not chunked (Node's
    /// `ERR_HTTP_TRAILER_INVALID`).
    TrailerWithoutChunked,
    /// More body than the `Content-Length` (Node's `ERR_HTTP_CONTENT_LENGTH_MISMATCH`).
    BodyTooLong,
    /// Less body than the `Content-Length`.
    BodyTooShort,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidStatus(status) => {
                let allowed = "a response has 200 to 999, a closing response 400 to 599, and an informational one 100 \
                               or 102 to 199";
                return write!(f, "status {status} is out of range: {allowed}");
            }
            Self::InvalidReason => "the reason phrase has a control character",
            Self::InvalidFieldName => "the field name is not a token",
            Self::InvalidFieldValue => "the field value has a control character",
            Self::MisplacedField => "the field is not allowed in trailers or in an informational response",
            Self::InvalidFraming => "Content-Length is not a number, or Transfer-Encoding is empty",
            Self::TrailerWithoutChunked => "Trailer is set on a response that is not chunked",
            Self::BodyTooLong => "the body is longer than its Content-Length",
            Self::BodyTooShort => "the body is shorter than its Content-Length",
        })
    }
}

impl std::error::Error for EncodeError {}
