//! The command line: which program a command is of, and the words of the chores.

use crate::build::{BENCH, FAULTS, Program, SOAK, UPCALL};
use crate::{Result, fuzz, sanitize};
use std::ffi::OsString;

/// What `cargo xtask help` prints.
pub(crate) const USAGE: &str = "\
cargo xtask COMMAND

  serve [--addr 127.0.0.1:8000] [--workers N] [--policy round-robin|shared]
        [--root DIR] [--chain|--no-chain]
        Serves HTTP over the whole chain. --workers 0 is one process without
        a cluster; the default is one worker per core. --root serves the files
        of a folder, in place of / and behind the other routes. Ctrl-C and
        SIGTERM drain and exit 0, and a second one ends at once. The page
        /chain shows how its own request climbs the chain; without --chain and
        --no-chain it is offered on loopback addresses only, and of both the
        last counts.
  proxy --to URL… [--addr 127.0.0.1:8080] [--workers N]
        [--policy round-robin|shared] [--trust-clients] [--replace-host]
        [--timeout SECONDS]
        Passes requests on to other servers: the least used one gets a request,
        a failing one is left out for a while, and bodies and upgrades stream
        both ways. Signals as for serve.
  bench [WHAT…] [--quick] [--list] [--save FILE] [--compare FILE] …
        Measures the layers beside their floor and their peers; see
        `cargo xtask bench --help`.
  trace [--requests N] [--pipeline N] [--workers N] [--html FILE]
        Shows one real request, or N of them, climbing the chain: every call
        between the layers with its source, its ids and its time.
  pomelo init|start|list|stop|add|restart|kill …
        Makes, starts and commands an application of many servers; see
        `cargo xtask pomelo help`.
  chain Prints the upcall traits of every layer in order.
  completions SHELL
        Prints what makes a shell complete the words of `upcall`.
  models
        Runs uv-core's models of threads: its code under every interleaving.
  soak [--minutes N] [--policy P]
        Serves from a cluster under load with resets, slow peers, floods and
        kills, and judges memory, descriptors, threads, children and answers;
        see `cargo xtask soak --help`.
  fuzz [TARGET…] [--seconds N | --minutes N]
        Runs the fuzz targets and counts their executions. --seconds is the
        time of each, --minutes that of all together; the default is a minute
        each.
  faults [SCENARIO…] [--seeds N] [--from SEED] [--seed SEED] [--list]
        Runs scenarios of every layer under faults that a seed decides, or
        replays one seed with its trace.
  sanitize [address] [thread] [miri]
        Runs tests under AddressSanitizer, ThreadSanitizer and Miri; without
        a word, under all three.
  ci    Checks everything that CI checks.
  help  Prints this.

serve, proxy, trace, pomelo, chain and completions are commands of the program
upcall, which is built when it is wanted; `cargo xtask COMMAND --help` says
more about each.";

/// One command with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the usage.
    Help,
    /// Become this program, with these words.
    Program(Program, Vec<OsString>),
    /// Run fuzz targets.
    Fuzz(fuzz::Options),
    /// Run the models of threads.
    Models,
    /// Run tests under these tools.
    Sanitize(Vec<sanitize::Tool>),
    /// Check everything.
    Ci,
}

impl Command {
    /// Reads the words after the program's name.
    pub(crate) fn parse(mut words: Vec<OsString>) -> Result<Self> {
        let command = words.first().map_or("help", |word| word.to_str().unwrap_or_default());
        match command {
            "help" | "--help" | "-h" => Ok(Self::Help),
            "serve" | "proxy" | "trace" | "pomelo" | "chain" | "completions" => {
                Ok(Self::Program(UPCALL, words))
            }
            "bench" => Ok(Self::Program(BENCH, words.split_off(1))),
            // What `bench` starts in other processes.
            "launch" | "load" | "floor" | "subject" => Ok(Self::Program(BENCH, words)),
            "faults" => Ok(Self::Program(FAULTS, words.split_off(1))),
            "soak" => Ok(Self::Program(SOAK, words)),
            "sanitize" => Ok(sanitize::parse(&words[1..])?.map_or(Self::Help, Self::Sanitize)),
            "fuzz" => Ok(fuzz::Options::parse(&words[1..])?.map_or(Self::Help, Self::Fuzz)),
            "models" | "ci" => match words.get(1).map(|word| word.to_string_lossy()).as_deref() {
                None => Ok(if command == "ci" { Self::Ci } else { Self::Models }),
                Some("--help" | "-h") => Ok(Self::Help),
                Some(other) => Err(format!("{command}: unexpected {other:?}").into()),
            },
            _ => Err(format!("unknown command {:?}; see `cargo xtask help`", words[0]).into()),
        }
    }
}
