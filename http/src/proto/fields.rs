//! The fields of a message: a view of the received bytes through a reusable table of positions. Mirrors Node's `rawHeaders`:
//! order and letter case are kept as received.

use super::Parsed;
use super::meaning::Meaning;
use super::names;
use super::section::{Bounds, Cursor, FieldLine};
use std::fmt;

/// Where one field is in the bytes of its section. INVARIANT: both ranges lie inside those bytes, and the name is ASCII;
/// only [`read`] makes spans.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: Place,
    value: Place,
}

/// Start and length.
type Place = (u32, u32);

/// Bytes of a section that is kept for comparison; a longer one is read anew each time.
const KEPT_SECTION: usize = 4096;

/// Where the fields are in the section that was read last: one table for all connections of a server, so that a request
/// allocates nothing once the table has grown to the size of most heads.
///
/// A client sends the same fields with most of its requests, byte for byte. So the section of the last head is kept, and
/// what its fields mean: an equal section needs only to be compared.
#[derive(Debug, Default)]
pub struct FieldTable {
    spans: Vec<Span>,
    /// The section of the last head, complete and valid; empty if none is kept.
    section: Vec<u8>,
    meaning: Meaning,
}

impl FieldTable {
    /// An empty table; it allocates at the first request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The length of the field section at the start of `bytes`, if it is the one of the last head.
    #[inline]
    pub(super) fn repeated_len(&self, bytes: &[u8]) -> Option<usize> {
        let last = &self.section;
        // No section starts with another one, since the empty line at its end ends it.
        (!last.is_empty() && bytes.starts_with(last)).then_some(last.len())
    }

    /// Reads the fields of the head at the start of `head`, behind its start line. Returns the head's length, or `None` if
    /// it is incomplete.
    #[inline]
    pub(super) fn read_head(
        &mut self,
        head: &[u8],
        start_line: usize,
        bounds: &Bounds,
        is_response: bool,
    ) -> Parsed<usize> {
        let section = &head[start_line..];
        let is_within = |len: &usize| {
            start_line + len <= bounds.size
                && self.spans.len() <= bounds.fields
                && self.meaning.is_response == is_response
        };
        if let Some(len) = self.repeated_len(section).filter(is_within) {
            return Ok(Some(start_line + len));
        }
        // Until the section is complete none is kept, so what it means is not asked for.
        self.section.clear();
        self.meaning = Meaning::new(is_response);
        let end = read(&mut self.spans, head, start_line, bounds, |line| {
            self.meaning.add(line.name, line.value);
            true
        })?;
        if let Some(end) = end {
            self.meaning.complete();
            if end - start_line <= KEPT_SECTION {
                self.section.extend_from_slice(&head[start_line..end]);
            }
        }
        Ok(end)
    }

    /// Reads the trailer section at the start of `bytes`, without the fields that may not stand there. Returns its length,
    /// or `None` if it is incomplete.
    pub(super) fn read_trailers(&mut self, bytes: &[u8], bounds: &Bounds) -> Parsed<usize> {
        self.section.clear();
        read(&mut self.spans, bytes, 0, bounds, |line| names::is_trailer(line.name))
    }

    /// What the fields of the last head mean.
    #[inline]
    pub(super) fn meaning(&self) -> &Meaning {
        &self.meaning
    }

    /// The fields of the section that was read last, and that `section` starts with.
    #[inline]
    pub(super) fn fields<'a>(&'a self, section: &'a [u8]) -> Fields<'a> {
        Fields { bytes: section, spans: &self.spans }
    }
}

/// Reads the section that begins at `start`; the positions of fields for which `keep` returns `true` get into `spans`.
#[inline]
fn read<'a>(
    spans: &mut Vec<Span>,
    bytes: &'a [u8],
    start: usize,
    bounds: &Bounds,
    mut keep: impl FnMut(&FieldLine<'a>) -> bool,
) -> Parsed<usize> {
    spans.clear();
    Cursor::behind(start).advance(bytes, bounds, |at, line| {
        let name = at - start;
        if keep(line) {
            let value = (name + line.value_start) as u32;
            let name = (name as u32, line.name.len() as u32);
            spans.push(Span { name, value: (value, line.value.len() as u32) });
        }
    })
}

/// The fields of a head or trailer section, in the order received. [`joined`](Self::joined) and [`by_name`](Self::by_name) have
/// repeated ones as Node's `headers` has them.
///
/// ```
/// # use http::proto::{Decoder, Event, Limits, FieldTable};
/// # let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
/// let mut input: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n";
/// let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else { panic!() };
/// assert_eq!(head.fields.get("host"), Some(&b"a"[..]));
/// assert_eq!(head.fields.get_all("X-a").count(), 2);
/// ```
#[derive(Clone, Copy, Default)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Fields<'a> {
    /// The number of field lines.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Every field line: the name as sent, and the value without whitespace around it.
    ///
    /// Values are bytes: HTTP allows obs-text (0x80 to 0xff) in them, which Node reads as Latin-1.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let Self { bytes, spans } = *self;
        let name = move |span: &Span| std::str::from_utf8(slice(bytes, span.name)).unwrap_or_default();
        spans.iter().map(move |span| (name(span), slice(bytes, span.value)))
    }

    /// One field line.
    pub(super) fn line(&self, at: usize) -> Option<(&'a str, &'a [u8])> {
        let span = self.spans.get(at)?;
        let name = std::str::from_utf8(slice(self.bytes, span.name)).unwrap_or_default();
        Some((name, slice(self.bytes, span.value)))
    }

    /// Whether two lines have one name, in whatever case.
    pub(super) fn is_same_name(&self, one: usize, other: usize) -> bool {
        let name = |at: usize| self.spans.get(at).map_or(&[][..], |span| slice(self.bytes, span.name));
        name(one).eq_ignore_ascii_case(name(other))
    }

    /// The value of the first field called `name`, in whatever case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// The values of all fields called `name`, in whatever case, in order.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let Self { bytes, spans } = *self;
        let is_wanted = move |span: &&Span| slice(bytes, span.name).eq_ignore_ascii_case(name.as_bytes());
        spans.iter().filter(is_wanted).map(move |span| slice(bytes, span.value))
    }
}

/// A copy of [`Fields`], whose buffers can be used again.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnedFields {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedFields {
    pub(crate) fn copy(&mut self, fields: Fields<'_>) {
        self.spans.clear();
        self.spans.extend_from_slice(fields.spans);
        self.bytes.clear();
        // What follows the last field in the buffer is not of the section.
        let end = fields.spans.last().map_or(0, |last| (last.value.0 + last.value.1) as usize);
        self.bytes.extend_from_slice(fields.bytes.get(..end).unwrap_or_default());
    }

    pub(crate) fn lend(&self) -> Fields<'_> {
        Fields { bytes: &self.bytes, spans: &self.spans }
    }

    /// In bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}

fn slice(bytes: &[u8], (start, len): Place) -> &[u8] {
    bytes.get(start as usize..start as usize + len as usize).unwrap_or_default()
}
