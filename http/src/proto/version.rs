//! The version of a message (RFC 9112, 2.3). Mirrors llhttp's `http_major` and `http_minor`.

/// The version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and every higher minor version (RFC 9110, 2.5 has those processed as the highest known one;
    /// Node refuses them).
    Http11,
}
