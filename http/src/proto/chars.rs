//! Which bytes may stand where: one table of character classes (RFC 9110, 5.5 and 5.6.2; RFC 3986, 3.2.2). Mirrors the
//! tables that llhttp generates.

/// `tchar`: methods, field names, transfer codings, chunk extension names.
pub(super) const TOKEN: u8 = 1;
/// A byte of a request target: visible ASCII but `#`.
///
/// This is wider than RFC 3986: `"`, `<`, `>`, `\`, `^`, `` ` ``, `{`, `|` and `}` are accepted, since browsers send some of
/// them in queries and Node accepts them. A fragment never belongs into a target (RFC 9112, 3.2).
pub(super) const TARGET: u8 = 2;
/// A byte of a `reg-name` but `%` (which needs two hex digits) and `,` (see `authority.rs`).
pub(super) const HOST: u8 = 4;
/// A byte of a field value or reason phrase: HTAB, SP, visible ASCII, obs-text.
pub(super) const TEXT: u8 = 8;
/// `qdtext`: a byte of a quoted string that needs no backslash.
pub(super) const QUOTED: u8 = 16;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let is_alphanumeric = byte.is_ascii_alphanumeric();
        let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        table[index] = when(is_alphanumeric || is_among(byte, b"!#$%&'*+-.^_`|~"), TOKEN)
            | when(byte.is_ascii_graphic() && byte != b'#', TARGET)
            | when(is_alphanumeric || is_among(byte, b"-._~!$&'()*+;="), HOST)
            | when(is_text, TEXT)
            | when(is_text && !is_among(byte, b"\"\\"), QUOTED);
        index += 1;
    }
    table
}

const fn when(holds: bool, class: u8) -> u8 {
    if holds { class } else { 0 }
}

const fn is_among(byte: u8, bytes: &[u8]) -> bool {
    match bytes {
        [first, rest @ ..] => *first == byte || is_among(byte, rest),
        [] => false,
    }
}

/// Whether `byte` belongs to `class`.
#[inline]
pub(super) fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// How many bytes at the start of `bytes` belong to `class`.
#[inline]
pub(super) fn run(bytes: &[u8], class: u8) -> usize {
    let mut len = 0;
    // By hand: half the instructions of a search by iterator, for names of a few bytes.
    while let Some(&byte) = bytes.get(len)
        && is(byte, class)
    {
        len += 1;
    }
    len
}

/// How many bytes at the start of `bytes` may stand in a field value (`TEXT`), looked at eight at a time.
#[inline]
pub(super) fn text_run(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // The classic tests for a byte below 0x20 and for a byte 0x7f: the lowest mark that either leaves is right.
        let below_space = word.wrapping_sub(EACH * 0x20) & !word;
        let delete = word ^ (EACH * 0x7f);
        let delete = delete.wrapping_sub(EACH) & !delete;
        let marks = (below_space | delete) & (EACH * 0x80);
        if marks == 0 {
            at += 8;
            continue;
        }
        at += (marks.trailing_zeros() / 8) as usize;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    at + run(&bytes[at..], TEXT)
}

/// Whether `bytes` is a `token`: not empty, every byte a `tchar`.
#[inline]
pub(super) fn is_token(bytes: &[u8]) -> bool {
    // Without an exit in the middle, which short names do not need: half the instructions.
    let classes = bytes.iter().fold(u8::MAX, |classes, &byte| classes & CLASSES[usize::from(byte)]);
    !bytes.is_empty() && classes & TOKEN != 0
}

/// The elements of a comma-separated list, each without the optional whitespace around it (RFC 9110, 5.6.1).
/// Empty elements come out empty; a recipient is to ignore them.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// `bytes` without optional whitespace (SP, HTAB) at either end.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', trimmed @ ..] | [trimmed @ .., b' ' | b'\t'] = bytes {
        bytes = trimmed;
    }
    bytes
}

/// The value of `1*DIGIT`, if it fits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
