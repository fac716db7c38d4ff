//! The head and the trailers of a response, as an application sets them. Mirrors the header half of Node's
//! `OutgoingMessage`.
//!
//! Lines are written when they are set, in the form in which they will be sent. The few fields that the encoder itself
//! decides about are kept as values.

use super::reason::reason_phrase;
use crate::proto::lines::{Field, FieldLines, KEPT_CAPACITY, check_field, is_text, put_line, recycle};
use crate::proto::names::{self, KnownField};
use crate::proto::{EncodeError, chars};

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
    /// Whether `rare` was touched. [`ResponseHead::rare_mut`] sets it, and is the only way to change `rare`.
    has_rare: bool,
    /// Lines as they will be sent, without those that `rare` has.
    pub(super) lines: FieldLines,
    rare: Rare,
}

/// What few responses set.
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) reason: Option<Box<[u8]>>,
    pub(super) content_length: Field<u64>,
    pub(super) transfer_encoding: Field<Box<[u8]>>,
    pub(super) connection: Field<Box<[u8]>>,
    pub(super) trailer_lines: Vec<u8>,
    /// A `Trailer` is among the lines.
    pub(super) has_trailer: bool,
    /// `Date` was set or removed: the encoder does not add it. The same for `Keep-Alive`.
    pub(super) has_date: bool,
    pub(super) has_keep_alive: bool,
}

impl Rare {
    pub(super) fn wants_trailers(&self) -> bool {
        self.has_trailer || !self.trailer_lines.is_empty()
    }

    /// Records that a field among the lines was set or removed.
    fn note(&mut self, known: KnownField, is_set: bool) {
        match known {
            KnownField::Date => self.has_date = true,
            KnownField::KeepAlive => self.has_keep_alive = true,
            KnownField::Trailer => self.has_trailer = is_set,
            _ => {}
        }
    }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self { status: 200, has_rare: false, lines: FieldLines::default(), rare: Rare::default() }
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

    /// The values of the fields called `name`, in whatever case, that were set. `Connection`, `Content-Length` and
    /// `Transfer-Encoding` are not among them: the encoder decides about those.
    #[cfg(feature = "codings")]
    pub(crate) fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &[u8]> + use<'_, 'n> {
        self.lines.as_slice().split(|byte| *byte == b'\n').filter_map(move |line| {
            // `name: value` CR
            let (start, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b": ")?.strip_suffix(b"\r")?;
            start.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    }

    /// The `Content-Length` that was set.
    #[cfg(feature = "codings")]
    pub(crate) fn content_length(&self) -> Option<u64> {
        match self.rare.content_length {
            Field::Set(length) => Some(length),
            _ => None,
        }
    }

    #[cfg(feature = "codings")]
    pub(crate) fn has_transfer_encoding(&self) -> bool {
        self.rare.transfer_encoding.is_set()
    }

    /// Sets the reason phrase. Default: the registered one of the status.
    ///
    /// # Errors
    /// `InvalidReason` for control characters.
    pub fn set_reason(&mut self, reason: &[u8]) -> Result<(), EncodeError> {
        if !is_text(reason) {
            return Err(EncodeError::InvalidReason);
        }
        self.rare_mut().reason = Some(reason.into());
        Ok(())
    }

    /// Sets a reason phrase that was received, unless it is the registered one, or none.
    pub(crate) fn set_reason_unless_usual(&mut self, reason: &[u8]) -> Result<(), EncodeError> {
        let is_usual = reason.is_empty() || reason == reason_phrase(self.status).as_bytes();
        if is_usual { Ok(()) } else { self.set_reason(reason) }
    }

    /// Sets a field, in place of those of its name.
    ///
    /// # Errors
    /// `InvalidFieldName`, `InvalidFieldValue`, and `InvalidFraming` for a `Content-Length` that is no number or an empty
    /// `Transfer-Encoding`.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        if self.set_again(name, value) {
            return Ok(());
        }
        let before = self.lines.len;
        self.append(name, value)?;
        self.lines.remove(name, before);
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
        let Some(known) = KnownField::of(name.as_bytes()) else { return self.lines.put(name, value, false) };
        check_field(name, value)?;
        match known {
            KnownField::Expect | KnownField::Host | KnownField::Upgrade => {
                self.lines.put(name, value, false)?
            }
            KnownField::Date | KnownField::Trailer | KnownField::KeepAlive => {
                self.lines.put(name, value, true)?;
                self.rare_mut().note(known, true);
            }
            KnownField::ContentLength => {
                let length = chars::decimal(value).ok_or(EncodeError::InvalidFraming)?;
                self.rare_mut().content_length = Field::Set(length);
            }
            KnownField::TransferEncoding if value.trim_ascii().is_empty() => {
                return Err(EncodeError::InvalidFraming);
            }
            KnownField::TransferEncoding => self.rare_mut().transfer_encoding = Field::Set(value.into()),
            KnownField::Connection => self.rare_mut().connection = Field::Set(value.into()),
        }
        Ok(())
    }

    /// Removes a field. The encoder then does not add it either.
    pub fn remove(&mut self, name: &str) {
        self.lines.remove(name, self.lines.len);
        let Some(known) = KnownField::of(name.as_bytes()) else { return };
        let rare = self.rare_mut();
        match known {
            KnownField::ContentLength => rare.content_length = Field::Removed,
            KnownField::TransferEncoding => rare.transfer_encoding = Field::Removed,
            KnownField::Connection => rare.connection = Field::Removed,
            _ => rare.note(known, false),
        }
    }

    /// Adds a field after the body, which is then chunked.
    ///
    /// # Errors
    /// `InvalidFieldName`, `InvalidFieldValue`, and `MisplacedField` for a field that may not stand in a trailer section
    /// (RFC 9110, 6.5.1).
    pub fn add_trailer(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        Self::check_trailer(name, value)?;
        put_line(&mut self.rare_mut().trailer_lines, name, value);
        Ok(())
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
        if self.has_rare {
            self.clear_rare();
        }
    }

    #[inline(never)]
    fn clear_rare(&mut self) {
        let mut trailer_lines = std::mem::take(&mut self.rare.trailer_lines);
        recycle(&mut trailer_lines, 0, KEPT_CAPACITY);
        self.rare = Rare { trailer_lines, ..Rare::default() };
        self.has_rare = false;
    }

    /// Whether nothing but status and lines was set.
    #[inline]
    pub(crate) fn is_simple(&self) -> bool {
        !self.has_rare
    }

    pub(super) fn rare(&self) -> &Rare {
        &self.rare
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.has_rare = true;
        &mut self.rare
    }
}
