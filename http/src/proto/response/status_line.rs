//! The status line: `HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112, 4).
//!
//! Mirrors llhttp's `on_version_complete` and `on_status_complete`. As there, the last space may be missing if there is no
//! reason. Nothing may stand before the version, not even the empty line that llhttp skips: a client that skips what no
//! request has asked for cannot tell whose answer comes next.

use crate::proto::chars;
use crate::proto::section::Bounds;
use crate::proto::{ParseError, Parsed, Version};

/// A status line that is complete and valid.
#[derive(Clone, Copy)]
pub(super) struct StatusLine<'a> {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
    /// Its length with CR LF.
    pub(super) len: usize,
}

/// The start of a line; the digits stand for any digit.
const VERSION: &[u8; 9] = b"HTTP/1.1 ";

/// Bytes before the reason and its space.
const STATUS_END: usize = VERSION.len() + 3;

/// The length of the line at the start of `bytes` with CR LF; `None` if it is valid so far but has not ended.
pub(super) fn len(bytes: &[u8], bounds: &Bounds) -> Parsed<usize> {
    match read(bytes)? {
        None if bytes.len() > bounds.size => Err(ParseError::HeadTooLarge),
        line => Ok(line.map(|line| line.len)),
    }
}

/// Reads the line at the start of `bytes`; `None` if it is valid so far but has not ended.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Parsed<StatusLine<'_>> {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
    if bytes.starts_with(OK) {
        return Ok(Some(StatusLine { version: Version::Http11, status: 200, reason: b"OK", len: OK.len() }));
    }
    read_any(bytes)
}

fn read_any(bytes: &[u8]) -> Parsed<StatusLine<'_>> {
    let Some(version) = version(bytes)? else { return Ok(None) };
    let Some(status) = status(&bytes[VERSION.len()..])? else { return Ok(None) };
    let text = match bytes.get(STATUS_END..).unwrap_or_default() {
        [b' ', text @ ..] => text,
        text => text,
    };
    let (reason, end) = text.split_at(chars::text_run(text));
    match end {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => {
            Ok(Some(StatusLine { version, status, reason, len: bytes.len() - end.len() + 2 }))
        }
        [b'\r' | b'\n', ..] => Err(ParseError::InvalidLineEnd),
        _ => Err(ParseError::InvalidReason),
    }
}

/// Reads the version and the space behind it.
fn version(bytes: &[u8]) -> Parsed<Version> {
    for (index, (&byte, &expected)) in bytes.iter().zip(VERSION).enumerate() {
        let is_valid = if expected == b'1' { byte.is_ascii_digit() } else { byte == expected };
        match index {
            _ if !is_valid => return Err(ParseError::InvalidVersion),
            7 if bytes[5] != b'1' => return Err(ParseError::UnsupportedVersion),
            _ => {}
        }
    }
    if bytes.len() < VERSION.len() {
        return Ok(None);
    }
    Ok(Some(if bytes[7] == b'0' { Version::Http10 } else { Version::Http11 }))
}

/// Reads the three digits of the status, and looks at what follows them.
fn status(bytes: &[u8]) -> Parsed<u16> {
    for (index, byte) in bytes.iter().enumerate().take(4) {
        let is_valid = match index {
            0 => matches!(byte, b'1'..=b'9'),
            1 | 2 => byte.is_ascii_digit(),
            _ => matches!(byte, b' ' | b'\r' | b'\n'),
        };
        if !is_valid {
            return Err(ParseError::InvalidStatus);
        }
    }
    let Some(digits) = bytes.first_chunk::<3>() else { return Ok(None) };
    Ok(Some(digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))))
}
