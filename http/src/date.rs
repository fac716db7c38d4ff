//! The `Date` field, made once a second, with the other lines that most heads have. Mirrors Node's `utcDate`.

use crate::proto::date_field;
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

/// The current date as HTTP writes it, and until when it is that.
pub(crate) struct DateCache {
    text: Cell<[u8; 29]>,
    /// The `Date` line, and the lines given at the start.
    lines: RefCell<Vec<u8>>,
    /// On the loop's clock.
    valid_until: Cell<Duration>,
}

impl DateCache {
    pub(crate) fn new(other_lines: &[u8]) -> Self {
        let text = [b' '; 29];
        let mut lines = Vec::new();
        date_field(&mut lines, &text);
        lines.extend_from_slice(other_lines);
        Self { text: Cell::new(text), lines: RefCell::new(lines), valid_until: Cell::default() }
    }

    /// The date; `now` is the loop's clock, which costs nothing to look at.
    pub(crate) fn text(&self, now: Duration) -> [u8; 29] {
        self.renew_if_due(now);
        self.text.get()
    }

    /// All lines, or all but `Date`. `use_lines` calls nobody.
    pub(crate) fn lines(&self, now: Duration, with_date: bool, use_lines: impl FnOnce(&[u8])) {
        self.renew_if_due(now);
        let lines = self.lines.borrow();
        use_lines(&lines[if with_date { 0 } else { DATE_LINE }..]);
    }

    fn renew_if_due(&self, now: Duration) {
        if now >= self.valid_until.get() {
            self.renew(now);
        }
    }

    fn renew(&self, now: Duration) {
        // A clock before 1970 or after 9999 has no HTTP date; the epoch is then as good as any.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shown = if since_epoch < END_OF_DATES { since_epoch } else { Duration::ZERO };
        let mut text = [b' '; 29];
        // A date fills the array exactly.
        let _ = write!(&mut text[..], "{}", HttpDate::from(UNIX_EPOCH + shown));
        self.text.set(text);
        self.lines.borrow_mut()[DATE].copy_from_slice(&text);
        let left = Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
        self.valid_until.set(now + left);
    }
}
