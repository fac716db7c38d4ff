//! Why a peer's bytes were refused, each rule with the status of its response and Node's code, and why something cannot be
//! sent. Mirrors llhttp's `HPE_…` and Node's `ERR_…`.

use std::fmt;

/// Makes [`ParseError`] from its table: of each kind the status of the response, the code in Node or nothing, and the text.
macro_rules! parse_errors {
    ($($(#[$attribute:meta])* $kind:ident: $status:literal, $code:literal, $text:literal;)*) => {
        /// A fault in what the peer sent. The connection cannot be read any further: message boundaries are lost.
        ///
        /// The kinds are in the order in which the parts of a message come. A gateway answers with 502 what is wrong with a
        /// response. Sizes and numbers are bounded by
        /// [`Limits`](super::Limits).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ParseError {
            $(
                #[doc = concat!("Answered with ", $status, ": ", $text, ".")]
                $(#[$attribute])*
                $kind,
            )*
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
    TooManyBlankLines: 400, "", "too many empty lines before the request";
    InvalidMethod: 400, "HPE_INVALID_METHOD", "the method is not a token followed by one space";
    MethodTooLong: 501, "", "the method is too long";
    /// It has a forbidden byte, is empty, or is in none of the forms that its method allows.
    InvalidTarget: 400, "HPE_INVALID_URL", "the request target is not valid for this method";
    UriTooLong: 414, "HPE_HEADER_OVERFLOW", "the request line is too long";
    /// An HTTP/0.9 request has none.
    InvalidVersion: 400, "HPE_INVALID_VERSION", "the HTTP version is missing or malformed";
    UnsupportedVersion: 505, "HPE_INVALID_VERSION", "the HTTP version is not supported";
    /// Of a response: its status line.
    InvalidStatus: 502, "HPE_INVALID_STATUS", "the status is not a number of three digits from 100 on";
    /// Of a response.
    InvalidReason: 502, "HPE_INVALID_HEADER_TOKEN", "the reason phrase has a control character";
    InvalidLineEnd: 400, "HPE_CR_EXPECTED", "a line does not end in CR LF";
    /// That is obsolete line folding, or whitespace after the request line.
    LeadingWhitespace: 400, "HPE_INVALID_HEADER_TOKEN", "a field line starts with whitespace";
    InvalidFieldName: 400, "HPE_INVALID_HEADER_TOKEN", "a field name is not a token followed by a colon";
    InvalidFieldValue: 400, "HPE_INVALID_HEADER_TOKEN", "a field value has a control character";
    HeadTooLarge: 431, "HPE_HEADER_OVERFLOW", "the head is too large";
    TooManyFields: 431, "HPE_HEADER_OVERFLOW", "there are too many field lines";
    MissingHost: 400, "", "the request has no Host";
    DuplicateHost: 400, "", "the request has more than one Host";
    InvalidHost: 400, "", "Host is not a host with an optional port";
    InvalidContentLength: 400, "HPE_INVALID_CONTENT_LENGTH", "Content-Length is not a number of bytes";
    /// Equal values are no exception.
    DuplicateContentLength: 400, "HPE_UNEXPECTED_CONTENT_LENGTH", "there is more than one Content-Length";
    InvalidTransferEncoding: 400, "HPE_INVALID_TRANSFER_ENCODING", "Transfer-Encoding does not end in one chunked";
    /// The mark of request smuggling.
    LengthWithTransferEncoding: 400, "HPE_INVALID_TRANSFER_ENCODING", "Content-Length stands beside Transfer-Encoding";
    TransferEncodingInHttp10: 400, "HPE_INVALID_TRANSFER_ENCODING", "Transfer-Encoding in an HTTP/1.0 request";
    UnsupportedTransferCoding: 501, "HPE_INVALID_TRANSFER_ENCODING", "a transfer coding other than chunked";
    InvalidChunkSize: 400, "HPE_INVALID_CHUNK_SIZE", "a chunk size is not a hexadecimal number";
    InvalidChunkExtension: 400, "HPE_STRICT", "a chunk extension is malformed";
    /// Those of one chunk, or those of all chunks of a message together.
    ChunkExtensionsTooLarge: 413, "HPE_CHUNK_EXTENSIONS_OVERFLOW", "the extensions of the chunks are too large";
    InvalidChunkEnd: 400, "HPE_STRICT", "chunk data does not end in CR LF";
    TrailersTooLarge: 431, "HPE_HEADER_OVERFLOW", "the trailer section is too large";
    /// Of a response.
    TooManyInformational: 502, "", "too many informational responses before the final one";
    /// Of a response: 101 to a request that offered no upgrade, or without one.
    UnexpectedUpgrade: 502, "", "the server switches protocols although that was not offered";
    /// Of a response: there are bytes although every request is answered, or before one was sent.
    Unsolicited: 502, "", "the server sends bytes that no request has asked for";
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
    /// A method that is no token (Node's `ERR_INVALID_HTTP_TOKEN`).
    InvalidMethod,
    /// A target with a byte that may not stand there, or in none of the forms that the method allows (Node's
    /// `ERR_UNESCAPED_CHARACTERS`).
    InvalidTarget,
    /// A `Host` that is no host with an optional port, or none at all.
    InvalidHost,
    /// A `Content-Length` that is no number, or a `Transfer-Encoding` that is empty; in a request also one whose last coding is
    /// not chunked.
    InvalidFraming,
    /// `Content-Length` beside `Transfer-Encoding` in a request.
    LengthWithTransferEncoding,
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
            Self::InvalidMethod => "the method is not a token",
            Self::InvalidTarget => "the request target is not valid for this method",
            Self::InvalidHost => "Host is not a host with an optional port",
            Self::InvalidFraming => {
                "Content-Length is not a number, or Transfer-Encoding is empty or does not end in chunked"
            }
            Self::LengthWithTransferEncoding => "Content-Length stands beside Transfer-Encoding",
            Self::TrailerWithoutChunked => "trailers are set on a message that is not chunked",
            Self::BodyTooLong => "the body is longer than its Content-Length",
            Self::BodyTooShort => "the body is shorter than its Content-Length",
        })
    }
}

impl std::error::Error for EncodeError {}
