//! A message's body: a machine that is fed bytes and asked for the body's data and its end. It does not know whether the
//! message is a request or a response. Mirrors the body states of llhttp.
//!
//! # Theory of operation
//!
//! One state says what the next byte belongs to:
//!
//! ```text
//! Data       last byte of the body      End
//!            last byte of the chunk     ChunkEnd
//! ChunkLine  CR LF after the size       Data, or Trailers after size 0
//! ChunkEnd   CR LF                      ChunkLine
//! Trailers   empty line                 End
//! End        (takes no byte)
//! ```
//!
//! Data is lent from the input; only a trailer section that arrives in pieces is copied, into the decoder's [`Partial`].

use super::chunked::ChunkLine;
use super::section::{Bounds, Partial};
use super::{FieldTable, Fields, Framing, Limits, ParseError};

/// Reads the body of one message.
#[derive(Debug)]
pub(super) struct BodyDecoder {
    state: State,
    is_chunked: bool,
    /// Bytes of chunk extensions so far.
    extensions: u32,
    /// What follows the message; the body does not depend on it. It lies here because there is room for it.
    pub(super) next: Next,
}

#[derive(Debug)]
enum State {
    /// In a body, or in a chunk of it, of which this many bytes are missing, at least one.
    Data(u64),
    ChunkLine(ChunkLine),
    /// After a chunk's data; `cr` if its CR was read.
    ChunkEnd {
        cr: bool,
    },
    /// After the last chunk.
    Trailers,
    /// The body is complete.
    End,
    /// The trailer section is invalid from its byte of this number on.
    Faulty(u32),
}

/// What the bytes after a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another message.
    Message,
    /// Nothing that is read: the message is the last one.
    Nothing,
    /// No longer HTTP.
    OtherProtocol,
}

/// What is decoded, and with what.
pub(super) struct Source<'s, 'i: 'a, 'a> {
    pub(super) input: &'s mut &'i [u8],
    /// The section that is arriving in pieces.
    pub(super) partial: &'a mut Partial,
    pub(super) table: &'a mut FieldTable,
    pub(super) limits: &'s Limits,
}

/// What [`BodyDecoder::decode`] found.
pub(super) enum BodyEvent<'a> {
    /// All of the input was taken and more is needed.
    NeedMore,
    /// Some of the body, never empty.
    Data(&'a [u8]),
    /// The body is complete, with these trailers.
    End(Fields<'a>),
}

impl BodyDecoder {
    /// At the start of a body that is delimited by `framing`.
    #[inline]
    pub(super) fn new(framing: Framing, next: Next) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::End,
            Framing::Length(left) => State::Data(left),
            Framing::Chunked => State::ChunkLine(ChunkLine::new()),
            // A peer would have to send for centuries.
            Framing::UntilClose => State::Data(u64::MAX),
        };
        Self { state, is_chunked: framing == Framing::Chunked, extensions: 0, next }
    }

    /// Takes bytes off the front of the input up to the next event.
    pub(super) fn decode<'a>(&mut self, source: Source<'_, '_, 'a>) -> Result<BodyEvent<'a>, ParseError> {
        // Every turn but the last takes at least one byte, or enters a state whose turn does.
        loop {
            match &mut self.state {
                State::Data(left) => {
                    let len = usize::try_from(*left)
                        .map_or(source.input.len(), |left| left.min(source.input.len()));
                    let (data, rest) = source.input.split_at(len);
                    if data.is_empty() {
                        return Ok(BodyEvent::NeedMore);
                    }
                    *source.input = rest;
                    *left -= len as u64;
                    if *left == 0 {
                        self.state = if self.is_chunked { State::ChunkEnd { cr: false } } else { State::End };
                    }
                    return Ok(BodyEvent::Data(data));
                }
                State::ChunkLine(line) => {
                    match line.read(source.input, &mut self.extensions, source.limits)? {
                        None => return Ok(BodyEvent::NeedMore),
                        Some(0) => self.state = State::Trailers,
                        Some(left) => self.state = State::Data(left),
                    }
                }
                State::ChunkEnd { cr } => {
                    let Some((&byte, rest)) = source.input.split_first() else {
                        return Ok(BodyEvent::NeedMore);
                    };
                    *source.input = rest;
                    match (*cr, byte) {
                        (false, b'\r') => *cr = true,
                        (true, b'\n') => self.state = State::ChunkLine(ChunkLine::new()),
                        _ => return Err(ParseError::InvalidChunkEnd),
                    }
                }
                State::Trailers => return self.decode_trailers(source),
                State::End => return Ok(BodyEvent::End(Fields::default())),
                // The decoder around this one repeats its fault.
                State::Faulty(_) => return Ok(BodyEvent::NeedMore),
            }
        }
    }

    fn decode_trailers<'a>(&mut self, source: Source<'_, '_, 'a>) -> Result<BodyEvent<'a>, ParseError> {
        let Source { input, partial, table, limits } = source;
        let (bounds, whole) = (Bounds::of_trailers(limits), *input);
        let mut bytes = whole;
        if partial.is_empty() {
            let window = bounds.window(whole);
            if let Some(end) =
                table.read_trailers(window, &bounds).map_err(|it| self.fail(it, window, &bounds))?
            {
                *input = &whole[end..];
                self.state = State::End;
                return Ok(BodyEvent::End(table.fields(bytes)));
            }
        }
        if whole.is_empty() {
            return Ok(BodyEvent::NeedMore);
        }
        let is_complete = partial.gather(input, &bounds, |_| Ok(Some(0))).map(|section| section.is_some());
        bytes = partial.bytes();
        if !is_complete.map_err(|it| self.fail(it, bytes, &bounds))? {
            return Ok(BodyEvent::NeedMore);
        }
        table.read_trailers(bytes, &bounds)?;
        self.state = State::End;
        Ok(BodyEvent::End(table.fields(bytes)))
    }

    /// Notes where the trailer section at the start of `bytes` is invalid.
    #[cold]
    fn fail(&mut self, fault: ParseError, bytes: &[u8], bounds: &Bounds) -> ParseError {
        // A section is shorter than 2^30 bytes.
        self.state = State::Faulty(bounds.fault_at(bytes, |_| Ok(Some(0))) as u32);
        fault
    }

    /// Where in the trailer section its fault is.
    pub(super) fn fault_at(&self) -> Option<usize> {
        if let State::Faulty(at) = self.state { Some(at as usize) } else { None }
    }

    /// Whether the body is complete but for a call of [`decode`](Self::decode), which will take no input.
    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Bytes that are missing of a body with a length.
    pub(super) fn missing(&self) -> Option<u64> {
        match self.state {
            State::Data(left) if !self.is_chunked && left <= i64::MAX as u64 => Some(left),
            _ => None,
        }
    }

    /// Whether a trailer section is being read, so that some of it may be held.
    pub(super) fn is_in_trailers(&self) -> bool {
        matches!(self.state, State::Trailers)
    }
}
