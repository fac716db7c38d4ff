//! Where and when something was measured, and with which versions.

use super::launch::allowed_cpus;
use super::results::Machine;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The folder of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A machine of which more than this part is busy with something else is worth a note.
const BUSY: f64 = 0.1;

/// How long it is looked at.
const LOOK: Duration = Duration::from_millis(300);

const SECONDS_PER_DAY: u64 = 86_400;

impl Machine {
    /// This one.
    #[must_use]
    pub(crate) fn this() -> Self {
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown").to_owned(),
            cores: allowed_cpus().len(),
            kernel: format!("{} {}", read("/proc/sys/kernel/ostype").trim(), kernel.trim()),
            memory_mib: memory_mib(&read("/proc/meminfo")).unwrap_or_default(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(key, value)| (key.trim(), value.trim()))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let kibibytes = field(meminfo, "MemTotal")?.strip_suffix(" kB")?;
    Some(kibibytes.parse::<u64>().ok()? / 1024)
}

/// What is said of a machine that does something else at the same time.
pub(crate) fn busy_note() -> Option<String> {
    let before = cpu_ticks(&read("/proc/stat"))?;
    thread::sleep(LOOK);
    let after = cpu_ticks(&read("/proc/stat"))?;
    let (busy, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    let share = busy as f64 / all.max(1) as f64;
    (share > BUSY).then(|| {
        format!("The machine was busy with something else when the run began: {:.0} % of it.", share * 100.0)
    })
}

/// The time that all cores were busy, and all their time.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks = fields.map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of the first two.
    let all: u64 = ticks.iter().take(8).sum();
    Some((all - ticks.get(3)? - ticks.get(4)?, all))
}

/// The commit of the checkout, and whether something in it is in no commit.
pub(crate) fn commit() -> (String, bool) {
    let commit = said("git", &["-C", ROOT, "rev-parse", "HEAD"]).unwrap_or_default();
    let changes = said("git", &["-C", ROOT, "status", "--porcelain"]).unwrap_or_default();
    (commit, !changes.is_empty())
}

/// The versions of what our own programs are made with.
pub(crate) fn versions() -> BTreeMap<String, String> {
    let rustc = said("rustc", &["--version"]).unwrap_or_default();
    let rustc = rustc.split(' ').nth(1).map(|version| ("rustc".to_owned(), version.to_owned()));
    let own = ("upcall".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    rustc.into_iter().chain([own]).collect()
}

fn said(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The time now as RFC 3339, in UTC.
pub(crate) fn now() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Seconds since 1970 as a date. Years begin in March here, so that leap days are last.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    // From 0000-03-01; an era has 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }

    #[test]
    fn files_of_proc_are_read() {
        assert_eq!(
            field("a\t: 1\nmodel name\t: Fast One\nmodel name\t: x\n", "model name"),
            Some("Fast One")
        );
        assert_eq!(memory_mib("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16));
        assert_eq!(cpu_ticks("cpu  1 2 3 40 5 6 7 8 9 9\ncpu0 1\n"), Some((27, 72)));
        assert!(Machine::this().cores > 0);
    }
}
