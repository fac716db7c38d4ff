//! The `Date` field, made once a second. Mirrors Node's `utcDate`.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The current date as HTTP writes it, and until when it is that.
#[derive(Default)]
pub(crate) struct DateCache {
    text: Cell<[u8; 29]>,
    /// On the loop's clock.
    valid_until: Cell<Duration>,
}

impl DateCache {
    /// The date; `now` is the loop's clock, which costs nothing to look at.
    pub(crate) fn get(&self, now: Duration) -> [u8; 29] {
        if now >= self.valid_until.get() {
            self.renew(now);
        }
        self.text.get()
    }

    fn renew(&self, now: Duration) {
        let clock = SystemTime::now();
        // A clock before 1970 or after 9999 has no HTTP date; the epoch is then as good as any.
        let since_epoch = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let representable = since_epoch < Duration::from_secs(253_402_300_800);
        let text = httpdate::fmt_http_date(if representable { UNIX_EPOCH + since_epoch } else { UNIX_EPOCH });
        let mut bytes = [b' '; 29];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.text.set(bytes);
        let left = Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
        self.valid_until.set(now + left);
    }
}
