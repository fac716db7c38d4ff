//! The head and the trailers of a request, as a client sets them. Mirrors the header half of Node's `ClientRequest`.
//!
//! As with responses, lines are written when they are set, and the few fields that the encoder itself decides about are kept
//! as values.

use super::target;
use crate::proto::lines::{Field, FieldLines, check_field, put_line};
use crate::proto::meaning::ConnectionOptions;
use crate::proto::names::{self, KnownField};
use crate::proto::{EncodeError, authority, chars};

/// The head of a request that is being prepared, and its trailers.
///
/// ```
/// use http::proto::OutgoingRequest;
///
/// let mut head = OutgoingRequest::new("GET", "/search?q=1")?;
/// head.set("Host", b"example.org")?;
/// head.set("Accept", b"text/plain")?;
/// assert!(OutgoingRequest::new("GET", "/a b").is_err());
/// # Ok::<(), http::proto::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct OutgoingRequest {
    /// Method, space and target.
    line: String,
    method_len: usize,
    /// Lines as they will be sent, without those that are fields of this.
    pub(super) lines: FieldLines,
    pub(super) host: Field<Box<[u8]>>,
    pub(super) content_length: Field<u64>,
    pub(super) transfer_encoding: Field<Box<[u8]>>,
    pub(super) connection: Field<Box<[u8]>>,
    pub(super) trailer_lines: Vec<u8>,
    /// A `Trailer` is among the lines.
    has_trailer: bool,
    pub(super) has_upgrade: bool,
    expects_continue: bool,
}

impl OutgoingRequest {
    /// The head of a request without fields.
    ///
    /// # Errors
    /// `InvalidMethod` if the method is no token, `InvalidTarget` if the target has a byte outside of visible ASCII or a `#`, or
    /// is in none of the forms that the method allows.
    pub fn new(method: &str, target: &str) -> Result<Self, EncodeError> {
        if !chars::is_token(method.as_bytes()) {
            return Err(EncodeError::InvalidMethod);
        }
        let is_visible = chars::run(target.as_bytes(), chars::TARGET) == target.len();
        if !is_visible || target::form(method, target).is_none() {
            return Err(EncodeError::InvalidTarget);
        }
        Ok(Self {
            line: format!("{method} {target}"),
            method_len: method.len(),
            lines: FieldLines::default(),
            host: Field::Unset,
            content_length: Field::Unset,
            transfer_encoding: Field::Unset,
            connection: Field::Unset,
            trailer_lines: Vec::new(),
            has_trailer: false,
            has_upgrade: false,
            expects_continue: false,
        })
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.line[..self.method_len]
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.line[self.method_len + 1..]
    }

    /// Method and target as they are sent.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// Whether the request may be sent twice with the effect of once (RFC 9110, 9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }

    /// Whether the request waits for a `100 Continue` before its body: `Expect: 100-continue` is set.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether a `Host` is set.
    #[must_use]
    pub fn has_host(&self) -> bool {
        self.host.is_set()
    }

    /// Sets a field, in place of those of its name.
    ///
    /// # Errors
    /// `InvalidFieldName`, `InvalidFieldValue`; `InvalidHost`; `InvalidFraming` for a `Content-Length` that is no number and a
    /// `Transfer-Encoding` that does not end in chunked; `LengthWithTransferEncoding` if the other one is set already.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        let before = self.lines.len;
        self.append(name, value)?;
        self.lines.remove(name, before);
        Ok(())
    }

    /// Adds a field beside those of its name; `Host`, `Connection`, `Content-Length` and `Transfer-Encoding` are replaced.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn append(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        check_field(name, value)?;
        match KnownField::of(name.as_bytes()) {
            Some(KnownField::Host) if !authority::is_host_value(value) => {
                return Err(EncodeError::InvalidHost);
            }
            Some(KnownField::Host) => self.host = Field::Set(value.into()),
            Some(KnownField::Connection) => self.connection = Field::Set(value.into()),
            Some(KnownField::ContentLength) => {
                if self.transfer_encoding.is_set() {
                    return Err(EncodeError::LengthWithTransferEncoding);
                }
                let length = chars::decimal(value).filter(|length| *length <= i64::MAX as u64);
                self.content_length = Field::Set(length.ok_or(EncodeError::InvalidFraming)?);
            }
            Some(KnownField::TransferEncoding) => self.set_codings(value)?,
            known => {
                self.lines.put(name, value, true)?;
                self.note(known, value, true);
            }
        }
        Ok(())
    }

    fn set_codings(&mut self, codings: &[u8]) -> Result<(), EncodeError> {
        if self.content_length.is_set() {
            return Err(EncodeError::LengthWithTransferEncoding);
        }
        // A request with another last coding has no end (RFC 9112, 6.3).
        if !chars::list(codings).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")) {
            return Err(EncodeError::InvalidFraming);
        }
        self.transfer_encoding = Field::Set(codings.into());
        Ok(())
    }

    /// Records that a field among the lines was set or removed.
    fn note(&mut self, known: Option<KnownField>, value: &[u8], is_set: bool) {
        match known {
            Some(KnownField::Expect) => self.expects_continue = value.eq_ignore_ascii_case(b"100-continue"),
            Some(KnownField::Trailer) => self.has_trailer = is_set,
            Some(KnownField::Upgrade) => self.has_upgrade = is_set,
            _ => {}
        }
    }

    /// Removes a field. The encoder then does not add it either, but for what delimits a body.
    pub fn remove(&mut self, name: &str) {
        self.lines.remove(name, self.lines.len);
        match KnownField::of(name.as_bytes()) {
            Some(KnownField::Host) => self.host = Field::Removed,
            Some(KnownField::Connection) => self.connection = Field::Removed,
            Some(KnownField::ContentLength) => self.content_length = Field::Removed,
            Some(KnownField::TransferEncoding) => self.transfer_encoding = Field::Removed,
            known => self.note(known, b"", false),
        }
    }

    /// Adds a field after the body, which is then chunked.
    ///
    /// # Errors
    /// `InvalidFieldName`, `InvalidFieldValue`, and `MisplacedField` for a field that may not stand in a trailer section
    /// (RFC 9110, 6.5.1).
    pub fn add_trailer(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        check_field(name, value)?;
        if !names::is_trailer(name.as_bytes()) {
            return Err(EncodeError::MisplacedField);
        }
        put_line(&mut self.trailer_lines, name, value);
        Ok(())
    }

    pub(super) fn wants_trailers(&self) -> bool {
        self.has_trailer || !self.trailer_lines.is_empty()
    }

    /// The options of `Connection` that were set.
    pub(super) fn connection_options(&self) -> ConnectionOptions {
        let mut options = ConnectionOptions::default();
        if let Field::Set(value) = &self.connection {
            options.add(value);
        }
        options
    }
}
