//! Which version of a file there is: its entity tag, and when it was modified. Mirrors the package `etag`, and
//! `Last-Modified` of `send`.

use std::fs::Metadata;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The seconds of modification that tools set so that builds are reproducible. They tell nothing: a file that is put in another's
/// place has them, too.
const SET_BY_TOOLS: RangeInclusive<i64> = 0..=1;

/// For how long after a write the file system's clock may not tell a next one from it: coarse ones count in seconds.
const UNSETTLED: Duration = Duration::from_secs(1);

/// The first second that HTTP cannot write: the year 10000.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

pub(super) struct Version {
    /// It changes whenever the file is written, as far as the file system's clock can tell. It is weak as long as that clock
    /// may not tell (RFC 9110, 8.8.1), as Apache's is.
    pub(super) etag: String,
    /// Never later than the response (RFC 9110, 8.8.2.1); `None` if it tells nothing, or HTTP cannot write it.
    pub(super) modified: Option<SystemTime>,
}

impl Version {
    pub(super) fn of(metadata: &Metadata, now: SystemTime) -> Self {
        let is_told = !SET_BY_TOOLS.contains(&metadata.mtime());
        let modified = metadata.modified().ok().map(|modified| modified.min(now));
        let (seconds, rest) = if is_told {
            (metadata.mtime(), metadata.mtime_nsec())
        } else {
            // No tool sets the time of the last change of what is known about the file.
            (metadata.ctime(), metadata.ctime_nsec())
        };
        let written = i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        let is_unsettled = nanoseconds(now).abs_diff(written) < UNSETTLED.as_nanos();
        let mark = if is_unsettled { "W/" } else { "" };
        Self {
            etag: format!("{mark}\"{written:x}-{:x}\"", metadata.len()),
            modified: modified.filter(|modified| is_told && has_date(*modified)),
        }
    }
}

fn nanoseconds(time: SystemTime) -> i128 {
    let count = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -count(before.duration()), count)
}

/// Whether HTTP can write the time.
fn has_date(time: SystemTime) -> bool {
    time.duration_since(UNIX_EPOCH).is_ok_and(|since| since < END_OF_DATES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::path::PathBuf;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct TempFile(PathBuf);

    impl TempFile {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("app-version-{}-{name}", std::process::id()));
            fs::write(&path, "content").expect("a file");
            Self(path)
        }

        fn modified_at(&self, time: SystemTime) -> Metadata {
            let file = File::options().write(true).open(&self.0).expect("it exists");
            file.set_modified(time).expect("a time");
            file.metadata().expect("it is open")
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_tag_is_weak_until_the_clock_tells_a_next_write() {
        let file = TempFile::new("weak");
        let written = SystemTime::now() - DAY;
        let metadata = file.modified_at(written);
        let at = |now| Version::of(&metadata, now).etag;
        let strong = at(written + UNSETTLED);
        assert!(strong.starts_with('"') && strong.ends_with("-7\""), "{strong}");
        for beside in [Duration::ZERO, UNSETTLED - Duration::from_nanos(1)] {
            assert_eq!(at(written + beside), format!("W/{strong}"));
            assert_eq!(at(written - beside), format!("W/{strong}"), "of a clock that is late");
        }
        assert_eq!(at(written - UNSETTLED), strong);
        assert_eq!(at(written + DAY), strong);
    }

    #[test]
    fn a_time_that_tools_set_is_none() {
        let file = TempFile::new("set");
        let now = SystemTime::now() + DAY;
        for seconds in [0, 1] {
            let metadata = file.modified_at(UNIX_EPOCH + Duration::from_secs(seconds));
            let version = Version::of(&metadata, now);
            assert_eq!(version.modified, None);
            let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
            assert_eq!(version.etag, format!("\"{changed:x}-7\""));
        }
        let version = Version::of(&file.modified_at(UNIX_EPOCH + Duration::from_secs(2)), now);
        assert_eq!(version.modified, Some(UNIX_EPOCH + Duration::from_secs(2)));
        assert_eq!(version.etag, "\"77359400-7\"");
    }

    #[test]
    fn a_time_that_http_cannot_write_is_none_and_the_future_is_the_present() {
        let file = TempFile::new("far");
        let now = SystemTime::now();
        let version = Version::of(&file.modified_at(UNIX_EPOCH - DAY), now);
        assert_eq!(version.modified, None);
        assert!(version.etag.starts_with('"'));
        assert_eq!(Version::of(&file.modified_at(now + DAY), now).modified, Some(now));
        let late = UNIX_EPOCH + END_OF_DATES;
        assert_eq!(Version::of(&file.modified_at(now), late + DAY).modified.map(has_date), Some(true));
    }
}
