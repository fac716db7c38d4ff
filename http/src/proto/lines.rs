//! The lines of a head as they will be sent. Mirrors the string that Node's `_storeHeader` builds.
//!
//! No argument can end a line early: names have to be tokens, values and reasons are without control characters (Node's
//! `checkInvalidHeaderChar`), so no message can be split (RFC 9112, 11.1).

use crate::proto::EncodeError;
use crate::proto::chars;

/// Bytes of a response's buffer that is kept for reuse.
pub(crate) const KEPT_CAPACITY: usize = 4096;

/// Empties a buffer from `start` on. Gives its memory back if that is more than `kept`, for a single large response.
#[inline]
pub(crate) fn recycle(buffer: &mut Vec<u8>, start: usize, kept: usize) {
    buffer.truncate(start);
    if buffer.capacity() > kept && start == 0 {
        *buffer = Vec::new();
    }
}

/// Whether `name` and `value` can be the parts of a field line.
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

/// Whether `value` can stand in a line.
pub(super) fn is_text(value: &[u8]) -> bool {
    chars::text_run(value) == value.len()
}

/// Appends a field line, whose parts were checked.
#[inline]
pub(super) fn put_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let (start, name) = (out.len(), name.as_bytes());
    // Room is made once, instead of looked for at each part.
    out.resize(start + name.len() + value.len() + 4, b' ');
    let (name_part, rest) = out[start..].split_at_mut(name.len());
    name_part.copy_from_slice(name);
    rest[0] = b':';
    let (value_part, end) = rest[2..].split_at_mut(value.len());
    value_part.copy_from_slice(value);
    end.copy_from_slice(b"\r\n");
}

/// Appends a decimal number.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    // A `u64` has at most 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[start..]);
        }
    }
}

/// Appends the field line of a `Content-Length`.
pub(super) fn put_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    put_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Removes the lines of a field among the bytes from `start` to `end`. Most messages have none, and few others. Returns how
/// many bytes it removed.
pub(super) fn remove_lines(bytes: &mut Vec<u8>, name: &str, mut start: usize, mut end: usize) -> usize {
    let before = bytes.len();
    while start < end {
        let line = &bytes[start..end];
        let Some(len) = line.iter().position(|byte| *byte == b'\n').map(|end| end + 1) else { break };
        let is_it =
            line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes());
        if is_it {
            bytes.drain(start..start + len);
            end -= len;
        } else {
            start += len;
        }
    }
    before - bytes.len()
}

/// A field that the encoder decides about, as the program left it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Field<T> {
    /// Neither set nor removed: the encoder adds it if it is needed.
    #[default]
    Unset,
    /// Not sent.
    Removed,
    /// Set to this.
    Set(T),
}

impl<T> Field<T> {
    pub(super) fn is_set(&self) -> bool {
        matches!(self, Self::Set(_))
    }
}

/// The field lines that an application has set.
///
/// The messages of a server tend to begin with the same field. So a record that is used again keeps the lines of its last
/// message, and an equal first field needs neither to be checked nor to be written.
#[derive(Debug, Default)]
pub(super) struct FieldLines {
    /// The lines, and behind them what is left of the last message's.
    bytes: Vec<u8>,
    /// The end of the lines.
    pub(super) len: usize,
    /// Bytes of the name in the first line of `bytes`, and of that line; the latter is 0 if there is none to be compared.
    first_name: usize,
    first_line: usize,
    /// Identifies the content of `bytes` to [`HeadCache`](super::HeadCache); 0 once that has changed.
    pub(super) stamp: u64,
}

impl FieldLines {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Adds a line if it is the first one, and was the first one of the last message. Returns whether it was.
    #[inline(always)] // +37 instructions in http/pipelined and +35 in http/keep-alive without it
    pub(super) fn put_again(&mut self, name: &str, value: &[u8]) -> bool {
        // The name in the line has a colon only at its end, so lengths and bytes say it all.
        let is_same = self.len == 0
            && self.first_line == name.len() + value.len() + 4
            && self.first_name == name.len()
            && begins_with(&self.bytes, name.as_bytes())
            && begins_with(&self.bytes[name.len() + 2..], value);
        if is_same {
            self.len = self.first_line;
        }
        is_same
    }

    /// Adds a line. With `is_known` it will not be taken for the first one again.
    pub(super) fn put(&mut self, name: &str, value: &[u8], is_known: bool) -> Result<(), EncodeError> {
        check_field(name, value)?;
        let is_first = self.len == 0;
        self.bytes.truncate(self.len);
        put_line(&mut self.bytes, name, value);
        self.len = self.bytes.len();
        self.stamp = 0;
        if is_first {
            (self.first_name, self.first_line) = (name.len(), if is_known { 0 } else { self.len });
        }
        Ok(())
    }

    /// The values of the lines of a field.
    pub(super) fn values(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.as_slice().split(|byte| *byte == b'\n').filter_map(move |line| {
            let (own, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b": ").filter(|_| own.eq_ignore_ascii_case(name.as_bytes()))?;
            Some(value.trim_ascii())
        })
    }

    /// Removes the lines of a field among the first `end` bytes.
    pub(super) fn remove(&mut self, name: &str, end: usize) {
        let removed = remove_lines(&mut self.bytes, name, 0, end);
        if removed > 0 {
            self.len -= removed;
            (self.first_line, self.stamp) = (0, 0);
        }
    }

    /// Removes all lines. The first one stays in the buffer, for [`put_again`](Self::put_again).
    pub(super) fn clear(&mut self) {
        self.len = 0;
        if self.bytes.capacity() > KEPT_CAPACITY {
            *self = Self::default();
        }
    }
}

/// Whether `bytes` begin with `start`. Most are so short that two words, which may overlap, cover them; the general routine
/// would first have to choose a method.
#[inline]
fn begins_with(bytes: &[u8], start: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..start.len()) else { return false };
    match (start.first_chunk::<8>(), start.last_chunk::<8>()) {
        (Some(first), Some(last)) if start.len() <= 16 => bytes.starts_with(first) && bytes.ends_with(last),
        _ => bytes == start,
    }
}
