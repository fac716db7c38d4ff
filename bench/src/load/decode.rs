//! A response decoder: finds where each response ends (RFC 9112, section 6), and whether its status and body are right.
//!
//! It is strict enough to count honestly: a response whose framing is not certain is an error. A head equal to the one
//! before is recognised by comparison, because a server's heads repeat.

use super::expect::Expect;
use httparse::{EMPTY_HEADER, Response, Status};

/// A longer head, or line of chunk framing, is an error.
const MAX_HEAD: usize = 64 * 1024;

/// Fields of a head; more are an error.
const MAX_FIELDS: usize = 64;

/// Why bytes are not a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) status: u16,
    /// Whether the body was the expected one.
    pub(crate) body_matches: bool,
    /// Whether the server closes the connection behind it.
    pub(crate) close: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilEnd,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    framing: Framing,
    close: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Sized(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    ChunkData(u64),
    /// The line end behind chunk data.
    ChunkEnd,
    /// A line of the trailer section.
    Trailer,
    UntilEnd,
}

#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// An incomplete head, or line of chunk framing.
    pending: Vec<u8>,
    head: Head,
    /// The bytes that `head` was parsed from.
    head_bytes: Vec<u8>,
    body_length: u64,
    body_matches: bool,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            pending: Vec::new(),
            head: Head { status: 0, framing: Framing::UntilEnd, close: true },
            head_bytes: Vec::new(),
            body_length: 0,
            body_matches: true,
        }
    }

    /// Takes bytes from the front of `input` until a response is complete (`Some`) or `input` is empty (`None`).
    pub(crate) fn step(&mut self, input: &mut &[u8], expect: &Expect) -> Result<Option<Done>, Malformed> {
        while !input.is_empty() {
            match self.state {
                State::Head => {
                    if self.take_head(input)? {
                        self.state = match self.head.framing {
                            Framing::Length(0) => return Ok(Some(self.finish(expect))),
                            Framing::Length(length) => State::Sized(length),
                            Framing::Chunked => State::ChunkSize,
                            Framing::UntilEnd => State::UntilEnd,
                        };
                    }
                }
                State::Sized(left) => match self.take_body(input, left, expect) {
                    0 => return Ok(Some(self.finish(expect))),
                    left => self.state = State::Sized(left),
                },
                State::ChunkData(left) => match self.take_body(input, left, expect) {
                    0 => self.state = State::ChunkEnd,
                    left => self.state = State::ChunkData(left),
                },
                State::UntilEnd => {
                    self.take_body(input, u64::MAX, expect);
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => {
                    if self.take_chunk_line(input)? {
                        return Ok(Some(self.finish(expect)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The connection ended: completes a response that only this delimits, `None` between two responses.
    pub(crate) fn end(&mut self, expect: &Expect) -> Result<Option<Done>, Malformed> {
        match self.state {
            State::UntilEnd => Ok(Some(self.finish(expect))),
            State::Head if self.pending.is_empty() => Ok(None),
            _ => Err(Malformed("the connection ended inside a response")),
        }
    }

    fn finish(&mut self, expect: &Expect) -> Done {
        let done = Done {
            status: self.head.status,
            body_matches: self.body_matches && expect.is_complete(self.body_length),
            close: self.head.close,
        };
        self.state = State::Head;
        self.body_length = 0;
        self.body_matches = true;
        done
    }

    /// Takes at most `left` bytes of body and returns what is left then.
    fn take_body(&mut self, input: &mut &[u8], left: u64, expect: &Expect) -> u64 {
        let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let (body, rest) = input.split_at(count);
        self.body_matches = self.body_matches && expect.matches(self.body_length, body);
        self.body_length += count as u64;
        *input = rest;
        left - count as u64
    }

    /// Takes a head, or a piece of one. True once a final (not 1xx) head was understood.
    fn take_head(&mut self, input: &mut &[u8]) -> Result<bool, Malformed> {
        if self.pending.is_empty() && !self.head_bytes.is_empty() && input.starts_with(&self.head_bytes) {
            *input = &input[self.head_bytes.len()..];
            return Ok(true);
        }
        let before = self.pending.len();
        self.pending.extend_from_slice(input);
        let Some((head, length)) = parse_head(&self.pending)? else {
            *input = &[];
            return if self.pending.len() > MAX_HEAD { Err(Malformed("endless head")) } else { Ok(false) };
        };
        *input = &input[length - before..];
        self.pending.truncate(length);
        std::mem::swap(&mut self.head_bytes, &mut self.pending);
        self.pending.clear();
        self.head = head;
        if (100..200).contains(&head.status) {
            self.head_bytes.clear();
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes a line of chunk framing, or a piece of one. True at the end of the body.
    fn take_chunk_line(&mut self, input: &mut &[u8]) -> Result<bool, Malformed> {
        let end = input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |at| at + 1);
        let (piece, rest) = input.split_at(end);
        self.pending.extend_from_slice(piece);
        *input = rest;
        if self.pending.len() > MAX_HEAD
            || self.state == State::ChunkEnd && !b"\r\n".starts_with(&self.pending)
        {
            return Err(Malformed("line of chunk framing"));
        }
        let Some(line) = self.pending.strip_suffix(b"\r\n") else { return Ok(false) };
        let is_end = self.state == State::Trailer && line.is_empty();
        self.state = match self.state {
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailer,
                size => State::ChunkData(size),
            },
            State::ChunkEnd => State::ChunkSize,
            state => state,
        };
        self.pending.clear();
        Ok(is_end)
    }
}

/// The size before a chunk's extensions.
fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits =
        str::from_utf8(digits).ok().filter(|digits| digits.starts_with(|c: char| c.is_ascii_hexdigit()));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(Malformed("chunk size"))
}

/// The head at the front of `bytes` and its length, once it is complete.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut response = Response::new(&mut fields);
    let Status::Complete(end) = response.parse(bytes).map_err(|_| Malformed("head"))? else {
        return Ok(None);
    };
    let status = response.code.filter(|status| (100..600).contains(status)).ok_or(Malformed("status"))?;
    let (mut length, mut chunked, mut connection) = (None, false, &b""[..]);
    for httparse::Header { name, value } in response.headers {
        match &*name.to_ascii_lowercase() {
            "content-length" => {
                let digits = str::from_utf8(value)
                    .ok()
                    .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
                let value =
                    digits.and_then(|digits| digits.parse().ok()).ok_or(Malformed("content-length"))?;
                if length.replace(value).is_some_and(|other: u64| other != value) {
                    return Err(Malformed("two content-lengths"));
                }
            }
            "transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => chunked = true,
            "transfer-encoding" => return Err(Malformed("transfer-encoding")),
            "connection" => connection = value,
            _ => {}
        }
    }
    let framing = match (status, chunked, length) {
        (100..200 | 204 | 304, ..) => Framing::Length(0),
        (_, true, Some(_)) => return Err(Malformed("both a length and chunks")),
        (_, true, None) => Framing::Chunked,
        (_, false, Some(length)) => Framing::Length(length),
        (_, false, None) => Framing::UntilEnd,
    };
    let close = match response.version {
        Some(0) => !connection.eq_ignore_ascii_case(b"keep-alive"),
        _ => connection.eq_ignore_ascii_case(b"close") || framing == Framing::UntilEnd,
    };
    Ok(Some((Head { status, framing, close }, end)))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
