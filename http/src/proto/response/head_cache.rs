//! What the heads of a server's responses have in common, made once: the `Date` line, the lines about a persistent
//! connection, and the whole head of the last simple response, which is very often that of the next one too. Mirrors the
//! cache of Node's `utcDate`.

use super::encode::{content_length_end, date_field, keep_alive_field, status_line};
use super::field_lines::{FieldLines, KEPT_CAPACITY};
use std::ops::Range;

/// Bytes of the `Date` line: name, date and line end.
const DATE_LINE: usize = 37;

/// Where the date is in its line.
const DATE: Range<usize> = 6..35;

/// The line of a response after which the connection ends.
pub(super) const CLOSE_LINE: &[u8] = b"Connection: close\r\n";

/// The common lines of the heads of one server.
#[derive(Debug)]
pub struct HeadCache {
    /// The `Date` line, then the lines about a persistent connection.
    lines: Vec<u8>,
    /// Where the lines begin that are sent: behind the `Date` line until there is a date.
    start: usize,
    last: CachedHead,
}

/// The head of a response of known length that sets nothing but status and lines.
pub(crate) struct SimpleHead<'a> {
    /// Between 100 and 999.
    pub(crate) status: u16,
    /// Whether the connection persists.
    pub(crate) keep_alive: bool,
    pub(crate) lines: &'a mut FieldLines,
    /// Bytes of the body.
    pub(crate) length: u64,
}

/// The head that was made last, and from what.
#[derive(Debug, Default)]
struct CachedHead {
    status: u16,
    keep_alive: bool,
    lines: Vec<u8>,
    /// Identifies those lines, so that they need not be compared.
    stamp: u64,
    length: u64,
    /// Empty once its date is out of date.
    head: Vec<u8>,
}

impl HeadCache {
    /// The lines of a server with persistent connections. With `keep_alive` there is a `Keep-Alive` line with the seconds
    /// that a connection may idle and the requests that it may carry, as in Node. There is no `Date` line until
    /// [`set_date`](Self::set_date) is called.
    #[must_use]
    pub fn new(keep_alive: Option<(u64, Option<u64>)>) -> Self {
        let mut lines = Vec::new();
        date_field(&mut lines, &[b' '; 29]);
        lines.extend_from_slice(b"Connection: keep-alive\r\n");
        if let Some((timeout_secs, max_requests)) = keep_alive {
            keep_alive_field(&mut lines, timeout_secs, max_requests);
        }
        Self { lines, start: DATE_LINE, last: CachedHead::default() }
    }

    /// Sets the date, an IMF-fixdate (RFC 9110, 5.6.7), which always has 29 bytes.
    pub fn set_date(&mut self, date: &[u8; 29]) {
        self.lines[DATE].copy_from_slice(date);
        self.start = 0;
        self.last.head.clear();
    }

    pub(super) fn put_common_lines(&self, with_date: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lines[if with_date { self.start } else { DATE_LINE }..]);
    }

    pub(super) fn put_date_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lines[self.start..DATE_LINE]);
    }

    /// Writes a simple head: the bytes that [`Encoder::put_head`](super::Encoder::put_head) writes for it.
    #[inline(always)]
    pub(crate) fn put_simple(&mut self, head: SimpleHead<'_>, out: &mut Vec<u8>) {
        if !self.last.is_of(&head) {
            self.last.find_or_make(head, &self.lines[self.start..], DATE_LINE - self.start);
        }
        out.extend_from_slice(&self.last.head);
    }
}

impl CachedHead {
    /// Whether it is surely the head of this; `false` leaves that open.
    #[inline(always)]
    fn is_of(&self, head: &SimpleHead<'_>) -> bool {
        self.length == head.length
            && self.status == head.status
            && self.keep_alive == head.keep_alive
            && self.stamp == head.lines.stamp()
            && self.lines.len() == head.lines.len()
            && !self.head.is_empty()
    }

    /// Compares the lines, and makes the head if it is not the same. `common_lines` begin with `date_len` bytes of date.
    #[inline(never)]
    fn find_or_make(&mut self, head: SimpleHead<'_>, common_lines: &[u8], date_len: usize) {
        let SimpleHead { status, keep_alive, lines, length } = head;
        let has_same_lines = self.lines == lines.as_slice() && self.stamp != 0;
        if !has_same_lines {
            replace(&mut self.lines, lines.as_slice());
            self.stamp += 1;
        }
        lines.set_stamp(self.stamp);
        let is_same = (self.status, self.keep_alive, self.length) == (status, keep_alive, length);
        if has_same_lines && is_same && !self.head.is_empty() {
            return;
        }
        (self.status, self.keep_alive, self.length) = (status, keep_alive, length);
        replace(&mut self.head, b"");
        // It was checked when it was set.
        let _ = status_line(&mut self.head, status, None);
        if keep_alive {
            self.head.extend_from_slice(common_lines);
        } else {
            self.head.extend_from_slice(&common_lines[..date_len]);
            self.head.extend_from_slice(CLOSE_LINE);
        }
        self.head.extend_from_slice(&self.lines);
        content_length_end(&mut self.head, length);
    }
}

/// Replaces the content of `buffer` by `bytes`; a large buffer is not kept.
fn replace(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.clear();
    buffer.shrink_to(KEPT_CAPACITY);
    buffer.extend_from_slice(bytes);
}
