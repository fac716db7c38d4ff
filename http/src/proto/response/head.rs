//! The head and the trailers of a response, as an application sets them. Mirrors the header half of Node's
//! `OutgoingMessage`.
//!
//! Lines are written when they are set, in the form in which they will be sent. The few fields that the encoder itself
//! decides about are kept as values.

use super::encode::{EncodeError, check_field, check_reason, field};
use super::field_lines::{FieldLines, recycle};
use super::framing::{BodyFraming, Field, FramingFields, RequestFacts, ResponseFacts};
use crate::proto::names;
use crate::proto::names::KnownField;

/// The head of a response that is being prepared, and its trailers.
///
/// ```
/// use http::proto::ResponseHead;
///
/// let mut head = ResponseHead::new();
/// head.set_status(404)?;
/// head.set("Content-Type", b"text/plain")?;
/// assert!(head.set("Bad name", b"").is_err());
/// # Ok::<(), http::proto::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct ResponseHead {
    status: u16,
    /// Lines as they will be sent, without those that `cold` has.
    lines: FieldLines,
    cold: Cold,
    /// Whether `cold` was touched. [`ResponseHead::cold`] sets it, and is the only way to change `cold`.
    has_cold: bool,
}

/// What few responses set.
#[derive(Debug, Default)]
struct Cold {
    reason: Option<Box<[u8]>>,
    framing: FramingFields,
    trailer_lines: Vec<u8>,
    /// A `Trailer` is among the lines.
    has_trailer: bool,
    /// `Date` was set or removed: the encoder does not add it. The same for `Keep-Alive`.
    has_date: bool,
    has_keep_alive: bool,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self { status: 200, lines: FieldLines::default(), cold: Cold::default(), has_cold: false }
    }
}

impl ResponseHead {
    /// The head of a response with status 200 and no fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Sets the status.
    ///
    /// # Errors
    /// `InvalidStatus` outside of 100 to 999.
    #[inline]
    pub fn set_status(&mut self, status: u16) -> Result<(), EncodeError> {
        if !(100..=999).contains(&status) {
            return Err(EncodeError::InvalidStatus(status));
        }
        self.status = status;
        Ok(())
    }

    /// Sets the reason phrase. Default: the registered one of the status.
    ///
    /// # Errors
    /// `InvalidReason` for control characters.
    pub fn set_reason(&mut self, reason: &[u8]) -> Result<(), EncodeError> {
        check_reason(reason)?;
        self.cold().reason = Some(reason.into());
        Ok(())
    }

