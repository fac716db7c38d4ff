//! Where and when something was measured, and with which versions.

use super::launch::allowed_cpus;
use super::results::Machine;
use procfs::{CpuInfo, CpuTime, Current, CurrentSI, KernelStats, Meminfo};
use rustix::system::uname;
use std::collections::BTreeMap;
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
        let cpu = CpuInfo::current().ok().and_then(|cpus| Some(cpus.model_name(0)?.to_owned()));
        let system = uname();
        Self {
            cpu: cpu.unwrap_or_else(|| "unknown".to_owned()),
            cores: allowed_cpus().len(),
            kernel: [system.sysname(), system.release()].map(|word| word.to_string_lossy()).join(" "),
            memory_mib: Meminfo::current().map(|memory| memory.mem_total >> 20).unwrap_or_default(),
        }
    }
}

/// What is said of a machine that does something else at the same time.
pub(crate) fn busy_note() -> Option<String> {
    let ticks = || KernelStats::current().ok().map(|stats| ticks(&stats.total));
    let before = ticks()?;
    thread::sleep(LOOK);
    let after = ticks()?;
    let [busy, idle] = [0, 1].map(|kind| after[kind].saturating_sub(before[kind]));
    let share = busy as f64 / (busy + idle).max(1) as f64;
    (share > BUSY).then(|| {
        format!("The machine was busy with something else when the run began: {:.0} % of it.", share * 100.0)
    })
}

/// The time that all cores were busy, and that they were idle. What guests had is in that of user and nice already.
fn ticks(time: &CpuTime) -> [u64; 2] {
    let others = [time.irq, time.softirq, time.steal].into_iter().flatten().sum::<u64>();
    [time.user + time.nice + time.system + others, time.idle + time.iowait.unwrap_or_default()]
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
        let machine = Machine::this();
        assert!(
            machine.cores > 0 && machine.memory_mib > 0 && machine.kernel.starts_with("Linux "),
            "{machine:?}"
        );
        let [busy, idle] = ticks(&KernelStats::current().expect("/proc/stat is readable").total);
        assert!(busy > 0 && idle > 0, "{busy} {idle}");
    }
}
