//! Reads `/proc`: a process with all its descendants, the CPU time they used, the memory they hold.

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{self, FDTarget, Stat};
use procfs::{ProcError, ProcResult};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::LazyLock;

/// Nanoseconds of one clock tick of `/proc/PID/stat` (`USER_HZ` is 100 on every Linux).
const TICK_NS: u64 = 10_000_000;

/// A process, told from a later one of the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    start: u64,
}

impl Process {
    /// Orders processes by their start.
    pub(crate) fn age_key(self) -> (u64, u32) {
        (self.start, self.pid)
    }
}

impl From<&Stat> for Process {
    fn from(stat: &Stat) -> Self {
        Self { pid: stat.pid.unsigned_abs(), start: stat.starttime }
    }
}

fn open(pid: u32) -> ProcResult<process::Process> {
    process::Process::new(pid.cast_signed())
}

/// The process `root` and all its descendants, `root` first if it lives.
pub(crate) fn tree(root: u32) -> io::Result<Vec<Process>> {
    let found = |found: ProcResult<process::Process>| found.and_then(|process| process.stat()).ok();
    // A process may end between the listing and the look.
    let all: Vec<Stat> = process::all_processes().map_err(failed)?.filter_map(found).collect();
    let mut tree: Vec<Process> =
        all.iter().map(Process::from).filter(|process| process.pid == root).collect();
    let mut next = 0;
    while let Some(&Process { pid, .. }) = tree.get(next) {
        next += 1;
        tree.extend(all.iter().filter(|stat| stat.ppid.unsigned_abs() == pid).map(Process::from));
    }
    Ok(tree)
}

fn failed(error: ProcError) -> io::Error {
    io::Error::other(error)
}

/// Whether this very process still runs. A zombie does not.
pub(crate) fn is_alive(process: Process) -> bool {
    let stat = open(process.pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.starttime == process.start && stat.state != 'Z')
}

/// CPU time of each process of the tree so far, in nanoseconds.
pub(crate) fn cpu_times(root: u32) -> io::Result<BTreeMap<Process, u64>> {
    tree(root)?.into_iter().map(|process| Ok((process, cpu_time(process.pid).map_err(failed)?))).collect()
}

/// Whether the kernel tells run time in nanoseconds. Without `CONFIG_SCHED_INFO` there is no such file, or zeros in it.
pub(crate) fn has_run_times() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| {
        let own = process::Process::myself().and_then(|own| own.schedstat());
        own.is_ok_and(|own| own.sum_exec_runtime > 0)
    });
    *FOUND
}

/// The scheduler's run time of every thread that lives; where the kernel does not tell it, the coarser ticks of the
/// process. It is always one or the other: the difference of two looks must not mix them.
fn cpu_time(pid: u32) -> ProcResult<u64> {
    let process = open(pid)?;
    if !has_run_times() {
        let stat = process.stat()?;
        return Ok((stat.utime + stat.stime) * TICK_NS);
    }
    // A thread may end between the listing and the look.
    let times = process.tasks()?.map(|task| task.and_then(|task| task.schedstat()));
    Ok(times.flatten().map(|time| time.sum_exec_runtime).sum())
}

/// Resident memory of the whole tree, in bytes.
pub(crate) fn resident(root: u32) -> io::Result<u64> {
    tree(root)?.into_iter().map(|process| resident_of(process.pid).map_err(failed)).sum()
}

/// From smaps_rollup, which walks the page tables; statm, the fallback, may lag by some pages per CPU.
fn resident_of(pid: u32) -> ProcResult<u64> {
    let process = open(pid)?;
    let rollup = process.smaps_rollup().ok().and_then(|rollup| rollup.memory_map_rollup.0.into_iter().next());
    match rollup.and_then(|map| map.extension.map.get("Rss").copied()) {
        Some(bytes) => Ok(bytes),
        None => Ok(process.statm()?.resident * procfs::page_size()),
    }
}

/// How many sockets each process of the tree has open, the root's first.
pub(crate) fn sockets(root: u32) -> io::Result<Vec<(Process, usize)>> {
    let sockets_of = |pid| -> ProcResult<usize> {
        // A descriptor may be closed between the listing and the look.
        let open = open(pid)?.fd()?.flatten();
        Ok(open.filter(|descriptor| matches!(descriptor.target, FDTarget::Socket(_))).count())
    };
    tree(root)?.into_iter().map(|process| Ok((process, sockets_of(process.pid).map_err(failed)?))).collect()
}

/// The inodes of the sockets that a process has open.
fn inodes(pid: u32) -> ProcResult<BTreeSet<u64>> {
    let socket = |target| if let FDTarget::Socket(inode) = target { Some(inode) } else { None };
    // A descriptor may be closed between the listing and the look.
    Ok(open(pid)?.fd()?.flatten().filter_map(|descriptor| socket(descriptor.target)).collect())
}

/// How many established TCP connections over IPv4 a process has whose other end is not in this very process.
pub(crate) fn connections_with_others(pid: u32) -> io::Result<usize> {
    let look = || -> ProcResult<usize> {
        let (table, its, own) = (procfs::net::tcp()?, inodes(pid)?, inodes(std::process::id())?);
        let of = |inodes: &BTreeSet<u64>, entry: &TcpNetEntry| inodes.contains(&entry.inode);
        let own: BTreeSet<_> =
            table.iter().filter(|entry| of(&own, entry)).map(|entry| entry.local_address).collect();
        let is_one = |entry: &&TcpNetEntry| {
            entry.state == TcpState::Established && of(&its, entry) && !own.contains(&entry.remote_address)
        };
        Ok(table.iter().filter(is_one).count())
    };
    look().map_err(failed)
}

/// What one process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Bytes of resident memory.
    pub(crate) resident: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
}

pub(crate) fn held(pid: u32) -> io::Result<Held> {
    let look = || -> ProcResult<Held> {
        let process = open(pid)?;
        let threads = process.stat()?.num_threads.unsigned_abs();
        Ok(Held { resident: resident_of(pid)?, descriptors: process.fd_count()?, threads })
    };
    look().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn this_process_is_a_tree_that_works_and_holds_memory() {
        let tree = tree(std::process::id()).expect("/proc is readable");
        assert_eq!(tree[0].pid, std::process::id());
        assert!(is_alive(tree[0]));
        let statm = process::Process::myself().and_then(|own| own.statm()).expect("own memory is readable");
        let (resident, pages) =
            (resident(std::process::id()).expect("own memory is readable"), statm.resident);
        assert!(resident > pages * procfs::page_size() / 2, "{resident} bytes, {pages} pages");
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
