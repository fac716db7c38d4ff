//! The request line: `method SP request-target SP HTTP-version CRLF` (RFC 9112, 3).
//!
//! One pass, which refuses exactly what the RFC refuses and finds the fault as soon as its byte arrives, however the line is
//! split. Mirrors llhttp's `on_method_complete`, `on_url_complete` and `on_version_complete`.

use super::head::RequestHead;
use super::target::{self, TargetForm};
use crate::proto::chars::{self, TARGET, TOKEN};
use crate::proto::section::Bounds;
use crate::proto::{ParseError, Parsed, Version};

/// Bytes that a method may have. The longest registered one has 17 (`UPDATEREDIRECTREF`); RFC 9112, 3 has a server answer
/// 501 to a method longer than any it implements.
const MAX_METHOD: usize = 64;

/// The length of the line at the start of `bytes` with CR LF; `None` if it is valid so far but has not ended.
pub(super) fn len(bytes: &[u8], bounds: &Bounds) -> Parsed<usize> {
    match read(bytes)? {
        None if bytes.len() > bounds.size => Err(ParseError::UriTooLong),
        line => Ok(line.map(|(_, len)| len)),
    }
}

/// Reads the line at the start of `bytes`: a head without fields, and the line's length with CR LF. `None` if the line is
/// valid so far but has not ended.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Parsed<(RequestHead<'_>, usize)> {
    match read_get(bytes) {
        Some(line) => Ok(Some(line)),
        None => read_any(bytes),
    }
}

/// The fast path of [`read`]: the line at the start of `bytes`, if it is complete and a `GET` of a path in HTTP/1.1.
/// Everything but the path is compared whole.
#[inline]
pub(super) fn read_get(bytes: &[u8]) -> Option<(RequestHead<'_>, usize)> {
    if !bytes.starts_with(b"GET /") {
        return None;
    }
    let rest = &bytes["GET ".len()..];
    let target_len = chars::run(rest, TARGET);
    let (target, rest) = rest.split_at(target_len);
    if !rest.starts_with(b" HTTP/1.1\r\n") {
        return None;
    }
    let head = RequestHead::new("GET", ascii(target), TargetForm::Origin, Version::Http11);
    Some((head, "GET ".len() + target_len + " HTTP/1.1\r\n".len()))
}

/// Reads any line; `None` if it is valid so far but has not ended.
#[inline(never)]
fn read_any(bytes: &[u8]) -> Parsed<(RequestHead<'_>, usize)> {
    let Some((method, rest)) = method(bytes)? else { return Ok(None) };
    let target_len = chars::run(rest, TARGET);
    match rest.get(target_len) {
        None => return Ok(None),
        Some(b' ') if target_len > 0 => {}
        // A line that ends after the target is a request of HTTP/0.9. Node reads it as one.
        Some(b'\r' | b'\n') if target_len > 0 => return Err(ParseError::InvalidVersion),
        Some(_) => return Err(ParseError::InvalidTarget),
    }
    let (target, rest) = (&rest[..target_len], &rest[target_len + 1..]);
    let Some(version) = version(rest)? else { return Ok(None) };
    let target = ascii(target);
    let form = target::form(method, target).ok_or(ParseError::InvalidTarget)?;
    let len = method.len() + 1 + target_len + 1 + VERSION_LINE.len();
    Ok(Some((RequestHead::new(method, target, form, version), len)))
}

/// The method at the start of `bytes`, and the bytes after its space; `None` if it is valid so far but has not ended.
fn method(bytes: &[u8]) -> Parsed<(&str, &[u8])> {
    let len = chars::run(&bytes[..bytes.len().min(MAX_METHOD + 1)], TOKEN);
    if len > MAX_METHOD {
        return Err(ParseError::MethodTooLong);
    }
    match bytes[len..] {
        [] => Ok(None),
        [b' ', ref rest @ ..] if len > 0 => Ok(Some((ascii(&bytes[..len]), rest))),
        _ => Err(ParseError::InvalidMethod),
    }
}

/// The end of a request line; the digits stand for any digit.
const VERSION_LINE: &[u8; 10] = b"HTTP/1.1\r\n";

/// Reads the version and the line's end; `None` if they are valid so far but incomplete.
fn version(bytes: &[u8]) -> Parsed<Version> {
    for (index, (&byte, &expected)) in bytes.iter().zip(VERSION_LINE).enumerate() {
        let is_valid = if expected == b'1' { byte.is_ascii_digit() } else { byte == expected };
        match index {
            _ if is_valid && index == 7 && bytes[5] != b'1' => return Err(ParseError::UnsupportedVersion),
            _ if is_valid => {}
            8 if byte == b'\n' => return Err(ParseError::InvalidLineEnd),
            9 => return Err(ParseError::InvalidLineEnd),
            _ => return Err(ParseError::InvalidVersion),
        }
    }
    if bytes.len() < VERSION_LINE.len() {
        return Ok(None);
    }
    Ok(Some(if bytes[7] == b'0' { Version::Http10 } else { Version::Http11 }))
}

/// `bytes` as text. The character classes contain only ASCII, so this never returns the empty string for others.
#[inline]
fn ascii(bytes: &[u8]) -> &str {
    // The shortest target is also the most frequent one.
    if bytes == b"/" {
        return "/";
    }
    std::str::from_utf8(bytes).unwrap_or_default()
}
