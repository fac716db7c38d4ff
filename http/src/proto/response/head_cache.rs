//! What the heads of a server's responses have in common, made once: the `Date` line, the lines about a persistent
//! connection, and the whole head of the last simple response, which is very often that of the next one too. Mirrors the
//! cache of Node's `utcDate`.

use super::encoder::Encoder;
use super::head::ResponseHead;
use crate::proto::lines::{KEPT_CAPACITY, recycle};

/// Bytes of the `Date` line: name, date and line end.
const DATE_LINE: usize = 37;

/// The common lines of the heads of one server.
#[derive(Debug)]
pub struct HeadCache {
    /// The `Date` line, then the lines about a persistent connection.
    lines: Vec<u8>,
    /// Where the lines begin that are sent: behind the `Date` line until there is a date.
    start: usize,
    /// The simple head that was made last.
    head: Vec<u8>,
    /// What it was made from. The status is 0 if there is none, or its date is out of date.
    status: u16,
    keep_alive: bool,
    length: u64,
    own_lines: Vec<u8>,
    /// Identifies those lines, so that they need not be compared.
    stamp: u64,
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
        Self {
            lines: lines.into_bytes(),
            start: DATE_LINE,
            head: Vec::new(),
            status: 0,
            keep_alive: false,
            length: 0,
            own_lines: Vec::new(),
            stamp: 1,
        }
    }

    /// Sets the date, an IMF-fixdate (RFC 9110, 5.6.7), which always has 29 bytes.
    pub fn set_date(&mut self, date: &[u8; 29]) {
        self.lines["Date: ".len()..][..date.len()].copy_from_slice(date);
        self.start = 0;
        self.status = 0;
    }

    pub(super) fn date_line(&self) -> &[u8] {
        &self.lines[self.start..DATE_LINE]
    }

    pub(super) fn keep_alive_lines(&self) -> &[u8] {
        &self.lines[DATE_LINE..]
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
        if !self.has_head_of(head, keep_alive, length) {
            self.find_or_make(head, keep_alive, length);
        }
        out.extend_from_slice(&self.head);
    }

    /// Whether the head that was made last is surely the head of this; `false` leaves that open.
    #[inline]
    fn has_head_of(&self, head: &ResponseHead, keep_alive: bool, length: u64) -> bool {
        self.length == length
            && self.status == head.status()
            && self.keep_alive == keep_alive
            && self.stamp == head.lines.stamp
            && self.own_lines.len() == head.lines.len
    }

    /// Compares the lines, and makes the head if it is not the same.
    #[inline(never)]
    fn find_or_make(&mut self, head: &mut ResponseHead, keep_alive: bool, length: u64) {
        if self.own_lines != head.lines.as_slice() {
            recycle(&mut self.own_lines, 0, KEPT_CAPACITY);
            self.own_lines.extend_from_slice(head.lines.as_slice());
            self.stamp += 1;
            self.status = 0;
        }
        head.lines.stamp = self.stamp;
        if self.has_head_of(head, keep_alive, length) {
            return;
        }
        (self.status, self.keep_alive, self.length) = (head.status(), keep_alive, length);
        let mut made = std::mem::take(&mut self.head);
        recycle(&mut made, 0, KEPT_CAPACITY);
        Encoder { keep_alive, ..Encoder::with_length(length) }.put_head(head, self, &mut made);
        self.head = made;
    }
}
