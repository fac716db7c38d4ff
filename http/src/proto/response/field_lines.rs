//! The field lines of a response as they will be sent. Mirrors the string that Node's `_storeHeader` builds.
//!
//! The responses of a server tend to begin with the same field. So a record that is used again keeps the lines of its last
//! response, and an equal first field needs neither to be checked nor to be written.

use super::encode::{EncodeError, field};

/// Bytes of a buffer that is kept for reuse; a larger one was for a single large response.
pub(super) const KEPT_CAPACITY: usize = 4096;

/// Empties a buffer, and gives its memory back if it was for something large.
pub(super) fn recycle(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT_CAPACITY {
        *buffer = Vec::new();
    }
}

#[derive(Debug, Default)]
pub(super) struct FieldLines {
    /// The lines, and behind them what is left of the last response's.
    bytes: Vec<u8>,
    /// The end of the lines.
    len: usize,
    /// Bytes of the name in the first line of `bytes`, and of that line; both 0 if there is none to be compared.
    first_name: usize,
    first_line: usize,
    /// Identifies the content of `bytes` to [`HeadCache`](super::HeadCache); 0 once that has changed.
    stamp: u64,
}

impl FieldLines {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The stamp that was given to these bytes, or to those that they begin with; 0 if they have changed since.
    #[inline]
    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }

    pub(super) fn set_stamp(&mut self, stamp: u64) {
        self.stamp = stamp;
    }

    /// Adds a line if it is the first one, and was the first one of the last response. Returns whether it was.
    #[inline]
    pub(super) fn put_again(&mut self, name: &str, value: &[u8]) -> bool {
        let is_same = self.len == 0 && self.is_first(name.as_bytes(), value);
        if is_same {
            self.len = self.first_line;
        }
        is_same
    }

    /// Adds a line.
    pub(super) fn put(&mut self, name: &str, value: &[u8]) -> Result<(), EncodeError> {
        self.bytes.truncate(self.len);
        self.stamp = 0;
        if self.len == 0 {
            self.first_line = 0;
        }
        field(&mut self.bytes, name, value)?;
        if self.len == 0 {
            (self.first_name, self.first_line) = (name.len(), self.bytes.len());
        }
        self.len = self.bytes.len();
        Ok(())
    }

    /// If there is one line, [`put_again`](Self::put_again) will not find it when it comes again.
    pub(super) fn forget_first(&mut self) {
        if self.len == self.first_line {
            (self.first_name, self.first_line) = (0, 0);
        }
    }

    /// Whether the first line is this one. Its name may have a colon only at its end, so lengths and bytes say it all.
    #[inline]
    fn is_first(&self, name: &[u8], value: &[u8]) -> bool {
        self.first_line == name.len() + value.len() + 4
            && self.first_name == name.len()
            && begins_with(&self.bytes, name)
            && begins_with(&self.bytes[name.len() + 2..], value)
    }

    /// Removes the lines of a field among the first `end` bytes. Most responses have none, and few others.
    pub(super) fn remove(&mut self, name: &str, mut end: usize) {
        let mut start = 0;
        while start < end {
            let line = &self.bytes[start..end];
            let Some(len) = line.iter().position(|byte| *byte == b'\n').map(|end| end + 1) else { break };
            let is_it = line.get(name.len()) == Some(&b':')
                && line[..name.len()].eq_ignore_ascii_case(name.as_bytes());
            if is_it {
                self.bytes.drain(start..start + len);
                (self.first_line, self.stamp) = (0, 0);
                self.len -= len;
                end -= len;
            } else {
                start += len;
            }
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
    match (
        bytes.first_chunk::<8>(),
        bytes.last_chunk::<8>(),
        start.first_chunk::<8>(),
        start.last_chunk::<8>(),
    ) {
        (Some(first), Some(last), Some(other_first), Some(other_last)) if start.len() <= 16 => {
            first == other_first && last == other_last
        }
        _ => bytes == start,
    }
}

#[cfg(test)]
mod tests {
    use super::FieldLines;
    use crate::proto::EncodeError;

    /// Puts a line as a response does; says whether it was there already.
    fn put(lines: &mut FieldLines, name: &str, value: &[u8]) -> Result<bool, EncodeError> {
        if lines.put_again(name, value) { Ok(true) } else { lines.put(name, value).map(|()| false) }
    }

    #[test]
    fn a_first_line_that_comes_again_is_the_same_and_any_other_replaces_it() {
        let mut lines = FieldLines::default();
        for _ in 0..2 {
            for (name, value, is_again, expected) in [
                ("A", &b"1"[..], false, &b"A: 1\r\n"[..]),
                ("A", b"1", true, b"A: 1\r\n"),
                ("A", b"2", false, b"A: 2\r\n"),
                ("B", b"2", false, b"B: 2\r\n"),
                ("B", b"", false, b"B: \r\n"),
                ("B", b"", true, b"B: \r\n"),
            ] {
                lines.clear();
                assert_eq!(put(&mut lines, name, value), Ok(is_again));
                assert_eq!(lines.as_slice(), expected);
                assert_eq!(put(&mut lines, name, value), Ok(false), "it is not the first one now");
                assert_eq!(lines.as_slice(), [expected, expected].concat());
            }
        }
    }

    #[test]
    fn what_was_refused_or_removed_is_not_taken_for_the_first_line() {
        let mut lines = FieldLines::default();
        assert_eq!(put(&mut lines, "A", b"b: c"), Ok(false));
        lines.clear();
        // The same bytes with the name ending elsewhere.
        assert!(put(&mut lines, "A: b", b"c").is_err());
        assert_eq!(lines.as_slice(), b"");
        assert!(put(&mut lines, "A: b", b"c").is_err());
        assert_eq!(put(&mut lines, "A", b"b: c"), Ok(false));
        lines.remove("a", lines.len());
        assert_eq!(lines.as_slice(), b"");
        assert_eq!(put(&mut lines, "A", b"b: c"), Ok(false));
        assert_eq!(lines.as_slice(), b"A: b: c\r\n");
    }
}
