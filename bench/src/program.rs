//! The program `upcall-bench`: the runner, and in other processes each of the programs that the runner starts.

use crate::{floor, launch, load, options, run, subjects};
use lexopt::Parser;
use std::ffi::OsString;
use std::process::ExitCode;
use upcall::{pomelo, say, trace};

/// Does what the words after the program's name say: `launch`, `load`, `floor`, `subject` and `pomelo start` are what
/// the runner starts, everything else is for the runner.
#[must_use]
pub fn main(words: Vec<OsString>) -> ExitCode {
    let _last_words = say::LastWords;
    trace::collector::install();
    let texts: Vec<_> = words.iter().take(2).map(|word| word.to_str().unwrap_or_default()).collect();
    let rest = || Parser::from_args(words.iter().skip(1).cloned());
    let outcome = match texts[..] {
        ["launch", ..] => launch::run(&mut rest()),
        ["load", ..] => load::run(&mut rest()),
        ["floor", ..] => floor::run(&mut rest()),
        ["subject", ..] => subjects::run(&mut rest()),
        // `pomelo` alone is a group of benchmarks. A master starts its servers with the same program.
        ["pomelo", "start" | "run"] => match pomelo::options::parse(&mut rest()) {
            Ok(options) => return pomelo::run(&options),
            Err(error) => Err(error),
        },
        _ => options::parse(&mut Parser::from_args(words)).and_then(|options| run(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::err(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
