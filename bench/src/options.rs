//! The command line of `bench`.

use super::catalogue;
use super::compare::SAME;
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use upcall::args::{Refusal, number, read};

/// What stands under the options.
const NOTES: &str = "\
The figures are CPU time of the server's processes: the median over the quiet windows of all rounds together. What a
subject does in fewer than half of its windows, such as a garbage collection, counts as noise and does not show. ± % is
how uncertain the figures are, with about 95 % confidence. The report is report.html and report.json.";

/// More rounds, or longer ones, are a mistyped number.
const MAX_ROUNDS: usize = 1000;
const MAX_SECS: f64 = 3600.0;

/// Measures the layers beside their floor (the bare system calls, by hand) and their peers (libuv, tokio, hyper, node,
/// nginx, as far as they can be had).
#[derive(Clone, Debug, Default, Parser, PartialEq)]
#[command(name = "bench", bin_name = "cargo xtask bench", args_override_self = true, after_help = NOTES)]
pub(crate) struct Options {
    /// Benchmarks, groups or layers; all if there is none
    pub what: Vec<String>,
    /// Lists the benchmarks
    #[arg(long)]
    pub list: bool,
    /// The whole set in less than three minutes
    #[arg(long)]
    pub quick: bool,
    /// How often each is started and measured; 8
    #[arg(long, value_name = "N", value_parser = number(1, MAX_ROUNDS))]
    pub rounds: Option<usize>,
    /// How long each time, in windows between those of the others: of 20 ms for servers, of 300 ms for the pump and
    /// programs without clients; 0.6
    #[arg(long = "secs", value_name = "S", value_parser = seconds, allow_negative_numbers = true)]
    pub duration: Option<Duration>,
    /// Keeps the results; a noisy benchmark has up to three times as many rounds, unless --rounds or --quick is given, and
    /// so it is with --compare
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Shows what has changed since those were kept: slower, faster, same (by less than 5 %), or unclear; more rounds make
    /// it clear
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Fails if something of ours certainly costs so much more, or if there is nothing to compare; at least 5 %, as what is
    /// less is the same
    #[arg(long, value_name = "10%", requires = "compare", value_parser = percent, allow_hyphen_values = true)]
    pub fail_above: Option<f64>,
    /// Of the layers and peers measures these only, and the floor
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = subject_name)]
    pub only: Vec<String>,
    /// Measures your own server too, in the benchmarks of HTTP and echo. COMMAND prints 127.0.0.1:PORT when it listens, and
    /// ends on SIGTERM
    #[arg(long = "subject", value_name = "NAME='COMMAND'", value_parser = user_subject)]
    pub subjects: Vec<UserSubject>,
    /// The node to measure; else the one on PATH
    #[arg(long, value_name = "PATH")]
    pub node: Option<PathBuf>,
    /// Where the report goes; target/bench
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Counts instead of timing: instructions under valgrind's callgrind, system calls under strace, allocations by the
    /// counting allocator that valgrind's memcheck puts in. For each operation, in user space; peers: libuv, tokio, hyper
    #[arg(long, conflicts_with = "compare")]
    pub count: bool,
    /// Keeps the counts of requests in bench/counts.txt
    #[arg(long, requires = "count", conflicts_with_all = ["check", "what", "only"])]
    pub save_counts: bool,
    /// Fails if one takes over 3 % more than is kept there
    #[arg(long, requires = "count")]
    pub check: bool,
    /// The core of the servers; else the first that there is
    #[arg(long, value_name = "N")]
    pub server_cpu: Option<usize>,
    /// The core of the clients; else the second that there is
    #[arg(long, value_name = "N")]
    pub load_cpu: Option<usize>,
    /// The words as they were typed.
    #[arg(skip)]
    pub words: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    Show,
    /// The repository keeps them.
    Save,
    /// They are compared with what it keeps.
    Check,
}

impl Options {
    /// Reads a command line, with the program's name in front.
    pub(crate) fn read(words: &[OsString]) -> Result<Self, Refusal> {
        let typed = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
        Ok(Self { words: typed.collect(), ..read(words.iter().cloned())? })
    }

    /// Whether a layer or a peer is to take part.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Whether counts are wanted instead of times, and what becomes of them.
    pub(crate) fn counting(&self) -> Option<Counting> {
        match (self.count, self.save_counts, self.check) {
            (false, ..) => None,
            (true, true, _) => Some(Counting::Save),
            (true, _, true) => Some(Counting::Check),
            (true, false, false) => Some(Counting::Show),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserSubject {
    pub name: String,
    pub command: String,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= MAX_SECS);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("not a number above 0, up to {MAX_SECS}"))
}

fn subject_name(name: &str) -> Result<String, &'static str> {
    if catalogue::is_subject(name) { Ok(name.to_owned()) } else { Err("no layer or peer is called that") }
}

/// `10%`, or `10`. What counts as the same is no reason to fail.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    match number.parse() {
        Ok(percent) if f64::is_finite(percent) && percent >= SAME => Ok(percent),
        Ok(percent) if f64::is_finite(percent) => {
            Err(format!("want at least {SAME} %: changes of less count as none"))
        }
        _ => Err("want a number of per cent, such as 10%".to_owned()),
    }
}

fn user_subject(text: &str) -> Result<UserSubject, &'static str> {
    match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && !command.is_empty() => {
            Ok(UserSubject { name: name.to_owned(), command: command.to_owned() })
        }
        _ => Err("want NAME='COMMAND'"),
    }
}
