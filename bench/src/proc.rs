//! Reads `/proc`: a process with all its descendants, the CPU time they used, the memory they hold.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::LazyLock;

/// Nanoseconds of one clock tick of `/proc/PID/stat` (`USER_HZ` is 100 on every Linux).
const TICK_NS: u64 = 10_000_000;

/// The page size that `/proc/PID/statm` counts in, on x86-64 and the usual arm64.
const PAGE: u64 = 4096;

/// A process, told from a later one of the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    start: u64,
}

struct Stat {
    zombie: bool,
    parent: u32,
    /// CPU time, the kernel's included.
    ticks: u64,
    start: u64,
}

/// Fields are counted from the state, which follows the parenthesised name (that may hold anything).
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(") ")?;
    let field = |index| fields.split_ascii_whitespace().nth(index)?.parse::<u64>().ok();
    Some(Stat {
        zombie: fields.starts_with('Z'),
        parent: u32::try_from(field(1)?).ok()?,
        ticks: field(11)? + field(12)?,
        start: field(19)?,
    })
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The process `root` and all its descendants, `root` first if it lives.
pub(crate) fn tree(root: u32) -> io::Result<Vec<Process>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between the listing and the look.
        if let Some(stat) = stat(pid) {
            all.insert(pid, stat);
        }
    }
    let mut found: Vec<Process> = Vec::new();
    found.extend(all.get(&root).map(|stat| Process { pid: root, start: stat.start }));
    let mut next = 0;
    while let Some(&Process { pid, .. }) = found.get(next) {
        next += 1;
        let children = all.iter().filter(|(_, stat)| stat.parent == pid);
        found.extend(children.map(|(&pid, stat)| Process { pid, start: stat.start }));
    }
    Ok(found)
}

/// Whether this very process still runs. A zombie does not.
pub(crate) fn is_alive(process: Process) -> bool {
    stat(process.pid).is_some_and(|stat| stat.start == process.start && !stat.zombie)
}

/// CPU time of each process of the tree so far, in nanoseconds.
pub(crate) fn cpu_times(root: u32) -> io::Result<BTreeMap<Process, u64>> {
    tree(root)?.into_iter().map(|process| Ok((process, cpu_time(process.pid)?))).collect()
}

/// Whether the kernel tells run time in nanoseconds. One without `CONFIG_SCHED_INFO` has no such file, or zeros in it.
pub(crate) fn has_run_times() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| {
        let own = fs::read_to_string("/proc/self/schedstat").ok();
        own.as_deref().and_then(run_time).is_some_and(|time| time > 0)
    });
    *FOUND
}

/// The scheduler's run time of every thread that lives; where the kernel does not tell it, the coarser ticks of the
/// process. It is always one or the other: the difference of two looks must not mix them.
fn cpu_time(pid: u32) -> io::Result<u64> {
    if !has_run_times() {
        return Ok(stat(pid).ok_or(io::ErrorKind::NotFound)?.ticks * TICK_NS);
    }
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the look.
        let schedstat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        total += run_time(&schedstat).unwrap_or_default();
    }
    Ok(total)
}

fn run_time(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

/// Resident memory of the whole tree, in bytes.
pub(crate) fn resident(root: u32) -> io::Result<u64> {
    tree(root)?.into_iter().map(|process| resident_of(process.pid)).sum()
}

/// From smaps_rollup, which walks the page tables; statm, the fallback, may lag by some pages per CPU.
fn resident_of(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    if let Some(kilobytes) = rss_line(&rollup) {
        return Ok(kilobytes * 1024);
    }
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.ok_or(io::ErrorKind::InvalidData)? * PAGE)
}

fn rss_line(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// How many sockets each process of the tree has open, the root's first.
pub(crate) fn sockets(root: u32) -> io::Result<Vec<(Process, usize)>> {
    tree(root)?.into_iter().map(|process| Ok((process, sockets_of(process.pid)?))).collect()
}

fn sockets_of(pid: u32) -> io::Result<usize> {
    let mut sockets = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A descriptor may be closed between the listing and the look.
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        sockets += usize::from(target.to_string_lossy().starts_with("socket:"));
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn stat_is_read_behind_any_name() {
        let text = "12 (a) b) S 7 1 1 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 1 0 777 1 1\n";
        let stat = parse_stat(text).expect("a whole line");
        assert_eq!((stat.parent, stat.ticks, stat.start), (7, 110, 777));
    }

    #[test]
    fn schedstat_and_rollup_lines_are_read() {
        assert_eq!(run_time("505691458 937334 6\n"), Some(505_691_458));
        assert_eq!(
            rss_line("55d-7ff ---p 00000000 00:00 0  [rollup]\nRss:    1234 kB\nPss: 1 kB\n"),
            Some(1234)
        );
    }

    #[test]
    fn this_process_is_a_tree_that_works_and_holds_memory() {
        let tree = tree(std::process::id()).expect("/proc is readable");
        assert_eq!(tree[0].pid, std::process::id());
        assert!(is_alive(tree[0]));
        assert!(resident(std::process::id()).expect("own memory is readable") > 0);
        assert!(cpu_times(std::process::id()).expect("own time is readable").contains_key(&tree[0]));
    }

    #[test]
    fn threads_that_end_meanwhile_do_not_change_the_clock() {
        let pid = std::process::id();
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    thread::scope(|inner| drop(inner.spawn(|| ())));
                }
            });
            let is_whole_ticks = |_| cpu_time(pid).expect("own time is readable").is_multiple_of(TICK_NS);
            let in_ticks = (0..1000).filter(|&look| is_whole_ticks(look)).count();
            ends.store(true, Ordering::Relaxed);
            // A time in nanoseconds is a number of whole ticks once in ten million times.
            assert!(in_ticks <= 1 || !has_run_times(), "{in_ticks} times in ticks");
        });
    }
}
