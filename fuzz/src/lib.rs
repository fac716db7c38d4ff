//! What the targets share: cutting input into pieces, and writing down what the request decoder says about it.

#![forbid(unsafe_code)]

pub mod console;
pub mod server;

use http::proto::{Decoder, Event, Fields, Limits, ParseError, FieldTable};

/// Splits fuzzer input into a word that decides where to cut, and the bytes to be cut.
pub fn split(data: &[u8]) -> (u64, &[u8]) {
    match data.split_first_chunk::<8>() {
        Some((word, rest)) => (u64::from_le_bytes(*word), rest),
        None => (0, data),
    }
}

/// Cuts `bytes` into pieces of 1 to 16 bytes, or now and then longer ones.
pub fn pieces(mut state: u64, mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        // A linear congruential step: all that is wanted is variety that depends on the input.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 33) as usize;
        let len = if word % 8 == 0 { word / 8 % 4096 } else { word / 8 % 16 } + 1;
        let (piece, rest) = bytes.split_at(len.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// What a decoder said: an item for each event, neighbouring parts of a body joined, and the fault that ended it.
#[derive(Debug, Default)]
pub struct Transcript {
    /// The events.
    pub items: Vec<String>,
    /// Bytes of bodies.
    pub body: Vec<u8>,
    /// Why the input was refused, if it was.
    pub fault: Option<ParseError>,
    /// The most bytes that the decoder held between two pieces: nothing that a peer sees, and not compared.
    pub held: usize,
}

impl PartialEq for Transcript {
    fn eq(&self, other: &Self) -> bool {
        (&self.items, &self.body, &self.fault) == (&other.items, &other.body, &other.fault)
    }
}

/// Small limits, so that the fuzzer reaches them.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_headers = 16;
    limits
}

/// What a new decoder says about `pieces`. It checks what holds for every input: nothing is held beyond the limits, and a
/// decoder that is fed nothing says nothing.
pub fn transcript(table: &mut FieldTable, pieces: &[&[u8]], limits: &Limits) -> Transcript {
    let mut decoder = Decoder::new();
    let mut said = Transcript::default();
    for piece in pieces {
        let mut input = *piece;
        loop {
            match decoder.decode(&mut input, table, limits) {
                Ok(Event::NeedMore) => break assert!(input.is_empty(), "input was left over"),
                Ok(Event::Head(head)) => said.items.push(format!(
                    "{} {} {:?} {:?} {:?} {} {:?} {} {}",
                    head.method,
                    head.target,
                    head.form,
                    head.version,
                    head.framing,
                    head.keep_alive,
                    head.expect,
                    head.upgrade,
                    fields(&head.fields)
                )),
                Ok(Event::Body(data)) => {
                    assert!(!data.is_empty(), "a part of a body has bytes");
                    said.body.extend_from_slice(data);
                    let total = said.body.len();
                    match said.items.last_mut() {
                        Some(last) if last.starts_with("body to ") => *last = format!("body to {total}"),
                        _ => said.items.push(format!("body to {total}")),
                    }
                }
                Ok(Event::End(trailers)) => said.items.push(format!("end {}", fields(&trailers))),
                Ok(Event::Done) => break,
                Err(fault) => {
                    said.fault = Some(fault);
                    assert!((400..=599).contains(&fault.status()), "{fault:?}");
                    return said;
                }
            }
        }
        said.held = said.held.max(decoder.buffered());
        assert!(said.held <= 1 << 20, "more is held than any limit allows");
    }
    said
}

pub(crate) fn fields(fields: &Fields<'_>) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{name}:{}", value.escape_ascii()))
        .collect::<Vec<_>>()
        .join(",")
}
