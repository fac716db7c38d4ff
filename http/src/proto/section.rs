//! Field sections: the field lines of a head or of trailers, with the empty line after them (RFC 9112, 2.2, 5).
//!
//! There are two readers. [`read`] takes a complete, valid section at full speed and says nothing about any
//! other. [`Cursor`] then goes over it line by line: it finds the first fault in byte order, whatever pieces
//! the bytes came in, and remembers which lines it has seen. So a section that trickles in costs one look at
//! each line, plus one at the unfinished line per piece.

use super::chars::{self, TOKEN};
use super::error::ParseError;
use super::fields::Span;
use super::request::line;

/// Bounds on one section.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes, with the empty line (and for a head with the request line).
    pub(super) size: usize,
    /// Field lines.
    pub(super) fields: usize,
    /// The fault if `size` is exceeded.
    pub(super) too_large: ParseError,
}

impl Bounds {
    /// As much of `input` as is worth looking at: one byte more than allowed proves an excess.
    pub(super) fn window<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[..input.len().min(self.size + 1)]
    }
}

/// Reads the section at the start of `bytes`, if it is complete, valid and of at most `max_fields` lines: puts the fields
/// for which `keep` says so into `spans`, and returns the section's length.
#[inline(always)]
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
    /// What follows the line.
    rest: &'a [u8],
}

impl<'a> FieldLine<'a> {
    /// Reads the line at the start of `rest`, if it is complete and valid.
    #[inline(always)]
    fn read(rest: &'a [u8]) -> Option<Self> {
        let (name, after) = rest.split_at(chars::run(rest, TOKEN));
        let (b':', mut text) = after.split_first()? else { return None };
        if name.is_empty() {
            return None;
        }
        if let Some(trimmed) = text.strip_prefix(b" ") {
            // Usually that is all.
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
    /// Whether the request line comes next.
    in_request_line: bool,
    /// Where the first line starts that is not known to be complete and valid.
    line: u32,
    /// Field lines before it.
    fields: u32,
}

impl Cursor {
    /// At the start of a request's head.
    pub(super) fn at_head() -> Self {
        Self { in_request_line: true, line: 0, fields: 0 }
    }

    /// At the start of a trailer section.
    pub(super) fn at_trailers() -> Self {
        Self { in_request_line: false, line: 0, fields: 0 }
    }

    /// Goes on over the section that `bytes` starts with, and whose checked part is unchanged. Returns its
    /// end, or `None` if it is valid so far but incomplete.
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
        Err(if self.in_request_line { ParseError::UriTooLong } else { bounds.too_large })
    }

    /// Checks the line at the start of `rest`; `None` if it has not ended.
    fn line_len(&mut self, rest: &[u8], bounds: &Bounds) -> Result<Option<Line>, ParseError> {
        if self.in_request_line {
            let Some(len) = line::len(rest)? else { return Ok(None) };
            self.in_request_line = false;
            return Ok(Some(Line::Full(len)));
        }
        match *rest {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => return Ok(Some(Line::Empty)),
            [b'\r' | b'\n', ..] => return Err(ParseError::InvalidLineEnd),
            // RFC 9112, 5.2: a server refuses obs-fold or turns it into spaces; 2.2: whitespace before the
            // first field is refused or its line ignored. Refusing is what no two recipients can disagree
            // about.
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
