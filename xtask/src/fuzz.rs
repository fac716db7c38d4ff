//! `cargo xtask fuzz`: builds the fuzz targets and runs each of them for a while. CI runs the same for a few seconds.
//!
//! What a target learns is kept in `fuzz/corpus`, which is not committed; every run begins with it and with `fuzz/seeds`.

use crate::{Result, say};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The folder of the targets.
const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");

/// Bytes of the longest input that is tried.
const MAX_LEN: &str = "-max_len=4096";

/// Seconds that one input may take, where a thousandth is usual.
const TIMEOUT: &str = "-timeout=10";

/// Has the fuzzer tell at its end how many inputs it tried.
const STATISTICS: &str = "-print_final_stats=1";

/// What stands before their number.
const EXECUTIONS: &str = "stat::number_of_executed_units:";

/// More minutes or seconds are a mistyped number.
const MAX_TIME: u32 = 100_000;

/// What to run, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The targets; all if it is empty.
    pub(crate) targets: Vec<String>,
    /// Seconds for each target.
    pub(crate) seconds: u32,
}

impl Options {
    /// Reads the words after `fuzz`; `None` if help is asked for.
    pub(crate) fn parse(words: &[OsString]) -> Result<Option<Self>> {
        let (mut options, mut minutes) = (Self { targets: Vec::new(), seconds: 60 }, None);
        let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            let (name, value) =
                word.split_once('=').map_or((&*word, None), |(name, value)| (name, Some(value)));
            let mut value = || value.map(str::to_owned).or_else(|| words.next()).unwrap_or_default();
            match name {
                "--seconds" => (options.seconds, minutes) = (number(name, &value())?, None),
                "--minutes" => minutes = Some(number(name, &value())?),
                "--help" | "-h" => return Ok(None),
                _ if name.starts_with('-') => return Err(format!("fuzz: no option {name}").into()),
                _ => options.targets.push(word),
            }
        }
        let known = targets()?;
        if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
            return Err(format!("there is no fuzz target {unknown}; there are {}", known.join(", ")).into());
        }
        if let Some(minutes) = minutes {
            let shares = if options.targets.is_empty() { known.len() } else { options.targets.len() };
            options.seconds = (minutes * 60 / shares as u32).max(1);
        }
        Ok(Some(options))
    }
}

fn number(option: &str, value: &str) -> Result<u32> {
    let number = value.parse().ok().filter(|number| (1..=MAX_TIME).contains(number));
    number.ok_or_else(|| format!("{option} {value}: not a number from 1 to {MAX_TIME}").into())
}

/// The targets there are: a file each.
fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in Path::new(FUZZ).join("fuzz_targets").read_dir()? {
        if let Some(name) = entry?.path().file_stem() {
            targets.push(name.to_string_lossy().into_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// Runs the targets one after the other; stops at the first that finds something. Says how often each was executed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = if options.targets.is_empty() { targets()? } else { options.targets.clone() };
    if !is_possible() {
        return Err("fuzz: needs a nightly compiler, and cargo-fuzz (`cargo install cargo-fuzz`)".into());
    }
    if !nightly_fuzz().arg("build").status()?.success() {
        return Err("fuzz: the targets do not build".into());
    }
    let mut counts = Vec::new();
    for target in wanted {
        say(&format!("== {target}, for {} s", options.seconds));
        let began = Instant::now();
        let executions = run_target(&target, options.seconds)?;
        let per_second = executions as f64 / began.elapsed().as_secs_f64();
        counts.push((target, executions, per_second));
    }
    say(&format!("{:20} {:>12} {:>12}", "target", "executions", "per second"));
    for (target, executions, per_second) in &counts {
        say(&format!("{target:20} {executions:12} {per_second:12.0}"));
    }
    say(&format!("{:20} {:12}", "all", counts.iter().map(|(_, executions, _)| executions).sum::<u64>()));
    Ok(())
}

/// Runs a target for some time, passes on what it says, and returns how many inputs it tried.
fn run_target(target: &str, seconds: u32) -> Result<u64> {
    let (corpus, seeds) = (format!("{FUZZ}/corpus/{target}"), format!("{FUZZ}/seeds/{target}"));
    std::fs::create_dir_all(&corpus)?;
    let time = format!("-max_total_time={seconds}");
    let words = ["run", target, &corpus, &seeds, "--", &time, MAX_LEN, TIMEOUT, STATISTICS, "-verbosity=0"];
    let mut run = nightly_fuzz().args(words).stderr(Stdio::piped()).spawn()?;
    let mut executions = 0;
    for line in run.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line?;
        match line.strip_prefix(EXECUTIONS) {
            Some(count) => executions = count.trim().parse()?,
            None if line.starts_with("stat::") => {}
            None => say(&line),
        }
    }
    if run.wait()?.success() {
        Ok(executions)
    } else {
        Err(format!("fuzz: {target} found the input above").into())
    }
}

/// Whether there are the tools: a nightly compiler and cargo-fuzz.
pub(crate) fn is_possible() -> bool {
    nightly_fuzz().arg("--version").output().is_ok_and(|output| output.status.success())
}

fn nightly_fuzz() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(format!("{FUZZ}/..")).args(["+nightly", "fuzz"]);
    // The toolchain that runs this program is another one than it asks for.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    command
}
