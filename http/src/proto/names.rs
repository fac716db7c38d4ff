//! What a field's name says, whatever its case: whether decoder or encoder act on it, whether it may follow a body, and how
//! a map holds it. Mirrors llhttp's `header_state`, the `matchHeader` of Node's `_storeHeader`, and `matchKnownFields` of
//! `lib/_http_incoming.js`, which makes `request.headers`.

/// A field that decoder or encoder acts on: those about framing, connection and routing, and those that the encoder sends
/// without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownField {
    Connection,
    ContentLength,
    Date,
    Expect,
    Host,
    KeepAlive,
    Trailer,
    TransferEncoding,
    Upgrade,
}

impl KnownField {
    /// The known field called `name`, in whatever case. Length and first letter decide for most others.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let first = name.first()? | 0x20;
        Some(match (name.len(), first) {
            (4, b'd') if is(name, b"date") => Self::Date,
            (4, b'h') if is(name, b"host") => Self::Host,
            (6, b'e') if is(name, b"expect") => Self::Expect,
            (7, b't') if is(name, b"trailer") => Self::Trailer,
            (7, b'u') if is(name, b"upgrade") => Self::Upgrade,
            (10, b'c') if is(name, b"connection") => Self::Connection,
            (10, b'k') if is(name, b"keep-alive") => Self::KeepAlive,
            (14, b'c') if is(name, b"content-length") => Self::ContentLength,
            (17, b't') if is(name, b"transfer-encoding") => Self::TransferEncoding,
            _ => return None,
        })
    }
}

/// Whether `name` is `known`, which is in lower case, whatever its own case. Without an exit in the middle: the compiler
/// makes a few wide instructions of it.
#[inline]
fn is<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let differences = |name: &[u8; N]| {
        name.iter().zip(known).fold(0, |found, (byte, known)| {
            // Of a letter the bit of its case may differ.
            let counted = if known.is_ascii_lowercase() { !0x20 } else { !0 };
            found | ((byte ^ known) & counted)
        })
    };
    name.try_into().is_ok_and(|name| differences(name) == 0)
}

/// Fields that a trailer section must not have (RFC 9110, 6.5.1), because a recipient needs them before the body: framing,
/// routing, request modifiers, authentication, content format, and control of the connection. Node has no such list.
const NO_TRAILERS: &str = "authorization cache-control connection content-encoding content-length content-range \
    content-type cookie expect host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive \
    max-forwards pragma proxy-authenticate proxy-authorization proxy-connection range set-cookie te trailer \
    transfer-encoding upgrade www-authenticate";

/// Whether a field called `name` may stand in a trailer section. Other fields are dropped when they are received (Node keeps
/// them), and refused when they are set.
pub(super) fn is_trailer(name: &[u8]) -> bool {
    !is_among(name, NO_TRAILERS)
}

/// What a map with one value for each name holds of a field's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// The first value: the field has one value only, and joined ones could be taken for another value.
    First,
    /// All values, with this separator.
    Joined(&'static str),
    /// A list of all values, even if there is one only: their commas separate no elements.
    Listed,
}

/// Fields of which the first line counts.
const SINGLE: &str = "age authorization content-length content-type etag expires from host if-modified-since \
    if-unmodified-since last-modified location max-forwards proxy-authorization referer retry-after server user-agent";

impl Repeated {
    /// How the field called `name`, in whatever case, is held.
    ///
    /// ```
    /// use http::proto::Repeated;
    ///
    /// assert_eq!(Repeated::of("Cookie"), Repeated::Joined("; "));
    /// assert_eq!(Repeated::of("Accept"), Repeated::Joined(", "));
    /// assert_eq!(Repeated::of("Host"), Repeated::First);
    /// ```
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name.as_bytes() {
            name if is_among(name, "cookie") => Self::Joined("; "),
            name if is_among(name, "set-cookie") => Self::Listed,
            name if is_among(name, SINGLE) => Self::First,
            _ => Self::Joined(", "),
        }
    }
}

/// Registered methods (RFC 9110, 16.1.1, and what refers to it), and those beside them that llhttp knows.
const METHODS: &str = "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK M-SEARCH MERGE \
    MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE NOTIFY OPTIONS ORDERPATCH PATCH POST PROPFIND PROPPATCH PURGE PUT \
    QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UNSUBSCRIBE UPDATE UPDATEREDIRECTREF \
    VERSION-CONTROL";

/// Whether some specification defines a method. Case matters.
pub(super) fn is_method(method: &str) -> bool {
    // Nearly all requests have one of these.
    matches!(method, "GET" | "POST" | "HEAD") || METHODS.split(' ').any(|known| known == method)
}

/// Whether `name` is one of these words, in whatever case.
fn is_among(name: &[u8], words: &str) -> bool {
    words.split(' ').any(|word| name.eq_ignore_ascii_case(word.as_bytes()))
}
