//! The fields that steer the connection, picked out while the head's fields are walked over once.
//!
//! Faults found here are kept until the whole head is known to be valid, so that which fault is reported does
//! not depend on the pieces in which a head arrives.

use super::authority;
use super::body::{BodyFields, Framing};
use super::target::TargetForm;
use crate::proto::fields::Span;
use crate::proto::{ConnectionOptions, ParseError, Version, chars};

/// What a request's `Expect` asks for (RFC 9110, 10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nothing. Always so in HTTP/1.0, where the field has to be ignored.
    #[default]
    None,
    /// `100-continue`: the client may wait for a `100 Continue` before it sends the body.
    Continue,
    /// Something unknown: to be answered with 417.
    Other,
}

/// What has been seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::proto) struct FramingFields {
    host: Option<Span>,
    body: BodyFields,
    connection: ConnectionOptions,
    has_upgrade: bool,
    expect: Expect,
    fault: Option<ParseError>,
    /// See [`is_usual`](Self::is_usual).
    is_usual: bool,
}

impl FramingFields {
    /// Looks at one field. Comparing length and first letter first leaves most fields after two comparisons.
    #[inline]
    pub(in crate::proto) fn see(&mut self, name: &[u8], value: &[u8], span: Span) {
        let Some(first) = name.first() else { return };
        match (name.len(), first | 0x20) {
            (4, b'h') if is_name(name, b"host") => self.see_host(span),
            (6, b'e') if is_name(name, b"expect") => self.see_expect(value),
            (7, b'u') if is_name(name, b"upgrade") => self.has_upgrade = true,
            (10, b'c') if is_name(name, b"connection") => self.connection.add(value),
            (14, b'c') if is_name(name, b"content-length") => {
                let result = self.body.add_length(value);
                self.note(result);
            }
            (17, b't') if is_name(name, b"transfer-encoding") => self.body.add_codings(value),
            _ => {}
        }
    }

    fn see_host(&mut self, value: Span) {
        if self.host.is_some() {
            self.note(Err(ParseError::DuplicateHost));
        }
        self.host = Some(value);
    }

    fn see_expect(&mut self, value: &[u8]) {
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

    /// Says that all fields are seen. The value of `Host` is the last of them to be refused.
    pub(in crate::proto) fn complete(&mut self, section: &[u8]) {
        if self.host.is_some_and(|host| !authority::is_host_value(host.value(section))) {
            self.note(Err(ParseError::InvalidHost));
        }
        let usual =
            Conclusion { framing: Framing::None, keep_alive: true, expect: Expect::None, upgrade: false };
        self.is_usual = self.conclude(TargetForm::Origin, Version::Http11) == Ok(usual);
    }

    /// Whether the fields say of a request of a path in HTTP/1.1 what they say of most: that it has no body, that another
    /// one may follow, and nothing else.
    #[inline]
    pub(super) fn is_usual(&self) -> bool {
        self.is_usual
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
        let framing = self.body.framing(version)?;
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

/// Whether a field name is `wanted`, which is in lower case, whatever its own case. With the bit that tells the cases
/// apart set, a byte of a token equals a letter or a hyphen only if it is that one.
#[inline]
fn is_name<const N: usize>(name: &[u8], wanted: &[u8; N]) -> bool {
    let differences = |name: &[u8; N]| {
        name.iter().zip(wanted).fold(0, |found, (byte, wanted)| found | ((byte | 0x20) ^ wanted))
    };
    name.try_into().is_ok_and(|name| differences(name) == 0)
}

/// The result of [`FramingFields::conclude`]; see `RequestHead` for the parts.
#[derive(PartialEq, Eq)]
pub(super) struct Conclusion {
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expect: Expect,
    pub(super) upgrade: bool,
}
