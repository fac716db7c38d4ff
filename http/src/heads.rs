//! What answers have in common, made once: the `Date`, once a second, the lines that most heads have, and the whole head
//! of the last ordinary answer, which is very often that of the next one too. Mirrors Node's `utcDate`.

use crate::lines::Lines;
use crate::proto::{content_length_end, date_field, status_line};
use httpdate::HttpDate;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of the `Date` line: name, date and line end.
const DATE_LINE: usize = 37;

/// Where the date is in its line.
const DATE: Range<usize> = 6..35;

/// The first second that HTTP cannot write: the year 10000.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

pub(crate) struct Heads {
    /// The current date as HTTP writes it.
    date: Cell<[u8; 29]>,
    /// On the loop's clock: until when the date is that.
    valid_until: Cell<Duration>,
    /// The `Date` line, and the lines given at the start.
    lines: RefCell<Vec<u8>>,
    last: RefCell<LastHead>,
}

/// The line of an answer that is the last one.
pub(crate) const CLOSE_LINE: &[u8] = b"Connection: close\r\n";

/// What an ordinary head says beside the common lines.
pub(crate) struct Whole<'a> {
    /// It was checked.
    pub(crate) status: u16,
    /// Whether other answers may follow.
    pub(crate) keep_alive: bool,
    /// Lines that the application set.
    pub(crate) lines: &'a mut Lines,
    /// Bytes of the body.
    pub(crate) length: u64,
}

/// The head that was made last, and from what.
#[derive(Default)]
struct LastHead {
    status: u16,
    keep_alive: bool,
    lines: Vec<u8>,
    /// Names those lines, so that they need not be compared.
    stamp: u64,
    length: u64,
    /// Empty once its date is over.
    head: Vec<u8>,
}

impl Heads {
    pub(crate) fn new(other_lines: &[u8]) -> Self {
        let date = [b' '; 29];
        let mut lines = Vec::new();
        date_field(&mut lines, &date);
        lines.extend_from_slice(other_lines);
        Self {
            date: Cell::new(date),
            valid_until: Cell::default(),
            lines: RefCell::new(lines),
            last: RefCell::default(),
        }
    }

    /// The date; `now` is the loop's clock, which costs nothing to look at.
    pub(crate) fn date(&self, now: Duration) -> [u8; 29] {
        self.renew_if_due(now);
        self.date.get()
    }

    /// The common lines, with or without `Date`. `use_lines` calls nobody.
    pub(crate) fn lines(&self, now: Duration, with_date: bool, use_lines: impl FnOnce(&[u8])) {
        self.renew_if_due(now);
        let lines = self.lines.borrow();
        use_lines(&lines[if with_date { 0 } else { DATE_LINE }..]);
    }

    /// Puts a whole head: status, common lines, those of the application, and the length.
    #[inline(always)]
    pub(crate) fn put_whole(&self, out: &mut Vec<u8>, now: Duration, whole: Whole<'_>) {
        self.renew_if_due(now);
        let mut last = self.last.borrow_mut();
        if !last.is_of(&whole) {
            last.find_or_make(whole, &self.lines.borrow());
        }
        out.extend_from_slice(&last.head);
    }

    #[inline]
    fn renew_if_due(&self, now: Duration) {
        if now >= self.valid_until.get() {
            self.renew(now);
        }
    }

    #[cold]
    fn renew(&self, now: Duration) {
        // A clock before 1970 or after 9999 has no HTTP date; the epoch is then as good as any.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shown = if since_epoch < END_OF_DATES { since_epoch } else { Duration::ZERO };
        let mut text = [b' '; 29];
        // A date fills the array exactly.
        let _ = write!(&mut text[..], "{}", HttpDate::from(UNIX_EPOCH + shown));
        self.date.set(text);
        self.lines.borrow_mut()[DATE].copy_from_slice(&text);
        self.last.borrow_mut().head.clear();
        let left = Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
        self.valid_until.set(now + left);
    }
}

impl LastHead {
    /// Whether it is known to be of this; what is not known may still be so.
    #[inline(always)]
    fn is_of(&self, whole: &Whole<'_>) -> bool {
        self.length == whole.length
            && self.status == whole.status
            && self.keep_alive == whole.keep_alive
            && self.stamp == whole.lines.stamp()
            && self.lines.len() == whole.lines.len()
            && !self.head.is_empty()
    }

    /// Finds out whether it is of this after all, and if not makes it.
    #[inline(never)]
    fn find_or_make(&mut self, whole: Whole<'_>, common_lines: &[u8]) {
        let Whole { status, keep_alive, lines, length } = whole;
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
            self.head.extend_from_slice(&common_lines[..DATE_LINE]);
            self.head.extend_from_slice(CLOSE_LINE);
        }
        self.head.extend_from_slice(&self.lines);
        content_length_end(&mut self.head, length);
    }
}

/// Puts `bytes` in the place of what is in `buffer`, which is not kept if it was for something large.
fn replace(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.clear();
    buffer.shrink_to(crate::lines::KEPT_CAPACITY);
    buffer.extend_from_slice(bytes);
}
