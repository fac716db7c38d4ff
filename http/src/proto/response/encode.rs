//! The parts of responses as bytes: functions that append to a buffer. Mirrors the strings of Node's `_storeHeader`.
//!
//! Each appends all of its part or, with an error, nothing. No argument can end a line early: names have to be tokens, values
//! and reasons are without control characters (Node's `checkInvalidHeaderChar`), so no response can be split (RFC 9112,
//! 11.1).

use super::reason::reason_phrase;
use crate::proto::chars;
use std::fmt;

/// Why something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// A status outside 100 to 999 (Node's `ERR_HTTP_INVALID_STATUS_CODE`), or not of the kind asked for.
    InvalidStatus(u16),
    /// A reason phrase with a control character (Node's `ERR_INVALID_CHAR`).
    InvalidReason,
    /// A field name that is not a token (Node's `ERR_INVALID_HTTP_TOKEN`).
    InvalidFieldName,
    /// A field value with a control character (Node's `ERR_INVALID_CHAR`).
    InvalidFieldValue,
    /// A field that may not stand in a trailer section, or in an informational response.
    MisplacedField,
    /// A `Content-Length` that is no number, or a `Transfer-Encoding` that is empty.
    InvalidFraming,
    /// `Trailer` was set on a response that by the application's own choice is not chunked (Node's
    /// `ERR_HTTP_TRAILER_INVALID`).
    TrailerWithoutChunked,
    /// More body than the `Content-Length` (Node's `ERR_HTTP_CONTENT_LENGTH_MISMATCH`).
    BodyTooLong,
    /// Less body than the `Content-Length`.
    BodyTooShort,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidStatus(status) => write!(
                f,
                "status {status} is out of range: a response has 200 to 999, a closing response 400 to 599, and \
                 an informational one 100 or 102 to 199"
            ),
            Self::InvalidReason => f.write_str("the reason phrase has a control character"),
            Self::InvalidFieldName => f.write_str("the field name is not a token"),
            Self::InvalidFieldValue => f.write_str("the field value has a control character"),
            Self::MisplacedField => {
                f.write_str("the field is not allowed in trailers or in an informational response")
            }
            Self::InvalidFraming => {
                f.write_str("Content-Length is not a number, or Transfer-Encoding is empty")
            }
            Self::TrailerWithoutChunked => f.write_str("Trailer is set on a response that is not chunked"),
            Self::BodyTooLong => f.write_str("the body is longer than its Content-Length"),
            Self::BodyTooShort => f.write_str("the body is shorter than its Content-Length"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// Appends a status line, with the registered reason phrase if `reason` is `None`.
///
/// The version is always HTTP/1.1, whatever the request's: it says what the server can do (RFC 9110, 2.5).
#[inline]
pub(super) fn status_line(out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>) -> Result<(), EncodeError> {
    if status == 200 && reason.is_none() {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return Ok(());
    }
    if !(100..=999).contains(&status) {
        return Err(EncodeError::InvalidStatus(status));
    }
    let reason = reason.unwrap_or_else(|| reason_phrase(status).as_bytes());
    check_reason(reason)?;
    out.extend_from_slice(b"HTTP/1.1 ");
    put_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Whether [`status_line`] accepts `reason`.
pub(super) fn check_reason(reason: &[u8]) -> Result<(), EncodeError> {
    if is_text(reason) { Ok(()) } else { Err(EncodeError::InvalidReason) }
}

/// Appends a field line.
#[inline]
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), EncodeError> {
    check_field(name, value)?;
    let (start, name) = (out.len(), name.as_bytes());
    // Room is made once, instead of looked for at each part.
    out.resize(start + name.len() + value.len() + 4, b' ');
    let (name_part, rest) = out[start..].split_at_mut(name.len());
    name_part.copy_from_slice(name);
    rest[0] = b':';
    let (value_part, end) = rest[2..].split_at_mut(value.len());
    value_part.copy_from_slice(value);
    end.copy_from_slice(b"\r\n");
    Ok(())
}

/// Whether [`field`] accepts `name` and `value`: for a field that is set long before it is written.
#[inline]
pub(super) fn check_field(name: &str, value: &[u8]) -> Result<(), EncodeError> {
    if !chars::is_token(name.as_bytes()) {
        Err(EncodeError::InvalidFieldName)
    } else if !is_text(value) {
        Err(EncodeError::InvalidFieldValue)
    } else {
        Ok(())
    }
}

/// Appends the `Content-Length` line as the last one of a head, with the head's end.
#[inline]
pub(super) fn content_length_end(out: &mut Vec<u8>, length: u64) {
    const NAME: &[u8; 16] = b"Content-Length: ";
    const END: &[u8; 4] = b"\r\n\r\n";
    // Made in one piece: each append costs about as much as all of this.
    let mut line = [0; NAME.len() + DIGITS + END.len()];
    line[..NAME.len()].copy_from_slice(NAME);
    let len = if length < 10 {
        line[NAME.len()] = b'0' + length as u8;
        NAME.len() + 1
    } else {
        let (digits, start) = decimal(length);
        let len = NAME.len() + DIGITS - start;
        line[NAME.len()..len].copy_from_slice(&digits[start..]);
        len
    };
    line[len..len + END.len()].copy_from_slice(END);
    out.extend_from_slice(&line[..len + END.len()]);
}

/// Appends the line before a chunk of `len` bytes. A chunk of no bytes would end the body.
pub(super) fn chunk_head(out: &mut Vec<u8>, len: std::num::NonZeroUsize) {
    let mut digits = [0; 16];
    let mut start = digits.len();
    let mut left = len.get();
    while left > 0 {
        start -= 1;
        digits[start] = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
}

fn is_text(value: &[u8]) -> bool {
    chars::text_run(value) == value.len()
}

/// The most digits that a number has.
const DIGITS: usize = 20;

/// The decimal digits of `number`: the array's bytes from the index on.
fn decimal(mut number: u64) -> ([u8; DIGITS], usize) {
    let mut digits = [0; DIGITS];
    let mut start = DIGITS;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return (digits, start);
        }
    }
}

fn put_decimal(out: &mut Vec<u8>, number: u64) {
    let (digits, start) = decimal(number);
    out.extend_from_slice(&digits[start..]);
}
