//! How a map with one value for each name holds a field that comes more than once. Mirrors Node's `matchKnownFields`,
//! `lib/_http_incoming.js`, which makes `request.headers`.

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

/// The fields of which the first line counts, in lower case.
const SINGLE: &[&str] = &[
    "age",
    "authorization",
    "content-length",
    "content-type",
    "etag",
    "expires",
    "from",
    "host",
    "if-modified-since",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "proxy-authorization",
    "referer",
    "retry-after",
    "server",
    "user-agent",
];

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
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            6 if is("cookie") => Self::Joined("; "),
            10 if is("set-cookie") => Self::Listed,
            _ if SINGLE.iter().any(|single| is(single)) => Self::First,
            _ => Self::Joined(", "),
        }
    }
}
