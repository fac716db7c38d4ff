//! The notation of bytes in case files: C-like escapes, repeats, and split marks.

use std::fmt::Write as _;

/// The most bytes that one line may stand for, so that a mistyped repeat is an error and not an exhausted memory.
const MAX_DECODED: usize = 64 * 1024 * 1024;

/// The most bytes shown in a message: enough for a head, short enough to read.
const MAX_SHOWN: usize = 1200;

/// Decodes one line into its pieces: `|` ends a piece.
///
/// `\r`, `\n`, `\t`, `\xHH` and a backslash before any of ``\ | { } " ` `` are escapes; `{unit*count}` repeats a unit,
/// which may hold escapes.
pub(crate) fn decode_pieces(source: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut pieces = vec![Vec::new()];
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let piece = pieces.last_mut().ok_or("no piece to extend")?;
        match next {
            '|' => {
                pieces.push(Vec::new());
                rest = &rest[1..];
            }
            '{' => rest = decode_repeat(rest, piece)?,
            '}' => return Err("`}` without `{`: write `\\}`".into()),
            _ => rest = decode_one(rest, piece)?,
        }
        if pieces.iter().map(Vec::len).sum::<usize>() > MAX_DECODED {
            return Err(format!("a line may stand for at most {MAX_DECODED} bytes"));
        }
    }
    Ok(pieces)
}

/// Decodes a text in which split marks have no meaning.
pub(crate) fn decode(source: &str) -> Result<Vec<u8>, String> {
    let pieces = decode_pieces(source)?;
    match <[Vec<u8>; 1]>::try_from(pieces) {
        Ok([bytes]) => Ok(bytes),
        Err(_) => Err("a split mark has no meaning here: write `\\|`".into()),
    }
}

/// Decodes the repeat at the start of `source`, returning what follows it.
fn decode_repeat<'a>(source: &'a str, into: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut unit = Vec::new();
    let mut rest = &source[1..];
    loop {
        match rest.chars().next() {
            None => return Err("`{` without `}`: write `\\{`, or `{unit*count}`".into()),
            Some('{' | '|') => return Err("a repeated unit holds neither repeats nor split marks".into()),
            Some('*') => {
                if let Some((count, after)) = repeat_count(&rest[1..]) {
                    let length = unit.len().checked_mul(count).filter(|length| *length <= MAX_DECODED);
                    length.ok_or_else(|| format!("a repeat may make at most {MAX_DECODED} bytes"))?;
                    into.extend(unit.repeat(count));
                    return Ok(after);
                }
                unit.push(b'*');
                rest = &rest[1..];
            }
            Some('}') => return Err("a repeat is written `{unit*count}`".into()),
            Some(_) => rest = decode_one(rest, &mut unit)?,
        }
    }
}

/// Reads `count}`, if that is what `source` begins with.
fn repeat_count(source: &str) -> Option<(usize, &str)> {
    let (count, after) = source.split_once('}')?;
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((count.parse().ok()?, after))
}

/// Decodes one character or escape, returning what follows it.
fn decode_one<'a>(source: &'a str, into: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut chars = source.chars();
    let first = chars.next().ok_or("nothing to decode")?;
    if first != '\\' {
        if !first.is_ascii() || first.is_ascii_control() {
            return Err(format!("{first:?} must be written with `\\x` escapes"));
        }
        into.push(first as u8);
        return Ok(chars.as_str());
    }
    match chars.next() {
        Some('r') => into.push(b'\r'),
        Some('n') => into.push(b'\n'),
        Some('t') => into.push(b'\t'),
        Some(escaped @ ('\\' | '|' | '{' | '}' | '"' | '`')) => into.push(escaped as u8),
        Some('x') => {
            let digits = chars.as_str().get(..2).ok_or("`\\x` needs two hexadecimal digits")?;
            let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let byte = u8::from_str_radix(digits, 16).ok().filter(|_| all_hex);
            into.push(byte.ok_or_else(|| format!("`\\x{digits}` is not two hexadecimal digits"))?);
            return Ok(&chars.as_str()[2..]);
        }
        other => return Err(format!("unknown escape `\\{}`", other.map(String::from).unwrap_or_default())),
    }
    Ok(chars.as_str())
}

/// Shows bytes in the notation of the case files, cut in the middle when they are many.
pub(crate) fn show(bytes: &[u8]) -> String {
    if bytes.len() <= MAX_SHOWN {
        return show_all(bytes);
    }
    let (head, tail) = (&bytes[..MAX_SHOWN * 2 / 3], &bytes[bytes.len() - MAX_SHOWN / 3..]);
    let hidden = bytes.len() - head.len() - tail.len();
    format!("{} …{hidden} bytes… {}", show_all(head), show_all(tail))
}

fn show_all(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(byte as char),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_their_bytes() {
        assert_eq!(decode(r#"a\r\n\t\x00\xfF\\\|\{\}\"\`"#), Ok(b"a\r\n\t\x00\xff\\|{}\"`".to_vec()));
    }

    #[test]
    fn split_marks_end_pieces() {
        assert_eq!(decode_pieces("a|b||c"), Ok(vec![b"a".to_vec(), b"b".to_vec(), vec![], b"c".to_vec()]));
        assert!(decode("a|b").is_err());
    }

    #[test]
    fn repeats_may_hold_escapes_and_stars() {
        assert_eq!(decode(r"<{a*3}{\r\n*2}{b*c*2}{x*0}>"), Ok(b"<aaa\r\n\r\nb*cb*c>".to_vec()));
    }

    #[test]
    fn mistakes_are_errors() {
        for source in
            [r"\q", r"\x1", r"\xzz", r"\x+1", "\\", "{a", "{a}", "{a*}", "a}", "{{a*2}*2}", "{a|*2}", "é"]
        {
            assert!(decode(source).is_err(), "{source} was accepted");
        }
        assert!(decode("{aaaa*999999999999}").is_err());
        assert!(decode("{a*67108864}{a*67108864}").is_err());
    }

    #[test]
    fn bytes_are_shown_in_the_same_notation() {
        assert_eq!(show(b"a\r\n\t\\\x00\xff"), r"a\r\n\t\\\x00\xff");
        assert!(show(&[b'a'; 100_000]).contains("bytes…"));
    }
}
