//! How much of a peer's input a decoder holds or skips before it refuses the rest. Mirrors Node's `maxHeaderSize`,
//! `maxHeadersCount` and llhttp's limit of chunk extensions.
//!
//! Nothing here bounds a body: bodies are never held, so their size is the application's concern, as in Node.

/// Bounds on what one peer may send; shared by all connections of a server.
///
/// Every limit is inclusive: exactly that much is accepted, one more is refused.
///
/// ```
/// use http::proto::Limits;
///
/// let limits = Limits::default().max_header_size(8 * 1024).max_headers(100);
/// assert_eq!(limits.max_trailer_size, 16 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's head: request line, field lines, every separator and the empty line at its end. Default: 16 KiB,
    /// as Node's `--max-http-header-size`.
    ///
    /// Node counts target, names and values only and refuses at the limit, so what Node refuses is refused here too. More
    /// is answered with 414 while the request line has not ended (RFC 9112, 3) and with 431 afterwards; Node answers 431 in
    /// both cases. Values above [`Limits::MAX_SECTION`] mean that value.
    pub max_header_size: usize,
    /// Field lines in a head, and in a trailer section. Default: 2000, as Node's `maxHeadersCount`. More is answered with
    /// 431. Zero is not "no limit", as it is in Node: a server refuses it.
    pub max_headers: usize,
    /// Bytes of a trailer section with the empty line at its end. Default: 16 KiB, since Node counts trailers against
    /// `maxHeaderSize`. More is answered with 431. Values above [`Limits::MAX_SECTION`] mean that value.
    pub max_trailer_size: usize,
    /// Bytes of extensions of one chunk. Default: 16 KiB, as llhttp in Node. More is answered with 413.
    ///
    /// So is four times as much in all chunks of a message together, for which Node has no bound: it reads any amount of
    /// extensions beside a tiny body.
    pub max_chunk_extensions: usize,
}

impl Limits {
    /// The largest head or trailer section that can be allowed: 1 GiB, because positions in it are kept as `u32`.
    pub const MAX_SECTION: usize = 1 << 30;
}

/// Setters of a type's fields, each named as its field.
macro_rules! setters {
    ($owner:ident: $($(#[$attribute:meta])* $field:ident: $kind:ty,)*) => {
        impl $owner {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                $(#[$attribute])*
                #[must_use]
                pub fn $field(self, $field: $kind) -> Self {
                    Self { $field, ..self }
                }
            )*
        }
    };
}
pub(crate) use setters;

setters! {
    Limits:
    max_header_size: usize,
    max_headers: usize,
    max_trailer_size: usize,
    max_chunk_extensions: usize,
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
