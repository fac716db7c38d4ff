//! The fields of a message: a view of the received bytes through a reusable table of positions.
//!
//! Order and letter case are kept as received (Node's `rawHeaders`); how repeated fields are joined is a
//! question for whoever builds a map of them (Node's `headers`).

use std::fmt;

/// Where one field lies in the bytes of its section. INVARIANT: both ranges lie inside those bytes, and the
/// name is ASCII; only `section.rs` makes spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) name: u32,
    pub(super) name_len: u32,
    pub(super) value: u32,
    pub(super) value_len: u32,
}

/// The decoder's table of field positions: one for all connections of a server, so that a request allocates
/// nothing once the table has grown to the size of the usual head.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) spans: Vec<Span>,
    /// The value of `Host` that was found valid last: most requests name the same one.
    pub(super) valid_host: Vec<u8>,
}

impl Scratch {
    /// An empty table; it allocates at the first request.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The fields of a head or trailer section, in the order received.
///
/// ```
/// # use http::proto::{Decoder, Event, Limits, Scratch};
/// # let (mut decoder, mut scratch) = (Decoder::new(), Scratch::new());
/// let mut input: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n";
/// let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut scratch, &Limits::default()) else { panic!() };
/// assert_eq!(head.fields.get("host"), Some(&b"a"[..]));
/// assert_eq!(head.fields.get_all("X-a").count(), 2);
/// ```
#[derive(Clone, Copy, Default)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Fields<'a> {
    /// The fields of `bytes` that `spans` lists.
    pub(super) fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans }
    }

    /// How many field lines there are.
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
