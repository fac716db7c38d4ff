//! Sections: the field lines of a head or of trailers, with the empty line after them (RFC 9112, 2.2, 5). Mirrors the
//! header states of llhttp.
//!
//! There are two readers. [`read`] reads a complete, valid section at full speed and returns `None` for any other.
//! [`Cursor`] then goes over the section line by line: it finds the first fault in byte order, in whatever pieces the bytes
//! came, and remembers which lines it has checked. So a section that arrives slowly costs one look at each line, plus one
//! at the unfinished line per piece.

use super::chars::{self, TOKEN};
use super::error::ParseError;
use super::fields::Span;
use super::limits::Limits;

/// Bounds on one section.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes, with the empty line (and for a head with the start line).
    pub(super) size: usize,
    /// Field lines.
    pub(super) fields: usize,
    /// The fault if `size` is exceeded.
    too_large: ParseError,
    /// What the first line is, if it is no field line.
    start_line: Option<StartLine>,
}

/// The first line of a head: of a request or of a response.
#[derive(Clone, Copy)]
pub(super) struct StartLine {
    /// The length of the line at the start of some bytes; `None` if it is valid so far but has not ended.
    pub(super) len: fn(&[u8]) -> Result<Option<usize>, ParseError>,
    /// The fault if the line alone exceeds the section's size.
    pub(super) too_long: ParseError,
}

impl Bounds {
    /// Bounds on a head.
    #[inline]
    pub(super) fn of_head(limits: &Limits, start_line: StartLine) -> Self {
        Self {
            size: limits.head_size(),
            fields: limits.max_headers,
            too_large: ParseError::HeadTooLarge,
            start_line: Some(start_line),
        }
    }

    /// Bounds on a trailer section.
    pub(super) fn of_trailers(limits: &Limits) -> Self {
        Self {
            size: limits.trailer_size(),
            fields: limits.max_headers,
            too_large: ParseError::TrailersTooLarge,
            start_line: None,
        }
    }

    /// The part of `input` that has to be looked at: one byte more than allowed proves an excess.
    pub(super) fn window<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[..input.len().min(self.size + 1)]
    }
}

/// Reads the field lines at the start of `bytes`, with the empty line after them, if they are complete, valid and at most
/// `max_fields`: puts the fields for which `keep` returns `true` into `spans`, and returns the length.
#[inline]
pub(super) fn read(
    bytes: &[u8],
    max_fields: usize,
    spans: &mut Vec<Span>,
    mut keep: impl FnMut(&[u8], &[u8], Span) -> bool,
) -> Option<usize> {
    spans.clear();
    let (mut rest, mut count) = (bytes, 0);
    while !rest.starts_with(b"\r\n") {
        let start = bytes.len() - rest.len();
        let field = FieldLine::read(rest)?;
        count += 1;
        let span = Span {
            name: start as u32,
            name_len: field.name.len() as u32,
            value: (start + field.value_start) as u32,
            value_len: field.value.len() as u32,
        };
        if keep(field.name, field.value, span) {
            spans.push(span);
        }
        rest = field.rest;
    }
    (count <= max_fields).then_some(bytes.len() - rest.len() + 2)
}

/// The parts of a field line.
struct FieldLine<'a> {
    name: &'a [u8],
    /// Without whitespace around it.
    value: &'a [u8],
    value_start: usize,
    /// The bytes after the line.
    rest: &'a [u8],
}

impl<'a> FieldLine<'a> {
    /// Reads the line at the start of `rest`, if it is complete and valid.
    #[inline]
    fn read(rest: &'a [u8]) -> Option<Self> {
        let (name, after) = rest.split_at(chars::run(rest, TOKEN));
        let (b':', mut text) = after.split_first()? else { return None };
        if name.is_empty() {
            return None;
        }
        if let Some(trimmed) = text.strip_prefix(b" ") {
            // Most senders write exactly this.
            text = trimmed;
        }
        while let Some(b' ' | b'\t') = text.first() {
            text = &text[1..];
        }
        let value_start = rest.len() - text.len();
        let (mut value, end) = text.split_at(chars::text_run(text));
        let rest = end.strip_prefix(b"\r\n")?;
        while let [trimmed @ .., b' ' | b'\t'] = value {
            value = trimmed;
        }
        Some(Self { name, value, value_start, rest })
    }
}

/// How far an unfinished section has been checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// Whether the start line comes next.
    in_start_line: bool,
    /// Where the first line starts that is not known to be complete and valid.
    line: u32,
    /// Field lines before it.
    fields: u32,
}

impl Cursor {
    /// At the start of a section.
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self { in_start_line: bounds.start_line.is_some(), line: 0, fields: 0 }
    }

    /// Goes on over the section at the start of `bytes`, whose checked part is unchanged. Returns its end, or `None` if it
    /// is valid so far but incomplete.
    pub(super) fn advance(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<usize>, ParseError> {
        while let Some(len) = self.line_len(&bytes[self.line as usize..], bounds)? {
            self.line += len.end() as u32;
            if let Line::Empty = len {
                let end = self.line as usize;
                return if end > bounds.size { Err(bounds.too_large) } else { Ok(Some(end)) };
            }
        }
        if bytes.len() <= bounds.size {
            return Ok(None);
        }
        let start_line = bounds.start_line.filter(|_| self.in_start_line);
        Err(start_line.map_or(bounds.too_large, |line| line.too_long))
    }

    /// Checks the line at the start of `rest`; `None` if it has not ended.
    fn line_len(&mut self, rest: &[u8], bounds: &Bounds) -> Result<Option<Line>, ParseError> {
        if let Some(start_line) = bounds.start_line.filter(|_| self.in_start_line) {
            let Some(len) = (start_line.len)(rest)? else { return Ok(None) };
            self.in_start_line = false;
            return Ok(Some(Line::Full(len)));
        }
        match *rest {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => return Ok(Some(Line::Empty)),
            [b'\r' | b'\n', ..] => return Err(ParseError::InvalidLineEnd),
            // RFC 9112, 5.2: a server refuses obs-fold or turns it into spaces; 2.2: whitespace before the first field is
            // refused or its line ignored. A refusal leaves nothing on which two recipients can disagree.
            [b' ' | b'\t', ..] => return Err(ParseError::LeadingWhitespace),
            _ if self.fields as usize >= bounds.fields => return Err(ParseError::TooManyFields),
            _ => {}
        }
        let Some(newline) = memchr::memchr(b'\n', rest) else {
            check_field_line(rest)?;
            return Ok(None);
        };
        let line = &rest[..=newline];
        check_field_line(line)?;
        if !line.ends_with(b"\r\n") {
            return Err(ParseError::InvalidLineEnd);
        }
        self.fields += 1;
        Ok(Some(Line::Full(line.len())))
    }
}

/// A line that was found complete and valid.
enum Line {
    Full(usize),
    Empty,
}

impl Line {
    fn end(&self) -> usize {
        match self {
            Self::Full(len) => *len,
            Self::Empty => 2,
        }
    }
}

/// Checks the bytes of one field line, which may be unfinished.
fn check_field_line(line: &[u8]) -> Result<(), ParseError> {
    let name = chars::run(line, TOKEN);
    match line.get(name) {
        None => return Ok(()),
        Some(b':') if name > 0 => {}
        Some(_) => return Err(ParseError::InvalidFieldName),
    }
    let rest = &line[name + 1..];
    match &rest[chars::text_run(rest)..] {
        [] | [b'\r'] | [b'\n' | b'\r', b'\n', ..] | [b'\n'] => Ok(()),
        [_, ..] => Err(ParseError::InvalidFieldValue),
    }
}