    /// Sets a field, in place of those of its name.
    ///
    /// # Errors
    /// `InvalidFieldName`, `InvalidFieldValue`, and `InvalidFraming` for a `Content-Length` that is no number or an empty
    /// `Transfer-Encoding`.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        let before = self.lines.len();
        self.append(name, value)?;
        if before > 0 {
            self.lines.remove(name, before);
        }
        Ok(())
    }

    /// The fast path of [`set`](Self::set): sets a field if it is the first one and the last response of this record began
    /// with the same one. Returns whether it did.
    #[inline]
    pub(crate) fn set_again(&mut self, name: &str, value: &[u8]) -> bool {
        self.lines.put_again(name, value)
    }

    /// Adds a field beside those of its name; `Connection`, `Content-Length` and `Transfer-Encoding` are replaced.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn append(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        match KnownField::of(name.as_bytes()) {
            Some(known) => self.append_known(known, name, value),
            None => self.lines.put(name, value),
        }
    }

    fn append_known(&mut self, known: KnownField, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        match known {
            KnownField::Expect | KnownField::Host | KnownField::Upgrade => self.lines.put(name, value)?,
            KnownField::Date | KnownField::Trailer | KnownField::KeepAlive => {
                self.lines.put(name, value)?;
                // `cold` has to record it each time.
                self.lines.forget_first();
                self.note(known, true);
            }
            KnownField::ContentLength => {
                check_field(name, value)?;
                self.cold().framing.content_length = Field::Set(length(value)?);
            }
            KnownField::TransferEncoding => {
                check_field(name, value)?;
                if value.trim_ascii().is_empty() {
                    return Err(EncodeError::InvalidFraming);
                }
                self.cold().framing.transfer_encoding = Field::Set(value.into());
            }
            KnownField::Connection => {
                check_field(name, value)?;
                self.cold().framing.connection = Field::Set(value.into());
            }
        }
        Ok(())
    }

    /// Records that a field was set or removed.
    fn note(&mut self, known: KnownField, is_set: bool) {
        let cold = self.cold();
        match known {
            KnownField::Date => cold.has_date = true,
            KnownField::KeepAlive => cold.has_keep_alive = true,
            KnownField::Trailer => cold.has_trailer = is_set,
            _ => {}
        }
    }

    /// Removes a field. The encoder then does not add it either.
    pub fn remove(&mut self, name: &str) {
        self.lines.remove(name, self.lines.len());
        match KnownField::of(name.as_bytes()) {
            Some(KnownField::ContentLength) => self.cold().framing.content_length = Field::Removed,
            Some(KnownField::TransferEncoding) => self.cold().framing.transfer_encoding = Field::Removed,
            Some(KnownField::Connection) => self.cold().framing.connection = Field::Removed,
            Some(known) => self.note(known, false),
            None => {}
        }
    }

    /// Adds a field after the body, which is then chunked.
    ///
    /// # Errors
    /// `InvalidFieldName`, `InvalidFieldValue`, and `MisplacedField` for a field that may not stand in a trailer section
    /// (RFC 9110, 6.5.1).
    pub fn add_trailer(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        Self::check_trailer(name, value)?;
        field(&mut self.cold().trailer_lines, name, value)
    }

    /// Whether [`add_trailer`](Self::add_trailer) takes a field.
    pub(crate) fn check_trailer(name: &str, value: &[u8]) -> Result<(), EncodeError> {
        check_field(name, value)?;
        if names::is_trailer(name.as_bytes()) { Ok(()) } else { Err(EncodeError::MisplacedField) }
    }

    /// Removes everything; buffers are kept for the next response.
    #[inline]
    pub fn clear(&mut self) {
        self.lines.clear();
        self.status = 200;
        if self.has_cold {
            self.clear_cold();
        }
    }

    #[inline(never)]
    fn clear_cold(&mut self) {
        let mut trailer_lines = std::mem::take(&mut self.cold.trailer_lines);
        recycle(&mut trailer_lines);
        self.cold = Cold { trailer_lines, ..Cold::default() };
        self.has_cold = false;
    }

    /// Whether nothing but status and lines was set.
    #[inline]
    pub(crate) fn is_simple(&self) -> bool {
        !self.has_cold
    }

    fn cold(&mut self) -> &mut Cold {
        self.has_cold = true;
        &mut self.cold
    }

    /// Decides how the response is delimited whose body begins, or if `is_whole` ends, with `len` bytes, and leaves of the
    /// fields about that those that are sent.
    pub(super) fn settle(
        &mut self,
        request: &RequestFacts,
        len: u64,
        is_whole: bool,
    ) -> Result<(BodyFraming, bool), EncodeError> {
        let status = self.status;
        let cold = self.cold();
        let wants_trailers = cold.has_trailer || !cold.trailer_lines.is_empty();
        let settled =
            cold.framing.settle(request, &ResponseFacts { status, wants_trailers, len, is_whole })?;
        if cold.has_trailer && settled.0 != BodyFraming::Chunked {
            self.lines.remove("Trailer", self.lines.len());
        }
        Ok(settled)
    }

    pub(super) fn reason(&self) -> Option<&[u8]> {
        self.cold.reason.as_deref()
    }

    pub(super) fn lines(&self) -> &FieldLines {
        &self.lines
    }

    pub(super) fn lines_mut(&mut self) -> &mut FieldLines {
        &mut self.lines
    }

    pub(super) fn framing(&self) -> &FramingFields {
        &self.cold.framing
    }

    /// Whether the encoder adds a `Date`.
    pub(super) fn wants_date(&self) -> bool {
        !self.cold.has_date
    }

    /// Whether the encoder may add a `Keep-Alive`.
    pub(super) fn wants_keep_alive(&self) -> bool {
        !self.cold.has_keep_alive
    }

    pub(super) fn trailer_lines(&self) -> &[u8] {
        &self.cold.trailer_lines
    }
}

fn length(value: &[u8]) -> Result<u64, EncodeError> {
    // `parse` takes a plus sign as well, which RFC 9110, 8.6 does not.
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or(EncodeError::InvalidFraming)
}

#[cfg(test)]
mod tests {
    use super::ResponseHead;

    #[test]
    fn a_record_that_is_used_again_repeats_its_first_field_unless_the_encoder_has_to_know_of_it() {
        let mut head = ResponseHead::new();
        for turn in 0..3 {
            for (name, is_known) in [("Content-Type", false), ("Date", true)] {
                // Once more, so that the record's last use began with this field.
                for is_last in [false, true] {
                    head.clear();
                    let again = head.set_again(name, b"x");
                    assert_eq!(again, is_last && !is_known, "{name} in turn {turn}");
                    if !again {
                        assert_eq!(head.set(name, b"x"), Ok(()));
                    }
                    assert_eq!(head.wants_date(), !is_known);
                    assert_eq!(head.lines().as_slice(), format!("{name}: x\r\n").as_bytes());
                }
            }
        }
    }
}
