//! The heads' common lines, and the clock that keeps their `Date` right: it is written anew once a second. Mirrors Node's
//! `utcDate`.

use crate::proto::HeadCache;
use httpdate::HttpDate;
use std::cell::{Cell, RefCell, RefMut};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first second that HTTP cannot write: the year 10000.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

pub(crate) struct Heads {
    cache: RefCell<HeadCache>,
    /// On the loop's clock: until when its date is the current one.
    valid_until: Cell<Duration>,
}

impl Heads {
    pub(crate) fn new(cache: HeadCache) -> Self {
        Self { cache: RefCell::new(cache), valid_until: Cell::default() }
    }

    /// The cache, with the current date. `now` is the loop's clock, which costs nothing to look at.
    #[inline]
    pub(crate) fn at(&self, now: Duration) -> RefMut<'_, HeadCache> {
        let mut cache = self.cache.borrow_mut();
        if now >= self.valid_until.get() {
            self.renew(now, &mut cache);
        }
        cache
    }

    #[cold]
    fn renew(&self, now: Duration, cache: &mut HeadCache) {
        // A clock before 1970 or after 9999 has no HTTP date; the epoch is then as good as any.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shown = if since_epoch < END_OF_DATES { since_epoch } else { Duration::ZERO };
        let mut text = [b' '; 29];
        // A date fills the array exactly.
        let _ = write!(&mut text[..], "{}", HttpDate::from(UNIX_EPOCH + shown));
        cache.set_date(&text);
        let left = Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
        self.valid_until.set(now + left);
    }
}
