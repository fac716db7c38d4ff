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
    /// Whether there is a `Host`, and what it says: a record that is used again keeps the buffer.
    host: Field<()>,
    host_value: String,
    /// The program itself has set it.
    is_host_own: bool,
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
        let mut head = Self::blank();
        head.set_line(method, |line| line.push_str(target))?;
        Ok(head)
    }

    /// A head without a request line, to be [renewed](Self::renew).
    pub(crate) fn blank() -> Self {
        Self {
            line: String::new(),
            method_len: 0,
            lines: FieldLines::default(),
            host: Field::Unset,
            host_value: String::new(),
            is_host_own: false,
            content_length: Field::Unset,
            transfer_encoding: Field::Unset,
            connection: Field::Unset,
            trailer_lines: Vec::new(),
            has_trailer: false,
            has_upgrade: false,
            expects_continue: false,
        }
    }

    /// Makes this the head of another request, without fields but `Host`. Keeps the buffers.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn renew(
        &mut self,
        method: &str,
        put_target: impl FnOnce(&mut String),
        put_host: impl FnOnce(&mut String),
    ) -> Result<(), EncodeError> {
        self.set_line(method, put_target)?;
        self.lines.clear();
        self.host_value.clear();
        put_host(&mut self.host_value);
        (self.host, self.is_host_own) = (Field::Set(()), false);
        (self.content_length, self.transfer_encoding, self.connection) =
            (Field::Unset, Field::Unset, Field::Unset);
        self.trailer_lines.clear();
        (self.has_trailer, self.has_upgrade, self.expects_continue) = (false, false, false);
        Ok(())
    }

    /// Replaces the target. That of a `CONNECT`, and one with a host, decide what `Host` says (RFC 9112, 3.2.2 and 3.2.3), unless
    /// the program has set it.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(crate) fn set_target(&mut self, target: &str) -> Result<(), EncodeError> {
        let method = self.method().to_owned();
        self.set_line(&method, |line| line.push_str(target))?;
        let authority = match method.as_str() {
            "CONNECT" => Some(target),
            _ => target::split_absolute(target).map(|(_, authority, _)| authority),
        };
        if let Some(authority) = authority.filter(|_| !self.is_host_own) {
            self.host = Field::Set(());
            authority.clone_into(&mut self.host_value);
        }
        Ok(())
    }

    fn set_line(&mut self, method: &str, put_target: impl FnOnce(&mut String)) -> Result<(), EncodeError> {
        if !chars::is_token(method.as_bytes()) {
            return Err(EncodeError::InvalidMethod);
        }
        let Self { line, method_len, .. } = self;
        line.clear();
        line.push_str(method);
        line.push(' ');
        *method_len = method.len();
        put_target(line);
        let target = &line[method.len() + 1..];
        let is_visible = chars::run(target.as_bytes(), chars::TARGET) == target.len();
        if !is_visible || target::form(method, target).is_none() {
            return Err(EncodeError::InvalidTarget);
        }
        Ok(())
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

    /// Whether the server is told by an `Idempotency-Key` which request this is, so that it can be sent twice.
    pub(crate) fn has_idempotency_key(&self) -> bool {
        self.lines.values("Idempotency-Key").next().is_some()
    }

    /// Whether the request offers to change to a protocol.
    pub(crate) fn offers(&self, protocol: &[u8]) -> bool {
        let mut offered = self.lines.values("Upgrade").flat_map(chars::list);
        offered.any(|offer| offer.eq_ignore_ascii_case(protocol))
    }

    /// Whether a `Host` is set.
    #[must_use]
    pub fn has_host(&self) -> bool {
        self.host.is_set()
    }

    /// The value of `Host`, if it is set.
    pub(super) fn host(&self) -> Option<&[u8]> {
        self.host.is_set().then_some(self.host_value.as_bytes())
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
            Some(KnownField::Host) => {
                (self.host, self.is_host_own) = (Field::Set(()), true);
                self.host_value.clear();
                // What was found to be a host is ASCII.
                self.host_value.push_str(std::str::from_utf8(value).unwrap_or_default());
            }
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
            Some(KnownField::Host) => (self.host, self.is_host_own) = (Field::Removed, true),
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
