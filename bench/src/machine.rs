//! Where and when something was measured, and with which versions.

use super::launch::allowed_cpus;
use super::results::Machine;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A machine of which more than this part is busy with something else is worth a note.
const BUSY: f64 = 0.1;

/// How long it is looked at.
const LOOK: Duration = Duration::from_millis(300);

impl Machine {
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

pub(crate) fn now() -> String {
    said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_rfc_3339_has_it() {
        let now = now();
        let form: String =
            now.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        assert_eq!(form, "0000-00-00T00:00:00Z", "{now}");
        assert!(now.as_str() > "2025", "{now}");
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
