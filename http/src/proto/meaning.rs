//! What the fields of a head mean for framing, connection and routing, collected while it is read: RFC 9112, 6.1 to 6.3,
//! read as strictly as the RFC allows. Mirrors llhttp's `flags`.
//!
//! Everything that two recipients could read differently is refused, because request smuggling needs a disagreement about
//! where a body ends. Differences from Node: `gzip, chunked` is answered with 501 (RFC 9112, 6.1: a server that receives a
//! transfer coding it does not understand SHOULD), where Node passes the coded body on; an empty `Transfer-Encoding`, and
//! any in HTTP/1.0, is refused.
//!
//! Faults found here are reported once the whole head is known to be valid, so that the fault does not depend on the pieces
//! in which a head arrives.

use super::names::KnownField;
use super::{ParseError, authority, chars};

/// The version of a message (RFC 9112, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and every higher minor version (RFC 9110, 2.5 has those processed as the highest known one;
    /// Node refuses them).
    Http11,
}

/// How the body of a message is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// `Content-Length`: exactly this many bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection: of a response only.
    UntilClose,
}

/// What a request's `Expect` asks for (RFC 9110, 10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nothing. Always so in HTTP/1.0, where the field has to be ignored.
    #[default]
    None,
    /// `100-continue`: the client may wait for a `100 Continue` before it sends the body.
    Continue,
    /// An unknown expectation: the response has to be 417.
    Other,
}

/// The options of `Connection` fields that decoder and encoder act on (RFC 9110, 7.6.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionOptions {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

impl ConnectionOptions {
    /// Adds the options of one `Connection` field; several fields form one list.
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in chars::list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

/// The transfer codings of a message, in the order in which they were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Codings {
    /// There is no `Transfer-Encoding`.
    #[default]
    Absent,
    /// There is one, but it names none.
    Empty,
    Chunked,
    Other,
    OtherThenChunked,
    /// A coding is malformed, or follows chunked, which is applied once, and last (RFC 9112, 6.1 and 7.1).
    Invalid,
}

impl Codings {
    /// Adds an element of a list.
    fn with(self, coding: &[u8]) -> Self {
        let (name, rest) = coding.split_at(chars::run(coding, chars::TOKEN));
        let is_chunked = name.eq_ignore_ascii_case(b"chunked");
        // Only `;` and parameters may follow a name, and chunked has none.
        let is_valid_rest = rest.is_empty() || (!is_chunked && chars::trim(rest).starts_with(b";"));
        match self {
            _ if name.is_empty() || !is_valid_rest => Self::Invalid,
            Self::Absent | Self::Empty if is_chunked => Self::Chunked,
            Self::Other if is_chunked => Self::OtherThenChunked,
            Self::Absent | Self::Empty | Self::Other => Self::Other,
            Self::Chunked | Self::OtherThenChunked | Self::Invalid => Self::Invalid,
        }
    }
}

/// What the fields of one head say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meaning {
    /// The first fault.
    pub(super) fault: Option<ParseError>,
    pub(super) has_host: bool,
    is_host_invalid: bool,
    length: Option<u64>,
    codings: Codings,
    pub(super) connection: ConnectionOptions,
    pub(super) has_upgrade: bool,
    pub(super) expect: Expect,
    /// The head is a response's.
    pub(super) is_response: bool,
    /// An HTTP/1.1 request of a path with these fields has no body, no expectation and no offer to change protocols, and
    /// lets another request follow.
    pub(super) is_simple: bool,
}

impl Meaning {
    /// Of a head without fields.
    pub(super) fn new(is_response: bool) -> Self {
        Self { is_response, ..Self::default() }
    }

