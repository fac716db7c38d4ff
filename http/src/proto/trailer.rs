//! Fields that may not follow a body (RFC 9110, 6.5.1). Node has no such list.

/// Fields that a trailer section must not have, because a recipient needs them before the body: framing,
/// routing, request modifiers, authentication, content format, and control of the connection. In lower case.
const FORBIDDEN: &[&str] = &[
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// Whether a field called `name` may stand in a trailer section. Other fields are dropped when they are received (Node keeps
/// them), and refused when they are set.
pub(super) fn is_allowed(name: &[u8]) -> bool {
    !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}
