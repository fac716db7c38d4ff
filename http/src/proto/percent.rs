//! Percent-encoding in targets (RFC 3986, 2.1), decoded. Mirrors `decodeURIComponent`.

use std::borrow::Cow;

/// Decodes `text`; `None` if a `%` is not followed by two digits.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    let Some(first) = text.bytes().position(|byte| byte == b'%') else {
        return Some(Cow::Borrowed(text.as_bytes()));
    };
    let (start, rest) = text.as_bytes().split_at(first);
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(start);
    let mut bytes = rest.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(Cow::Owned(decoded))
}

/// Decodes `text`; `None` also if what it encodes is not UTF-8.
pub(super) fn decode_text(text: &str) -> Option<Cow<'_, str>> {
    match decode(text)? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(decoded) => String::from_utf8(decoded).ok().map(Cow::Owned),
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_encoding_is_refused_and_the_rest_is_decoded_once() {
        for (text, decoded) in [
            ("", Some("")),
            ("abc", Some("abc")),
            ("a%20b", Some("a b")),
            ("%2e%2E%2f", Some("../")),
            ("%252e", Some("%2e")),
            ("%C3%A4", Some("\u{e4}")),
            ("%00", Some("\0")),
            ("a+b", Some("a+b")),
            ("%c0%ae", None),
            ("%", None),
            ("a%2", None),
            ("%zz", None),
            ("%+1", None),
        ] {
            assert_eq!(decode_text(text).as_deref(), decoded, "{text}");
        }
    }
}
