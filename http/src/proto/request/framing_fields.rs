//! The fields of a request that control framing, connection and routing, collected while the head is read. Mirrors
//! llhttp's `flags` and `llhttp_should_keep_alive`.
//!
//! Faults found here are reported once the whole head is known to be valid, so that the fault does not depend on the pieces
//! in which a head arrives.

use super::authority;
use super::target::TargetForm;
use crate::proto::body_length::{BodyLength, Framing};
use crate::proto::connection_options::ConnectionOptions;
use crate::proto::fields::Span;
use crate::proto::known::KnownField;
use crate::proto::{ParseError, Version, chars};

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

/// What the fields of one head say about framing, connection and routing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramingFields {
    host: Option<Span>,
    length: BodyLength,
    connection: ConnectionOptions,
    has_upgrade: bool,
    expect: Expect,
    fault: Option<ParseError>,
    /// See [`is_simple`](Self::is_simple).
    is_simple: bool,
}

impl FramingFields {
    /// Adds a field.
    #[inline]
    pub(super) fn add(&mut self, name: &[u8], value: &[u8], span: Span) {
        match KnownField::of(name) {
            Some(KnownField::Host) => self.add_host(span),
            Some(KnownField::Expect) => self.add_expect(value),
            Some(KnownField::Upgrade) => self.has_upgrade = true,
            Some(KnownField::Connection) => self.connection.add(value),
            Some(KnownField::ContentLength) => {
                let result = self.length.add_length(value);
                self.note(result);
            }
            Some(KnownField::TransferEncoding) => self.length.add_codings(value),
            Some(KnownField::Date | KnownField::KeepAlive | KnownField::Trailer) | None => {}
        }
    }

    fn add_host(&mut self, value: Span) {
        if self.host.is_some() {
            self.note(Err(ParseError::DuplicateHost));
        }
        self.host = Some(value);
    }

    fn add_expect(&mut self, value: &[u8]) {
        for expectation in chars::list(value).filter(|expectation| !expectation.is_empty()) {
            let is_continue = expectation.eq_ignore_ascii_case(b"100-continue");
            if !is_continue {
                self.expect = Expect::Other;
            } else if self.expect == Expect::None {
                self.expect = Expect::Continue;
            }
        }
    }

    /// Keeps the first fault.
    fn note(&mut self, result: Result<(), ParseError>) {
        if let (Err(fault), None) = (result, self.fault) {
            self.fault = Some(fault);
        }
    }

    /// Completes the head whose field section `section` starts with. The value of `Host` is the last that is refused.
    pub(super) fn complete(&mut self, section: &[u8]) {
        if self.host.is_some_and(|host| !authority::is_host_value(host.value(section))) {
            self.note(Err(ParseError::InvalidHost));
        }
        let simple =
            Conclusion { framing: Framing::None, keep_alive: true, expect: Expect::None, upgrade: false };
        self.is_simple = self.conclude(TargetForm::Origin, Version::Http11) == Ok(simple);
    }

    /// Whether an HTTP/1.1 request of a path with these fields has no body, no expectation and no offer to change
    /// protocols, and lets another request follow.
    #[inline]
    pub(super) fn is_simple(&self) -> bool {
        self.is_simple
    }

    /// What all fields say together for a request of this form and version.
    #[inline]
    pub(super) fn conclude(&self, form: TargetForm, version: Version) -> Result<Conclusion, ParseError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let is_http11 = version == Version::Http11;
        // RFC 9112, 3.2. Node leaves this check to its server object, where it can be switched off.
        if is_http11 && self.host.is_none() {
            return Err(ParseError::MissingHost);
        }
        let framing = self.length.of_request(version)?;
        let is_connect = form == TargetForm::Authority;
        Ok(Conclusion {
            framing: if is_connect { Framing::None } else { framing },
            // RFC 9112, 9.3. What follows a CONNECT may be meant for the tunnel: it never is a next request.
            keep_alive: !is_connect && !self.connection.close && (is_http11 || self.connection.keep_alive),
            expect: if is_http11 { self.expect } else { Expect::None },
            // RFC 9110, 7.8: to be ignored in HTTP/1.0, and without the connection option.
            upgrade: is_http11 && self.has_upgrade && self.connection.upgrade,
        })
    }
}

/// The result of [`FramingFields::conclude`]; see `RequestHead` for the parts.
#[derive(PartialEq, Eq)]
pub(super) struct Conclusion {
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expect: Expect,
    pub(super) upgrade: bool,
}