    /// Adds a field.
    #[inline]
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        match KnownField::of(name) {
            Some(KnownField::Host) if self.is_response => {}
            Some(KnownField::Host) => self.add_host(value),
            Some(KnownField::Expect) => self.add_expect(value),
            Some(KnownField::Upgrade) => self.has_upgrade = true,
            Some(KnownField::Connection) => self.connection.add(value),
            Some(KnownField::ContentLength) => self.add_length(value),
            Some(KnownField::TransferEncoding) => self.add_codings(value),
            Some(KnownField::Date | KnownField::KeepAlive | KnownField::Trailer) | None => {}
        }
    }

    fn add_host(&mut self, value: &[u8]) {
        if self.has_host {
            self.note(ParseError::DuplicateHost);
        }
        self.has_host = true;
        self.is_host_invalid |= !authority::is_host_value(value);
    }

    fn add_expect(&mut self, value: &[u8]) {
        for expectation in chars::list(value).filter(|expectation| !expectation.is_empty()) {
            let is_continue = expectation.eq_ignore_ascii_case(b"100-continue");
            self.expect =
                if is_continue && self.expect != Expect::Other { Expect::Continue } else { Expect::Other };
        }
    }

    fn add_length(&mut self, value: &[u8]) {
        // RFC 9112, 6.3 step 5 lets a recipient refuse equal repeated values, or join them. Node refuses them, and so does
        // this, within one field (the comma is no digit) and across fields.
        if self.length.is_some() {
            return self.note(ParseError::DuplicateContentLength);
        }
        self.length = chars::decimal(value);
        if self.length.is_none() {
            self.note(ParseError::InvalidContentLength);
        }
    }

    fn add_codings(&mut self, value: &[u8]) {
        if self.codings == Codings::Absent {
            self.codings = Codings::Empty;
        }
        let codings = chars::list(value).filter(|coding| !coding.is_empty());
        self.codings = codings.fold(self.codings, Codings::with);
    }

    fn note(&mut self, fault: ParseError) {
        self.fault.get_or_insert(fault);
    }

    /// Completes the head. The value of `Host` is the last that is refused.
    pub(super) fn complete(&mut self) {
        if self.is_host_invalid {
            self.note(ParseError::InvalidHost);
        }
        let has_body = self.length.is_some() || self.codings != Codings::Absent;
        let is_upgrade = self.has_upgrade && self.connection.upgrade;
        let has_wish = self.connection.close || is_upgrade || self.expect != Expect::None;
        self.is_simple = self.fault.is_none() && self.has_host && !has_body && !has_wish;
    }

    /// The framing of a response that may have a body. The steps are those of RFC 9112, 6.3; 1 and 2 are the caller's.
    pub(super) fn response_framing(&self, version: Version) -> Result<Framing, ParseError> {
        match (self.codings, self.length) {
            // Step 8.
            (Codings::Absent, None) => Ok(Framing::UntilClose),
            // Step 6. More bytes than an `i64` can count are no length, but an attempt to make a recipient overflow.
            (Codings::Absent, Some(length)) if length > i64::MAX as u64 => {
                Err(ParseError::InvalidContentLength)
            }
            (Codings::Absent, Some(length)) => Ok(Framing::Length(length)),
            // Section 6.1: such a message has faulty framing.
            _ if version == Version::Http10 => Err(ParseError::TransferEncodingInHttp10),
            // Step 3. A response can be smuggled as well as a request.
            (_, Some(_)) => Err(ParseError::LengthWithTransferEncoding),
            (Codings::Chunked, None) => Ok(Framing::Chunked),
            (Codings::Other | Codings::OtherThenChunked, None) => Err(ParseError::UnsupportedTransferCoding),
            // Step 4 would have a response read up to the end whose last coding is not chunked. llhttp does.
            (Codings::Empty | Codings::Invalid, None) => Err(ParseError::InvalidTransferEncoding),
        }
    }

    /// The framing of a request. The steps are those of RFC 9112, 6.3; 1, 2 and 8 are about responses.
    pub(super) fn request_framing(&self, version: Version) -> Result<Framing, ParseError> {
        match (self.codings, self.length) {
            // Step 7.
            (Codings::Absent, None) => Ok(Framing::None),
            // Steps 5 (checked when the field was read) and 6.
            (Codings::Absent, Some(length)) => Ok(Framing::Length(length)),
            // Section 6.1: such a request has faulty framing, even beside a Content-Length.
            _ if version == Version::Http10 => Err(ParseError::TransferEncodingInHttp10),
            // Step 3: ought to be handled as an error.
            (_, Some(_)) => Err(ParseError::LengthWithTransferEncoding),
            // Step 4: chunked, or the length cannot be determined and a server answers 400.
            (Codings::Chunked, None) => Ok(Framing::Chunked),
            (Codings::OtherThenChunked, None) => Err(ParseError::UnsupportedTransferCoding),
            (Codings::Empty | Codings::Other | Codings::Invalid, None) => {
                Err(ParseError::InvalidTransferEncoding)
            }
        }
    }
}
