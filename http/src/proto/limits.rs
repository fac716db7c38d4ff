//! How much of a peer's input the decoder will hold or skip before it refuses the rest.
//!
//! Mirrors Node's `maxHeaderSize`, `maxHeadersCount` and llhttp's chunk extension limit. Nothing here bounds
//! a body: bodies are never held, so their size is the application's business, as in Node.

/// Bounds on what one peer may send; shared by all connections of a server.
///
/// Every limit is inclusive: exactly that much is accepted, one more is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head: request line, field lines, every separator and the closing empty line.
    ///
    /// Default 16 384, as Node's `--max-http-header-size`. Node counts target, names and values only and
    /// refuses at the limit, so whatever Node refuses is refused here too. More is answered with 414 while
    /// the request line has not ended (RFC 9112, 3) and with 431 afterwards; Node answers 431 in both cases.
    /// Values above [`Limits::MAX_SECTION`] mean that value.
    pub max_header_size: usize,
    /// Field lines in a head, and in a trailer section. Default 2 000, as Node's `maxHeadersCount`; more is
    /// answered with 431.
    pub max_headers: usize,
    /// Bytes of a trailer section with its closing empty line. Default 16 384: Node counts trailers against
    /// `maxHeaderSize`. More is answered with 431. Values above [`Limits::MAX_SECTION`] mean that value.
    pub max_trailer_size: usize,
    /// Bytes of extensions on one chunk. Default 16 384, as llhttp in Node; more is answered with 413. So is four times
    /// as much on all chunks of a message together, for which Node has no bound: it reads any amount of them beside
    /// next to no body.
    pub max_chunk_extensions: usize,
}

impl Limits {
    /// The largest head or trailer section that can be asked for: 1 GiB, because positions in it are kept as
    /// `u32`.
    pub const MAX_SECTION: usize = 1 << 30;

    /// Bytes of extensions that all chunks of a message may have together: as many as four of the largest.
    pub(super) fn total_chunk_extensions(&self) -> usize {
        self.max_chunk_extensions.saturating_mul(4)
    }

    /// Bytes that a head may have.
    pub(super) fn head_size(&self) -> usize {
        self.max_header_size.min(Self::MAX_SECTION)
    }

    /// Bytes that a trailer section may have.
    pub(super) fn trailer_size(&self) -> usize {
        self.max_trailer_size.min(Self::MAX_SECTION)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_size: 16_384,
            max_headers: 2_000,
            max_trailer_size: 16_384,
            max_chunk_extensions: 16_384,
        }
    }
}
