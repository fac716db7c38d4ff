//! Why a peer's bytes were refused: one kind per rule, each with the status of its response and Node's code. Mirrors
//! llhttp's `HPE_…`.

use std::fmt;

/// A fault in what the peer sent. The connection cannot be read any further: message boundaries are lost.
///
/// The kinds are in the order in which the parts of a message come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// More empty lines before a request than are tolerated.
    TooManyBlankLines,
    /// The method is not a token, or not followed by exactly one space.
    InvalidMethod,
    /// The method is longer than any that is registered.
    MethodTooLong,
    /// The target has a forbidden byte, is empty, or is in none of the forms that its method allows.
    InvalidTarget,
    /// The request line alone is longer than [`Limits::max_header_size`](super::Limits::max_header_size).
    UriTooLong,
    /// The request line has no version (HTTP/0.9), or a malformed one.
    InvalidVersion,
    /// A well-formed version with another major number than 1.
    UnsupportedVersion,
    /// A line that should end in CR LF ends in a bare LF, or has a CR that no LF follows.
    InvalidLineEnd,
    /// A field line that starts with whitespace: obsolete line folding, or whitespace after the request line.
    LeadingWhitespace,
    /// A field name that is not a token directly followed by a colon.
    InvalidFieldName,
    /// A field value with a control character.
    InvalidFieldValue,
    /// The head is longer than [`Limits::max_header_size`](super::Limits::max_header_size).
    HeadTooLarge,
    /// There are more field lines than [`Limits::max_headers`](super::Limits::max_headers).
    TooManyFields,
    /// An HTTP/1.1 request without `Host`.
    MissingHost,
    /// More than one `Host`.
    DuplicateHost,
    /// A `Host` that is not a host with an optional port.
    InvalidHost,
    /// A `Content-Length` that is not one decimal number that fits 64 bits.
    InvalidContentLength,
    /// A second `Content-Length`, even with the same value.
    DuplicateContentLength,
    /// A `Transfer-Encoding` whose last coding is not `chunked`, or that names it twice or with parameters.
    InvalidTransferEncoding,
    /// `Transfer-Encoding` together with `Content-Length`: the mark of request smuggling.
    LengthWithTransferEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 request.
    TransferEncodingInHttp10,
    /// A transfer coding beside `chunked`; none is implemented.
    UnsupportedTransferCoding,
    /// A chunk size that is not 1 to 16 hex digits.
    InvalidChunkSize,
    /// A malformed chunk extension.
    InvalidChunkExtension,
    /// The extensions of one chunk are longer than
    /// [`Limits::max_chunk_extensions`](super::Limits::max_chunk_extensions), or those of a message's chunks together
    /// than four times that.
    ChunkExtensionsTooLarge,
    /// Chunk data that is not followed by exactly CR LF.
    InvalidChunkEnd,
    /// The trailer section is longer than [`Limits::max_trailer_size`](super::Limits::max_trailer_size).
    TrailersTooLarge,
    /// The peer ended its side inside a message.
    UnexpectedEof,
}

impl ParseError {
    /// The status of the response: 400 unless an RFC names a better one.
    pub fn status(self) -> u16 {
        match self {
            Self::UriTooLong => 414,
            Self::ChunkExtensionsTooLarge => 413,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailersTooLarge => 431,
            Self::MethodTooLong | Self::UnsupportedTransferCoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }

    /// The `code` that Node's `clientError` has for this fault, where there is one. Node finds a missing or
    /// bad `Host` after parsing and raises no error for it; empty lines and long methods it does not bound.
    pub fn code(self) -> Option<&'static str> {
        Some(match self {
            Self::TooManyBlankLines | Self::MethodTooLong => return None,
            Self::MissingHost | Self::DuplicateHost | Self::InvalidHost => return None,
            Self::InvalidMethod => "HPE_INVALID_METHOD",
            Self::InvalidTarget => "HPE_INVALID_URL",
            Self::InvalidVersion | Self::UnsupportedVersion => "HPE_INVALID_VERSION",
            Self::InvalidLineEnd => "HPE_CR_EXPECTED",
            Self::LeadingWhitespace | Self::InvalidFieldName | Self::InvalidFieldValue => {
                "HPE_INVALID_HEADER_TOKEN"
            }
            Self::UriTooLong | Self::HeadTooLarge | Self::TooManyFields | Self::TrailersTooLarge => {
                "HPE_HEADER_OVERFLOW"
            }
            Self::InvalidContentLength => "HPE_INVALID_CONTENT_LENGTH",
            Self::DuplicateContentLength => "HPE_UNEXPECTED_CONTENT_LENGTH",
            Self::InvalidTransferEncoding
            | Self::LengthWithTransferEncoding
            | Self::TransferEncodingInHttp10
            | Self::UnsupportedTransferCoding => "HPE_INVALID_TRANSFER_ENCODING",
            Self::InvalidChunkSize => "HPE_INVALID_CHUNK_SIZE",
            Self::InvalidChunkExtension | Self::InvalidChunkEnd => "HPE_STRICT",
            Self::ChunkExtensionsTooLarge => "HPE_CHUNK_EXTENSIONS_OVERFLOW",
            Self::UnexpectedEof => "HPE_INVALID_EOF_STATE",
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::TooManyBlankLines => "too many empty lines before the request",
            Self::InvalidMethod => "the method is not a token followed by one space",
            Self::MethodTooLong => "the method is too long",
            Self::InvalidTarget => "the request target is not valid for this method",
            Self::UriTooLong => "the request line is too long",
            Self::InvalidVersion => "the HTTP version is missing or malformed",
            Self::UnsupportedVersion => "the HTTP version is not supported",
            Self::InvalidLineEnd => "a line does not end in CR LF",
            Self::LeadingWhitespace => "a field line starts with whitespace",
            Self::InvalidFieldName => "a field name is not a token followed by a colon",
            Self::InvalidFieldValue => "a field value has a control character",
            Self::HeadTooLarge => "the request head is too large",
            Self::TooManyFields => "there are too many field lines",
            Self::MissingHost => "the request has no Host",
            Self::DuplicateHost => "the request has more than one Host",
            Self::InvalidHost => "Host is not a host with an optional port",
            Self::InvalidContentLength => "Content-Length is not a number of bytes",
            Self::DuplicateContentLength => "there is more than one Content-Length",
            Self::InvalidTransferEncoding => "Transfer-Encoding does not end in one chunked",
            Self::LengthWithTransferEncoding => "Content-Length stands beside Transfer-Encoding",
            Self::TransferEncodingInHttp10 => "Transfer-Encoding in an HTTP/1.0 request",
            Self::UnsupportedTransferCoding => "a transfer coding other than chunked",
            Self::InvalidChunkSize => "a chunk size is not a hexadecimal number",
            Self::InvalidChunkExtension => "a chunk extension is malformed",
            Self::ChunkExtensionsTooLarge => "the extensions of the chunks are too large",
            Self::InvalidChunkEnd => "chunk data does not end in CR LF",
            Self::TrailersTooLarge => "the trailer section is too large",
            Self::UnexpectedEof => "the peer ended the connection inside a message",
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for ParseError {}
