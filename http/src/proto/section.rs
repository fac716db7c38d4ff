//! Field sections: the field lines of a head or of trailers, with the empty line after them (RFC 9112, 2.2, 5).
//!
//! There are two readers. [`read`] takes a complete, valid section at full speed with `httparse` and says
//! nothing about any other. [`Cursor`] then goes over it line by line: it finds the first fault in byte
//! order, whatever pieces the bytes came in, and remembers which lines it has seen. So a section that
//! trickles in costs one look at each line, plus one at the unfinished line per piece: with the default
//! limits at most 2 µs a piece, less than the system call that brought it.

use super::error::ParseError;
use super::fields::{Scratch, Span};
use super::request_line;
use httparse::{EMPTY_HEADER, Status};

/// Fields that `httparse` is given room for at a time: more than most requests have, and still cheap to
/// initialise.
const BATCH: usize = 16;

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

/// Reads the section that starts at `from`, if it is complete and valid: puts the fields for which `keep`
/// says so into `scratch`, and returns where the section ends.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    from: usize,
    bounds: &Bounds,
    scratch: &mut Scratch,
    mut keep: impl FnMut(&'a [u8], &'a [u8]) -> bool,
) -> Option<usize> {
    scratch.spans.clear();
    let (mut line, mut count) = (from, 0);
    loop {
        let mut batch = [EMPTY_HEADER; BATCH];
        let (headers, is_last) = match httparse::parse_headers(bytes.get(line..)?, &mut batch) {
            Ok(Status::Complete((_, headers))) => (headers, true),
            Err(httparse::Error::TooManyHeaders) => (&batch[..], false),
            Ok(Status::Partial) | Err(_) => return None,
        };
        count += headers.len();
        for header in headers {
            let (name, value) = (header.name.as_bytes(), header.value);
            let at = value.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
            if keep(name, value) {
                scratch.spans.push(Span {
                    name: line as u32,
                    name_len: name.len() as u32,
                    value: at as u32,
                    value_len: value.len() as u32,
                });
            }
            line = after_crlf(bytes, at + value.len())?;
        }
        if is_last {
            let end = after_crlf(bytes, line)?;
            return (count <= bounds.fields && end <= bounds.size).then_some(end);
        }
    }
}

/// Where the line after the one that ends at `at` starts, unless that end is not CR LF (`httparse` takes a
/// bare LF).
#[inline]
fn after_crlf(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Whitespace after a value is not part of it.
    while let Some(b' ' | b'\t') = bytes.get(at) {
        at += 1;
    }
    bytes.get(at..)?.starts_with(b"\r\n").then_some(at + 2)
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
            let Some(line) = request_line::parse(rest)? else { return Ok(None) };
            self.in_request_line = false;
            return Ok(Some(Line::Full(line.len)));
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
    match httparse::parse_headers(line, &mut [EMPTY_HEADER; 1]) {
        Ok(_) => Ok(()),
        Err(httparse::Error::HeaderName) => Err(ParseError::InvalidFieldName),
        Err(_) => Err(ParseError::InvalidFieldValue),
    }
}
