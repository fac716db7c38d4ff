//! The fields that decoder and encoder act on, recognised in one place: those about framing, connection and routing, and
//! those that the encoder sends without being asked. Mirrors llhttp's `header_state` and the `matchHeader` of Node's
//! `_storeHeader`.

/// A field that decoder or encoder acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownField {
    Connection,
    ContentLength,
    Date,
    Expect,
    Host,
    KeepAlive,
    Trailer,
    TransferEncoding,
    Upgrade,
}

impl KnownField {
    /// The known field called `name`, in whatever case. Length and first letter decide for most others.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let first = name.first()? | 0x20;
        Some(match (name.len(), first) {
            (4, b'd') if is(name, b"date") => Self::Date,
            (4, b'h') if is(name, b"host") => Self::Host,
            (6, b'e') if is(name, b"expect") => Self::Expect,
            (7, b't') if is(name, b"trailer") => Self::Trailer,
            (7, b'u') if is(name, b"upgrade") => Self::Upgrade,
            (10, b'c') if is(name, b"connection") => Self::Connection,
            (10, b'k') if is(name, b"keep-alive") => Self::KeepAlive,
            (14, b'c') if is(name, b"content-length") => Self::ContentLength,
            (17, b't') if is(name, b"transfer-encoding") => Self::TransferEncoding,
            _ => return None,
        })
    }
}

/// Whether `name` is `known`, which is in lower case, whatever its own case. Without an exit in the middle: the compiler
/// makes a few wide instructions of it.
#[inline]
fn is<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let differences = |name: &[u8; N]| {
        name.iter().zip(known).fold(0, |found, (byte, known)| {
            // Of a letter the bit of its case may differ.
            let counted = if known.is_ascii_lowercase() { !0x20 } else { !0 };
            found | ((byte ^ known) & counted)
        })
    };
    name.try_into().is_ok_and(|name| differences(name) == 0)
}

#[cfg(test)]
mod tests {
    use super::KnownField;

    #[test]
    fn known_fields_are_recognised_in_any_case_and_others_are_not() {
        for (name, field) in [
            ("Connection", KnownField::Connection),
            ("Content-Length", KnownField::ContentLength),
            ("DATE", KnownField::Date),
            ("expect", KnownField::Expect),
            ("Host", KnownField::Host),
            ("Keep-Alive", KnownField::KeepAlive),
            ("tRAILER", KnownField::Trailer),
            ("Transfer-Encoding", KnownField::TransferEncoding),
            ("Upgrade", KnownField::Upgrade),
        ] {
            assert_eq!(KnownField::of(name.as_bytes()), Some(field));
        }
        for name in ["", "a", "data", "keep\ralive", "keep_alive", "content-type", "hosts", &"x".repeat(300)]
        {
            assert_eq!(KnownField::of(name.as_bytes()), None, "{name:?}");
        }
    }
}
