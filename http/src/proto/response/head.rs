//! The head and the trailers of a response, as an application sets them. Mirrors the header half of Node's
//! `OutgoingMessage`.
//!
//! Lines are written when they are set, in the form in which they will be sent. The few fields that the encoder itself
//! decides about are kept as values.

use super::encode::{EncodeError, check_field, field, status_line};
use super::field_lines::{FieldLines, recycle};
use super::framing::{FieldLine, ResponseFacts, ResponseFraming, SetEncoding};
use crate::proto::connection_options::ConnectionOptions;
use crate::proto::known::{KnownField, KnownFields};
use crate::proto::trailer;

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
    content_length: Option<u64>,
    transfer_encoding: Option<Box<[u8]>>,
    connection: Option<Box<[u8]>>,
    trailer_lines: Vec<u8>,
    set: KnownFields,
    /// Removed fields are not added by the encoder either.
    removed: KnownFields,
}

/// The `Connection` field of a response, as the application left it.
pub(super) enum Named<'a> {
    /// It was set to this.
    Set(&'a [u8]),
    /// It was removed: none is sent.
    Removed,
    /// It was neither set nor removed.
    Nothing,
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
        status_line(&mut Vec::new(), 200, Some(reason))?;
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
            KnownField::Expect | KnownField::Host | KnownField::Upgrade => {
                return self.lines.put(name, value);
            }
            KnownField::Date | KnownField::Trailer | KnownField::KeepAlive => {
                self.lines.put(name, value)?;
                // `cold` has to record it each time.
                self.lines.forget_first();
            }
            KnownField::ContentLength => {
                check_field(name, value)?;
                self.cold().content_length = Some(length(value)?);
            }
            KnownField::TransferEncoding => {
                check_field(name, value)?;
                if value.trim_ascii().is_empty() {
                    return Err(EncodeError::InvalidFraming);
                }
                self.cold().transfer_encoding = Some(value.into());
            }
            KnownField::Connection => {
                check_field(name, value)?;
                self.cold().connection = Some(value.into());
            }
        }
        let cold = self.cold();
        cold.set.insert(known);
        cold.removed.remove(known);
        Ok(())
    }

    /// Removes a field. The encoder then does not add it either.
    pub fn remove(&mut self, name: &str) {
        self.lines.remove(name, self.lines.len());
        let Some(known) = KnownField::of(name.as_bytes()) else { return };
        let cold = self.cold();
        cold.set.remove(known);
        cold.removed.insert(known);
        match known {
            KnownField::ContentLength => cold.content_length = None,
            KnownField::TransferEncoding => cold.transfer_encoding = None,
            KnownField::Connection => cold.connection = None,
            _ => {}
        }
    }

    /// Adds a field after the body, which is then chunked.
    ///
    /// # Errors
    /// `InvalidFieldName`, `InvalidFieldValue`, and `MisplacedField` for a field that may not stand in a trailer section
    /// (RFC 9110, 6.5.1).
    pub fn add_trailer(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        check_trailer(name, value)?;
        field(&mut self.cold().trailer_lines, name, value)
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

    /// The status and the lines, if that is all that was set.
    #[inline]
    pub(crate) fn simple(&mut self) -> Option<(u16, &mut FieldLines)> {
        (!self.has_cold).then_some((self.status, &mut self.lines))
    }

    fn cold(&mut self) -> &mut Cold {
        self.has_cold = true;
        &mut self.cold
    }

    /// What decides how the body is delimited.
    pub(super) fn facts(&self, known_length: Option<u64>) -> ResponseFacts {
        let cold = &self.cold;
        ResponseFacts {
            status: self.status,
            known_length,
            content_length: cold.content_length,
            transfer_encoding: cold.transfer_encoding.as_deref().map(set_encoding),
            connection: cold.connection.as_deref().map(connection_options),
            trailer: cold.set.contains(KnownField::Trailer) || !cold.trailer_lines.is_empty(),
            no_content_length: cold.removed.contains(KnownField::ContentLength),
            no_transfer_encoding: cold.removed.contains(KnownField::TransferEncoding),
            no_connection: cold.removed.contains(KnownField::Connection),
        }
    }

    /// Keeps of the fields that speak of the body and the connection those that are to be sent.
    pub(super) fn settle(&mut self, framing: &ResponseFraming) {
        let cold = self.cold();
        cold.content_length = framing.content_length;
        cold.transfer_encoding = match framing.transfer_encoding {
            FieldLine::Omit => None,
            FieldLine::AsSet => cold.transfer_encoding.take(),
            // An empty value, which nothing can set, stands for `chunked`: it takes no memory.
            FieldLine::Send(()) => Some(Box::default()),
        };
        if framing.connection == FieldLine::Omit {
            cold.removed.insert(KnownField::Connection);
        } else {
            cold.removed.remove(KnownField::Connection);
        }
        if framing.connection != FieldLine::AsSet {
            cold.connection = None;
        }
        if self.cold.set.contains(KnownField::Trailer) && !framing.trailers {
            self.lines.remove("Trailer", self.lines.len());
        }
    }

    pub(super) fn reason(&self) -> Option<&[u8]> {
        self.cold.reason.as_deref()
    }

    pub(super) fn lines(&self) -> &[u8] {
        self.lines.as_slice()
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.cold.content_length
    }

    pub(super) fn transfer_encoding(&self) -> Option<&[u8]> {
        self.cold
            .transfer_encoding
            .as_deref()
            .map(|codings| if codings.is_empty() { b"chunked" } else { codings })
    }

    pub(super) fn connection(&self) -> Named<'_> {
        match &self.cold.connection {
            Some(value) => Named::Set(value),
            None if self.cold.removed.contains(KnownField::Connection) => Named::Removed,
            None => Named::Nothing,
        }
    }

    /// Whether the encoder adds a `Date`.
    pub(super) fn wants_date(&self) -> bool {
        !self.is_decided(KnownField::Date)
    }

    /// Whether the encoder may add a `Keep-Alive`.
    pub(super) fn wants_keep_alive(&self) -> bool {
        !self.is_decided(KnownField::KeepAlive)
    }

    fn is_decided(&self, field: KnownField) -> bool {
        self.cold.set.contains(field) || self.cold.removed.contains(field)
    }

    pub(super) fn trailer_lines(&self) -> &[u8] {
        &self.cold.trailer_lines
    }

    /// About how many bytes the fields take.
    pub(super) fn size_hint(&self) -> usize {
        self.lines.len()
    }
}

/// Whether [`ResponseHead::add_trailer`] takes a field.
pub(super) fn check_trailer(name: &str, value: &[u8]) -> Result<(), EncodeError> {
    check_field(name, value)?;
    if trailer::is_allowed(name.as_bytes()) { Ok(()) } else { Err(EncodeError::MisplacedField) }
}

fn length(value: &[u8]) -> Result<u64, EncodeError> {
    // `parse` takes a plus sign as well, which RFC 9110, 8.6 does not.
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or(EncodeError::InvalidFraming)
}

fn set_encoding(value: &[u8]) -> SetEncoding {
    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    if last.trim_ascii().eq_ignore_ascii_case(b"chunked") { SetEncoding::Chunked } else { SetEncoding::Other }
}

fn connection_options(value: &[u8]) -> ConnectionOptions {
    let mut options = ConnectionOptions::default();
    options.add(value);
    options
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
                    assert_eq!(head.lines(), format!("{name}: x\r\n").as_bytes());
                }
            }
        }
    }
}
