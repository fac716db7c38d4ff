//! What the heads of a server's responses have in common, made once: the `Date` line, the lines about a persistent
//! connection, and the whole head of the last simple response, which is very often that of the next one too. Mirrors the
//! cache of Node's `utcDate`.

use super::encode::{content_length_end, status_line};
use super::field_lines::KEPT_CAPACITY;
use super::head::ResponseHead;
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
        let mut lines = format!("Date: {:29}\r\nConnection: keep-alive\r\n", "");
        match keep_alive {
            Some((secs, Some(max))) => lines += &format!("Keep-Alive: timeout={secs}, max={max}\r\n"),
            Some((secs, None)) => lines += &format!("Keep-Alive: timeout={secs}\r\n"),
            None => {}
        }
        Self { lines: lines.into_bytes(), start: DATE_LINE, last: CachedHead::default() }
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

    /// Writes a head that is [simple](ResponseHead::is_simple), of a response of known length: the bytes that
    /// [`Encoder::put_head`](super::Encoder::put_head) writes for it.
    #[inline]
    pub(crate) fn put_simple(
        &mut self,
        head: &mut ResponseHead,
        keep_alive: bool,
        length: u64,
        out: &mut Vec<u8>,
    ) {
        if !self.last.is_of(head, keep_alive, length) {
            let lines = &self.lines[self.start..];
            self.last.find_or_make(head, keep_alive, length, (lines, DATE_LINE - self.start));
        }
        out.extend_from_slice(&self.last.head);
    }
}

impl CachedHead {
    /// Whether it is surely the head of this; `false` leaves that open.
    #[inline]
    fn is_of(&self, head: &ResponseHead, keep_alive: bool, length: u64) -> bool {
        self.length == length
            && self.status == head.status()
            && self.keep_alive == keep_alive
            && self.stamp == head.lines().stamp()
            && self.lines.len() == head.lines().len()
            && !self.head.is_empty()
    }

    /// Compares the lines, and makes the head if it is not the same. `common_lines` begin with `date_len` bytes of date.
    #[inline(never)]
    fn find_or_make(
        &mut self,
        head: &mut ResponseHead,
        keep_alive: bool,
        length: u64,
        (common_lines, date_len): (&[u8], usize),
    ) {
        let status = head.status();
        let lines = head.lines_mut();
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
