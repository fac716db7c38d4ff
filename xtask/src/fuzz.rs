//! `cargo xtask fuzz`: builds the fuzz targets and runs each of them for a while. CI runs the same for a few seconds.
//!
//! What a target learns is kept in `fuzz/corpus`, which is not committed; every run begins with it and with `fuzz/seeds`.

use crate::{Result, say};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The folder of the targets.
const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");

/// Bytes of the longest input that is tried.
const MAX_LEN: &str = "-max_len=4096";

/// Seconds that one input may take, where a thousandth is usual.
const TIMEOUT: &str = "-timeout=10";

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
        let mut options = Self { targets: Vec::new(), seconds: 60 };
        let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            let (name, value) =
                word.split_once('=').map_or((&*word, None), |(name, value)| (name, Some(value)));
            let mut value = || value.map(str::to_owned).or_else(|| words.next()).unwrap_or_default();
            match name {
                "--seconds" => options.seconds = number(name, &value(), 1)?,
                "--minutes" => options.seconds = number(name, &value(), 60)?,
                "--help" | "-h" => return Ok(None),
                _ if name.starts_with('-') => return Err(format!("fuzz: no option {name}").into()),
                _ => options.targets.push(word),
            }
        }
        let known = targets()?;
        if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
            return Err(format!("there is no fuzz target {unknown}; there are {}", known.join(", ")).into());
        }
        Ok(Some(options))
    }
}

fn number(option: &str, value: &str, factor: u32) -> Result<u32> {
    let number = value.parse::<u32>().ok().filter(|&number| number > 0);
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{option} {value}: not a number from 1 on").into())
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

/// Runs the targets one after the other; stops at the first that finds something.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = if options.targets.is_empty() { targets()? } else { options.targets.clone() };
    cargo_fuzz(&["build".into()], "needs a nightly compiler, and cargo-fuzz (`cargo install cargo-fuzz`)")?;
    for target in wanted {
        say(&format!("== {target}, for {} s", options.seconds));
        let (corpus, seeds) = (format!("{FUZZ}/corpus/{target}"), format!("{FUZZ}/seeds/{target}"));
        std::fs::create_dir_all(&corpus)?;
        let time = format!("-max_total_time={}", options.seconds);
        let words = ["run", &target, &corpus, &seeds, "--", &time, MAX_LEN, TIMEOUT, "-verbosity=0"]
            .map(OsString::from);
        cargo_fuzz(&words, &format!("{target} found the input above"))?;
    }
    Ok(())
}

fn cargo_fuzz(words: &[OsString], failure: &str) -> Result<()> {
    let status = nightly_fuzz().args(words).status();
    if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err(format!("fuzz: {failure}").into()) }
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
