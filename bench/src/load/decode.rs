//! A response decoder: finds where each response ends (RFC 9112, section 6) and whether its status and body
//! are right.
//!
//! It is strict enough to count honestly: a response whose framing it cannot be sure of is an error. A head
//! equal to the one before is recognised by comparison, because a server's heads repeat.

use memchr::memmem;

use super::expect::Expect;

/// A longer head is taken for garbage.
const MAX_HEAD: usize = 64 * 1024;

/// Digits of a chunk size; sixteen fill a `u64`.
const MAX_CHUNK_DIGITS: u8 = 16;

/// Why bytes are not a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A complete response.
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

/// What a head says.
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
    ChunkSize {
        size: u64,
        digits: u8,
    },
    ChunkExtension {
        size: u64,
    },
    ChunkData(u64),
    /// The line end behind chunk data.
    ChunkEnd,
    /// The trailer section; the length of the line so far, without its end.
    Trailer(u64),
    UntilEnd,
}

/// The decoder of one connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// An incomplete head.
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

    /// Takes bytes from the front of `input` until a response is complete (`Some`) or `input` is empty
    /// (`None`).
    pub(crate) fn step(&mut self, input: &mut &[u8], expect: &Expect) -> Result<Option<Done>, Malformed> {
        while let Some(&byte) = input.first() {
            match self.state {
                State::Head => {
                    if self.take_head(input)? {
                        self.state = match self.head.framing {
                            Framing::Length(0) => return Ok(Some(self.finish(expect))),
                            Framing::Length(length) => State::Sized(length),
                            Framing::Chunked => State::ChunkSize { size: 0, digits: 0 },
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
                _ => {
                    *input = &input[1..];
                    if self.chunk_byte(byte)? {
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
        let Some(at) = memmem::find(&self.pending, b"\r\n\r\n") else {
            *input = &[];
            return if self.pending.len() > MAX_HEAD { Err(Malformed("endless head")) } else { Ok(false) };
        };
        let length = at + 4;
        *input = &input[length - before..];
        self.pending.truncate(length);
        let head = parse_head(&self.pending[..at])?;
        std::mem::swap(&mut self.head_bytes, &mut self.pending);
        self.pending.clear();
        self.head = head;
        if (100..200).contains(&head.status) {
            self.head_bytes.clear();
            return Ok(false);
        }
        Ok(true)
    }

    /// One byte of chunk framing. True at the end of the body.
    fn chunk_byte(&mut self, byte: u8) -> Result<bool, Malformed> {
        match (self.state, byte) {
            (State::ChunkSize { digits: 1.., size }, b'\r' | b';') => {
                self.state = State::ChunkExtension { size }
            }
            (State::ChunkSize { size, digits }, _) => {
                let digit = (byte as char).to_digit(16).ok_or(Malformed("chunk size"))?;
                if digits == MAX_CHUNK_DIGITS {
                    return Err(Malformed("chunk size too large"));
                }
                self.state = State::ChunkSize { size: size << 4 | u64::from(digit), digits: digits + 1 };
            }
            (State::ChunkExtension { size: 0 }, b'\n') => self.state = State::Trailer(0),
            (State::ChunkExtension { size }, b'\n') => self.state = State::ChunkData(size),
            (State::ChunkExtension { .. }, _) | (State::ChunkEnd | State::Trailer(_), b'\r') => {}
            (State::ChunkEnd, b'\n') => self.state = State::ChunkSize { size: 0, digits: 0 },
            (State::ChunkEnd, _) => return Err(Malformed("chunk longer than its size")),
            (State::Trailer(0), b'\n') => return Ok(true),
            (State::Trailer(_), b'\n') => self.state = State::Trailer(0),
            (State::Trailer(length), _) => self.state = State::Trailer(length + 1),
            (State::Head | State::Sized(_) | State::ChunkData(_) | State::UntilEnd, _) => {
                return Err(Malformed("not chunk framing"));
            }
        }
        Ok(false)
    }
}

fn parse_head(head: &[u8]) -> Result<Head, Malformed> {
    let text = std::str::from_utf8(head).map_err(|_| Malformed("head is not text"))?;
    let mut lines = text.split("\r\n");
    let (minor, status) = parse_status_line(lines.next().unwrap_or_default())?;
    let (mut length, mut chunked, mut connection) = (None, false, "");
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Malformed("header line without a colon"))?;
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-length") {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let value = value.parse::<u64>().ok().filter(|_| digits).ok_or(Malformed("content-length"))?;
            if length.replace(value).is_some_and(|other| other != value) {
                return Err(Malformed("two content-lengths"));
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(Malformed("transfer-encoding"));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            connection = value;
        }
    }
    let framing = match (status, chunked, length) {
        (100..200 | 204 | 304, ..) => Framing::Length(0),
        (_, true, Some(_)) => return Err(Malformed("both a length and chunks")),
        (_, true, None) => Framing::Chunked,
        (_, false, Some(length)) => Framing::Length(length),
        (_, false, None) => Framing::UntilEnd,
    };
    let close = match minor {
        0 => !connection.eq_ignore_ascii_case("keep-alive"),
        _ => connection.eq_ignore_ascii_case("close") || framing == Framing::UntilEnd,
    };
    Ok(Head { status, framing, close })
}

/// The minor version and the status of `HTTP/1.1 200 OK`.
fn parse_status_line(line: &str) -> Result<(u8, u16), Malformed> {
    let rest = line.strip_prefix("HTTP/1.").ok_or(Malformed("not HTTP/1"))?;
    let minor = match rest.get(..2) {
        Some("0 ") => 0,
        Some("1 ") => 1,
        _ => return Err(Malformed("version")),
    };
    let (code, reason) = rest[2..].split_at_checked(3).ok_or(Malformed("status"))?;
    let valid =
        code.bytes().all(|byte| byte.is_ascii_digit()) && (reason.is_empty() || reason.starts_with(' '));
    let status = code.parse().ok().filter(|status| valid && (100..600).contains(status));
    Ok((minor, status.ok_or(Malformed("status"))?))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
