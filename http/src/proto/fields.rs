//! The fields of a message: a view of the received bytes through a reusable table of positions.
//!
//! Order and letter case are kept as received (Node's `rawHeaders`); how a map of them (Node's `headers`) holds repeated
//! ones is in `repeated.rs`.

use super::{section, trailer};
use std::fmt;

/// Where one field is in the bytes of its section. INVARIANT: both ranges lie inside those bytes, and the name is ASCII;
/// only `section.rs` makes spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) name: u32,
    pub(super) name_len: u32,
    pub(super) value: u32,
    pub(super) value_len: u32,
}

/// Bytes of a section that is kept for comparison; a longer one is read anew each time.
const KEPT_SECTION: usize = 4096;

/// Where the fields are in the section that was read last, and that section.
///
/// A client sends the same fields with most of its requests, byte for byte. So the section of the last head is kept: an
/// equal section needs to be compared only.
#[derive(Debug, Default)]
pub(super) struct SectionTable {
    spans: Vec<Span>,
    /// The section, complete and valid; empty if none is kept.
    section: Vec<u8>,
}

impl SectionTable {
    /// The length of the section at the start of `bytes`, if it is the head's that was read last.
    #[inline]
    pub(super) fn repeated_len(&self, bytes: &[u8], max_fields: usize) -> Option<usize> {
        let last = &self.section;
        // No section starts with another one, since the empty line at its end ends it.
        let is_repeated = !last.is_empty() && bytes.starts_with(last) && self.spans.len() <= max_fields;
        is_repeated.then_some(last.len())
    }

    /// Reads the field section of a head at the start of `bytes`, with a call of `see` for each field. Returns its length
    /// if it is complete and valid.
    #[inline]
    pub(super) fn read_head(
        &mut self,
        bytes: &[u8],
        max_fields: usize,
        mut see: impl FnMut(&[u8], &[u8], Span),
    ) -> Option<usize> {
        self.section.clear();
        let len = section::read(bytes, max_fields, &mut self.spans, |name, value, span| {
            see(name, value, span);
            true
        })?;
        if len <= KEPT_SECTION {
            self.section.extend_from_slice(&bytes[..len]);
        }
        Some(len)
    }

    /// Reads a trailer section, without the fields that may not stand there.
    pub(super) fn read_trailers(&mut self, bytes: &[u8], max_fields: usize) -> Option<usize> {
        self.section.clear();
        section::read(bytes, max_fields, &mut self.spans, |name, _, _| trailer::is_allowed(name))
    }

    /// The fields of the section that was read last, and that `section` starts with.
    #[inline]
    pub(super) fn fields<'a>(&'a self, section: &'a [u8]) -> Fields<'a> {
        Fields { bytes: section, spans: &self.spans }
    }
}

/// The fields of a head or trailer section, in the order received.
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
        spans.iter().map(move |&span| {
            let name = slice(bytes, span.name, span.name_len);
            (std::str::from_utf8(name).unwrap_or_default(), slice(bytes, span.value, span.value_len))
        })
    }

    /// The value of the first field called `name`, in whatever case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// The values of all fields called `name`, in whatever case, in order.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let Self { bytes, spans } = *self;
        let is_wanted = move |span: &&Span| {
            span.name_len as usize == name.len()
                && slice(bytes, span.name, span.name_len).eq_ignore_ascii_case(name.as_bytes())
        };
        spans.iter().filter(is_wanted).map(move |span| slice(bytes, span.value, span.value_len))
    }
}

impl Span {
    /// The value, in the bytes of the section.
    pub(super) fn value<'a>(&self, section: &'a [u8]) -> &'a [u8] {
        slice(section, self.value, self.value_len)
    }
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
            .finish()
    }
}

fn slice(bytes: &[u8], start: u32, len: u32) -> &[u8] {
    bytes.get(start as usize..start as usize + len as usize).unwrap_or_default()
}
