//! What a client accepts: `Accept-Encoding` (RFC 9110, 12.5.3). Mirrors the package `negotiator`, which Node's applications use.

use super::Coding;

/// A weight of one, in thousandths.
const ONE: u16 = 1000;

/// The coding of those `offered` that the client likes best, of equals the first one. `None` if it prefers what is not coded, or
/// does not say.
pub(super) fn preferred<'a>(lines: impl Iterator<Item = &'a [u8]>, offered: &[Coding]) -> Option<Coding> {
    let (mut weights, mut others, mut identity) = ([None; Coding::ALL.len()], None, None);
    for element in lines.flat_map(|line| line.split(|byte| *byte == b',')) {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        // What is malformed asks for nothing.
        let Some(weight) = weight(parts) else { continue };
        let place = match Coding::ALL.iter().position(|coding| coding.is_called(name)) {
            Some(at) => &mut weights[at],
            None if name == b"*" => &mut others,
            None if name.eq_ignore_ascii_case(b"identity") => &mut identity,
            None => continue,
        };
        place.get_or_insert(weight);
    }
    let weight_of = |coding: Coding| weights[coding as usize].or(others).unwrap_or(0);
    // Of those that are the same to the client the server's first one.
    let best = offered.iter().rev().copied().max_by_key(|coding| weight_of(*coding))?;
    (weight_of(best) > 0 && weight_of(best) >= identity.unwrap_or(0)).then_some(best)
}

/// The weight among an element's parameters (RFC 9110, 12.4.2); one if it has none, `None` if it is malformed.
fn weight<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let mut weight = ONE;
    for parameter in parameters {
        let (name, value) = parameter.split_at_checked(2)?;
        if !name.eq_ignore_ascii_case(b"q=") {
            return None;
        }
        weight = thousandths(value)?;
    }
    Some(weight)
}

/// `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3"0" ] )`.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (first, rest) = value.split_first()?;
    let digits = if rest.is_empty() { rest } else { rest.strip_prefix(b".")? };
    if digits.len() > 3 || !matches!(first, b'0' | b'1') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let places = [100, 10, 1].iter().zip(digits);
    let number = u16::from(first - b'0') * ONE
        + places.map(|(place, digit)| place * u16::from(digit - b'0')).sum::<u16>();
    (number <= ONE).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Brotli, Deflate, Gzip};

    #[track_caller]
    fn check(accepted: &str, expected: Option<Coding>) {
        assert_eq!(preferred([accepted.as_bytes()].into_iter(), &Coding::ALL), expected, "{accepted:?}");
    }

    // negotiator: test/encoding.js
    #[test]
    fn the_client_decides_and_between_equals_the_server() {
        assert_eq!(preferred([].into_iter(), &Coding::ALL), None, "who does not say gets no coding");
        for (accepted, expected) in [
            ("", None),
            ("gzip", Some(Gzip)),
            ("GZip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("deflate", Some(Deflate)),
            ("gzip, deflate, br", Some(Brotli)),
            ("deflate, gzip", Some(Gzip)),
            ("gzip, deflate, br, zstd", Some(Brotli)),
            ("br;q=0.5, gzip;q=0.8", Some(Gzip)),
            ("br;q=0.001, gzip;q=0", Some(Brotli)),
            ("gzip;q=0", None),
            ("gzip;q=0.000", None),
            ("br;q=0, *", Some(Gzip)),
            ("*", Some(Brotli)),
            ("*;q=0", None),
            ("*;q=0, gzip", Some(Gzip)),
            ("identity", None),
            ("identity, gzip", Some(Gzip)),
            ("identity;q=0.5, gzip;q=0.3", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("identity;q=0, gzip;q=0.1", Some(Gzip)),
            ("identity;q=0", None),
            ("zstd, compress", None),
            ("gzip ; q=1 , br ; Q=0.9", Some(Gzip)),
            ("gzip;q=0, gzip", None),
            (",, gzip,", Some(Gzip)),
        ] {
            check(accepted, expected);
        }
        let lines: [&[u8]; 2] = [b"gzip;q=0.5", b"deflate"];
        assert_eq!(preferred(lines.into_iter(), &Coding::ALL), Some(Deflate), "two lines are one list");
        let lines: [&[u8]; 1] = [b"br, gzip"];
        assert_eq!(preferred(lines.into_iter(), &[Gzip]), Some(Gzip), "what is not offered is not chosen");
        assert_eq!(preferred(lines.into_iter(), &[]), None);
    }

    #[test]
    fn what_is_malformed_asks_for_nothing() {
        for weight in ["", "2", "1.1", "1.001", "0.1234", ".5", "-1", "0,5", "q", "1.", "0."] {
            let expected = (weight == "1.").then_some(Gzip);
            check(&format!("gzip;q={weight}"), expected);
        }
        for accepted in ["gzip;level=1", "gzip;", "gzip q=1", "g zip", ";q=1", "=", "\u{fffd}"] {
            check(accepted, None);
        }
    }
}
