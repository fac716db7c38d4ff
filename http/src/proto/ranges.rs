//! Which part of a representation a request asks for: the `Range` field (RFC 9110, 14.2). Node leaves it to its
//! applications; mirrors the package `range-parser` that most of them use.

use std::ops::Range;

/// What a `Range` field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: the field means nothing here, or asks for several parts.
    Whole,
    /// One part: from the first byte to behind the last.
    Part(Range<u64>),
    /// Nothing that there is.
    Unsatisfiable,
}

/// Reads the value of a `Range` for a representation of `len` bytes.
///
/// A value that is not valid, or of another unit than bytes, is ignored (RFC 9110, 14.2). So is a value that asks for several
/// parts: a server may ignore any `Range`, and every client has to be able to take the whole. That spares it
/// `multipart/byteranges`, and the server requests for thousands of overlapping parts (RFC 9110, 17.15).
pub(super) fn read(value: &[u8], len: u64) -> Wanted {
    parse(value, len).unwrap_or(Wanted::Whole)
}

fn parse(value: &[u8], len: u64) -> Option<Wanted> {
    let at = value.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = (&value[..at], value[at + 1..].trim_ascii());
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let dash = set.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&set[..dash], &set[dash + 1..]);
    if first.is_empty() {
        // The last so many bytes. Of nothing there is no part, and a part of everything is everything.
        let suffix = number(last)?;
        return Some(match suffix {
            0 => Wanted::Unsatisfiable,
            _ if len == 0 => Wanted::Whole,
            _ => Wanted::Part(len.saturating_sub(suffix)..len),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some(if first < len {
        Wanted::Part(first..last.saturating_add(1).min(len))
    } else {
        Wanted::Unsatisfiable
    })
}

/// A number; what is too large for a `u64` is larger than any representation.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add((digit - b'0').into());
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_cut_to_what_there_is() {
        for (value, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-9", 0..10),
            ("bytes=5-", 5..10),
            ("bytes=5-100", 5..10),
            ("bytes=9-18446744073709551615", 9..10),
            ("bytes=0-99999999999999999999999", 0..10),
            ("bytes=-3", 7..10),
            ("bytes=-100", 0..10),
            ("Bytes= 2-3 ", 2..4),
        ] {
            assert_eq!(read(value.as_bytes(), 10), Wanted::Part(part), "{value}");
        }
    }

    #[test]
    fn what_begins_behind_the_end_cannot_be_had() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(read(value.as_bytes(), 10), Wanted::Unsatisfiable, "{value}");
        }
        assert_eq!(read(b"bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(read(b"bytes=-5", 0), Wanted::Whole);
    }

    #[test]
    fn what_is_not_valid_or_several_parts_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=0-0,5-6",
            "bytes=0-0,",
            "lines=1-2",
            "bytes 0-1",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "=0-1",
        ] {
            assert_eq!(read(value.as_bytes(), 10), Wanted::Whole, "{value}");
        }
    }
}
