//! Sections: the field lines of a head or of trailers, with the empty line after them (RFC 9112, 2.2, 5). Mirrors the
//! header states of llhttp, and what Node's `StringPtr::Save` does for the parts of a head.
//!
//! [`Cursor`] reads a section line by line: it finds the first fault in byte order, in whatever pieces the bytes came, and
//! remembers which lines it has checked. So a section that arrives slowly costs one look at each line, plus one at the
//! unfinished line per piece. Its bytes wait in a [`Partial`]; a decoder copies no others.

use super::chars::{self, TOKEN};
use super::{Limits, ParseError, Parsed};

/// Bounds on one section.
pub(super) struct Bounds {
    /// Bytes, with the empty line (and for a head with the start line).
    pub(super) size: usize,
    /// Field lines.
    pub(super) fields: usize,
    /// The fault if `size` is exceeded.
    too_large: ParseError,
}

impl Bounds {
    #[inline]
    pub(super) fn of_head(limits: &Limits) -> Self {
        Self::new(limits.max_header_size, limits, ParseError::HeadTooLarge)
    }

    pub(super) fn of_trailers(limits: &Limits) -> Self {
        Self::new(limits.max_trailer_size, limits, ParseError::TrailersTooLarge)
    }

    #[inline]
    fn new(size: usize, limits: &Limits, too_large: ParseError) -> Self {
        Self { size: size.min(Limits::MAX_SECTION), fields: limits.max_headers, too_large }
    }

    /// The part of `input` that has to be looked at: one byte more than allowed proves an excess.
    #[inline]
    pub(super) fn window<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[..input.len().min(self.size + 1)]
    }
}

impl Bounds {
    /// How many bytes stand before the first byte that makes the section at the start of `bytes` invalid; if it is valid by
    /// itself, before its last byte. What is invalid stays invalid with more bytes, so few looks find it.
    #[cold]
    pub(super) fn fault_at(&self, bytes: &[u8], start_line: impl Fn(&[u8]) -> Parsed<usize>) -> usize {
        let end = |len: usize| {
            let bytes = &bytes[..len];
            match start_line(bytes)? {
                None => Ok(None),
                Some(line) => Cursor::behind(line).advance(bytes, self, |_, _| {}),
            }
        };
        if let Ok(end) = end(bytes.len()) {
            return end.unwrap_or(bytes.len()).saturating_sub(1);
        }
        let (mut valid, mut invalid) = (0, bytes.len());
        while invalid - valid > 1 {
            let middle = valid + (invalid - valid) / 2;
            if end(middle).is_ok() { valid = middle } else { invalid = middle }
        }
        valid
    }
}

/// A field line that is complete and valid.
pub(super) struct FieldLine<'a> {
    pub(super) name: &'a [u8],
    /// Without whitespace around it.
    pub(super) value: &'a [u8],
    /// Where the value starts in the line.
    pub(super) value_start: usize,
}

/// Reads the field line at the start of `bytes` and hands it to `see`. Returns its length with CR LF, or `None` if it is
/// valid so far but has not ended.
#[inline]
fn read_line<'a>(bytes: &'a [u8], see: impl FnOnce(&FieldLine<'a>)) -> Parsed<usize> {
    let (name, after) = bytes.split_at(chars::run(bytes, TOKEN));
    let mut text = match after {
        [] => return Ok(None),
        // Most senders write exactly one space.
        [b':', text @ ..] if !name.is_empty() => text.strip_prefix(b" ").unwrap_or(text),
        _ => return Err(ParseError::InvalidFieldName),
    };
    while let [b' ' | b'\t', trimmed @ ..] = text {
        text = trimmed;
    }
    let value_start = bytes.len() - text.len();
    let (mut value, end) = text.split_at(chars::text_run(text));
    match end {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => {}
        [b'\n', ..] => return Err(ParseError::InvalidLineEnd),
        _ => return Err(ParseError::InvalidFieldValue),
    }
    let len = value_start + value.len() + 2;
    while let [trimmed @ .., b' ' | b'\t'] = value {
        value = trimmed;
    }
    see(&FieldLine { name, value, value_start });
    Ok(Some(len))
}

/// How far an unfinished section has been checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// Where the first line starts that is not known to be complete and valid.
    line: usize,
    /// Field lines before it.
    fields: usize,
}

impl Cursor {
    /// Behind a start line of this length.
    #[inline]
    pub(super) fn behind(start_line: usize) -> Self {
        Self { line: start_line, fields: 0 }
    }

    /// Goes on over the section at the start of `bytes`, whose checked part is unchanged, with a call of `see` for each
    /// further field line and its position. Returns the section's end, or `None` if it is valid so far but incomplete.
    #[inline]
    pub(super) fn advance<'a>(
        &mut self,
        bytes: &'a [u8],
        bounds: &Bounds,
        mut see: impl FnMut(usize, &FieldLine<'a>),
    ) -> Parsed<usize> {
        loop {
            let rest = &bytes[self.line..];
            match *rest {
                [] | [b'\r'] => break,
                [b'\r', b'\n', ..] if self.line + 2 > bounds.size => return Err(bounds.too_large),
                [b'\r', b'\n', ..] => return Ok(Some(self.line + 2)),
                [b'\r' | b'\n', ..] => return Err(ParseError::InvalidLineEnd),
                // RFC 9112, 5.2: a server refuses obs-fold or turns it into spaces; 2.2: whitespace before the first field
                // is refused or its line ignored. A refusal leaves nothing on which two recipients can disagree.
                [b' ' | b'\t', ..] => return Err(ParseError::LeadingWhitespace),
                _ if self.fields >= bounds.fields => return Err(ParseError::TooManyFields),
                _ => {}
            }
            let Some(len) = read_line(rest, |line| see(self.line, line))? else { break };
            self.line += len;
            self.fields += 1;
        }
        if bytes.len() > bounds.size { Err(bounds.too_large) } else { Ok(None) }
    }
}

/// A section that arrives in pieces. It owns no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Partial(Option<Box<Pieces>>);

#[derive(Debug, Default)]
struct Pieces {
    bytes: Vec<u8>,
    /// How far `bytes` are checked.
    cursor: Cursor,
}

impl Partial {
    /// Whether no memory is held.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The bytes that are held.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |pieces| &pieces.bytes)
    }

    /// How many bytes are held.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |pieces| pieces.bytes.len())
    }

    /// Takes what belongs to the section off `input`. Returns the section once it is complete. `start_line` returns the
    /// length of the line before the fields, if that is complete.
    pub(super) fn gather(
        &mut self,
        input: &mut &[u8],
        bounds: &Bounds,
        start_line: impl FnOnce(&[u8]) -> Parsed<usize>,
    ) -> Parsed<&[u8]> {
        let Pieces { bytes, cursor } = &mut **self.0.get_or_insert_default();
        let held = bytes.len();
        let room = (bounds.size + 1).saturating_sub(held);
        bytes.extend_from_slice(&input[..input.len().min(room)]);
        if cursor.line == 0 {
            let Some(len) = start_line(bytes)? else {
                *input = &[];
                return Ok(None);
            };
            cursor.line = len;
        }
        let end = cursor.advance(bytes, bounds, |_, _| {})?;
        // An incomplete section within its bounds is all of the input.
        *input = end.map_or(&[], |end| &input[end.saturating_sub(held)..]);
        bytes.truncate(end.unwrap_or(usize::MAX));
        Ok(end.map(|_| bytes.as_slice()))
    }
}
