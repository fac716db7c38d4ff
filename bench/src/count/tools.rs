//! The tools that count: callgrind and memcheck, which are parts of valgrind, and strace. Each runs a program, counts
//! what it does from its start to its end, and writes the total to a file.
//!
//! valgrind runs the very instructions of the program and puts an allocator of its own, which counts, in the place of
//! the program's: so neither has to be built for it. What the kernel does is in no count.

use crate::Result;
use crate::results::Count;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the files of the tools' totals begin with.
const LOG: &str = "count.";

/// What a tool is tried out on: every system has it.
const TRIAL: &str = "/bin/true";

/// A counting tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Instructions, with callgrind.
    Instructions,
    /// System calls, with strace.
    Syscalls,
    /// Allocations, with memcheck.
    Allocations,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Instructions, Self::Syscalls, Self::Allocations];

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Syscalls => "system calls",
            Self::Allocations => "allocations",
        }
    }

    /// What is counted, of `count`.
    pub(crate) fn of(self, count: &Count) -> Option<f64> {
        [count.instructions, count.syscalls, count.allocations][self as usize]
    }

    /// What counts may differ by in any case: things that happen now and then fall into one of two runs.
    pub(crate) fn slack(self) -> f64 {
        if self == Self::Instructions { 1.0 } else { 0.02 }
    }

    /// The program that has to be installed.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Instructions | Self::Allocations => "valgrind",
            Self::Syscalls => "strace",
        }
    }

    /// The words in front of a program's own: it is counted with all its child processes, into `folder`.
    pub(crate) fn words(self, folder: &Path) -> Vec<OsString> {
        let log = |name: &str| folder.join(format!("{LOG}{name}"));
        let with = |option: &str, file: PathBuf| {
            let mut word = OsString::from(option);
            word.push(file);
            word
        };
        let valgrind = |tool: &str| {
            let log = with("--log-file=", log("%p"));
            // The log has no source lines, and reading them all takes longer than counting.
            let quick = "--read-inline-info=no".into();
            vec!["valgrind".into(), tool.into(), quick, "--trace-children=yes".into(), log]
        };
        match self {
            Self::Instructions => {
                // Only the total is wanted, and that is in the log.
                let more = ["--callgrind-out-file=/dev/null".into()];
                [valgrind("--tool=callgrind"), more.into()].concat()
            }
            Self::Allocations => {
                let more = ["--leak-check=no".into(), "--undef-value-errors=no".into()];
                [valgrind("--tool=memcheck"), more.into()].concat()
            }
            // With a file it would ignore signals, if it were not told to heed them: it passes SIGTERM on.
            Self::Syscalls => {
                let mut words: Vec<OsString> = ["strace", "-f", "-c", "-I", "2", "-o"].map(Into::into).into();
                words.push(log("strace").into());
                words
            }
        }
    }

    /// What it has counted into `folder`, in all processes together.
    pub(crate) fn total(self, folder: &Path) -> Result<u64> {
        let mut total = None;
        for path in logs(folder)? {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let part = self.parse(&text);
            let part = part.ok_or_else(|| format!("{} did not tell how many it counted", self.program()))?;
            total = Some(total.unwrap_or_default() + part);
        }
        total.ok_or_else(|| format!("{} counted nothing", self.program()).into())
    }

    /// The total in what the tool has written about one process; strace writes about all.
    fn parse(self, text: &str) -> Option<u64> {
        match self {
            Self::Instructions => number(text.lines().rev().find_map(|line| after(line, "Collected : "))?),
            Self::Allocations => {
                let usage = text.lines().rev().find_map(|line| after(line, "total heap usage: "))?;
                number(usage.split_once(" allocs")?.0)
            }
            Self::Syscalls => {
                let is_rule = |line: &&str| line.starts_with("------");
                let mut rows = text.lines().skip_while(|line| !is_rule(line)).skip(1);
                let calls = rows.by_ref().take_while(|line| !is_rule(line)).map(calls_of);
                let calls = calls.sum::<Option<u64>>()?;
                // Without the row of totals the end is missing.
                rows.next().map(|_| calls)
            }
        }
    }

    /// The first line that the program says of its version.
    pub(crate) fn version(self) -> Option<String> {
        let output = Command::new(self.program()).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().next()?;
        let start = line.find(|c: char| c.is_ascii_digit())?;
        Some(line[start..].trim_end().to_owned())
    }

    /// Whether it can be had on this machine, or why not.
    pub(crate) fn try_out(self, folder: &Path) -> std::result::Result<(), String> {
        clear(folder).map_err(|error| error.to_string())?;
        let words = self.words(folder);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(TRIAL).stdin(Stdio::null());
        let program = self.program();
        let output = command.output().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{program} is not installed"),
            _ => format!("{program}: {error}"),
        })?;
        self.total(folder).map(drop).map_err(|error| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            match complaint.lines().find(|line| !line.trim().is_empty()) {
                Some(line) => format!("{program} does not work here: {line}"),
                None => format!("{program} does not work here: {error}"),
            }
        })
    }
}

fn after<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.split_once(mark).map(|(_, rest)| rest)
}

/// A number that may have commas between its thousands.
fn number(text: &str) -> Option<u64> {
    text.trim().replace(',', "").parse().ok()
}

/// The calls in a row of strace: `% time`, `seconds`, `usecs/call`, `calls`, `errors` if there are any, the name.
fn calls_of(row: &str) -> Option<u64> {
    row.split_whitespace().nth(3)?.parse().ok()
}

/// The files of totals in `folder`.
fn logs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_log =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LOG));
    Ok(paths.into_iter().filter(is_log).collect())
}

/// Takes away what an earlier run has counted.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    for path in logs(folder)? {
        fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Tool;

    #[test]
    fn the_total_of_callgrind_is_what_it_collected() {
        let log = "==7== Command: upcall-bench\n==7== \n==7== Events    : Ir\n==7== Collected : 1107683\n==7== \n\
                   ==7== I   refs:      1,107,683\n";
        assert_eq!(Tool::Instructions.parse(log), Some(1_107_683));
        assert_eq!(Tool::Instructions.parse("==7== Events    : Ir\n"), None);
    }

    #[test]
    fn the_total_of_memcheck_is_in_its_summary_of_the_heap() {
        let log = "==7== HEAP SUMMARY:\n==7==     in use at exit: 14,222 bytes in 17 blocks\n\
                   ==7==   total heap usage: 1,031 allocs, 14 frees, 16,642 bytes allocated\n";
        assert_eq!(Tool::Allocations.parse(log), Some(1031));
        assert_eq!(Tool::Allocations.parse("==7== HEAP SUMMARY:\n"), None);
    }

    #[test]
    fn the_rows_of_strace_add_up_whatever_its_last_one_is_like() {
        let head = "strace: Process 9 attached\n% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ------------------\n\
                    94.48    0.010909           9      1100           epoll_wait\n\
                    0.00    0.000000           0         7         2 access\n";
        let rule = "------ ----------- ----------- --------- --------- ------------------\n";
        for last in
            ["100.00    0.011546           9      1107         2 total\n", "100.00 0.01 1107 2 total\n"]
        {
            assert_eq!(Tool::Syscalls.parse(&format!("{head}{rule}{last}")), Some(1107));
        }
        assert_eq!(Tool::Syscalls.parse(head), None, "it was killed while it wrote");
        assert_eq!(Tool::Syscalls.parse(""), None);
    }
}
