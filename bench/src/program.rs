//! The program `upcall-bench`: the runner, the soak, and in other processes each of the programs that they start.

use crate::options::Options;
use crate::{Result, launch, load, run, soak, subjects};
use std::ffi::OsString;
use std::process::ExitCode;
use upcall::args::{self, Command, read};
use upcall::{pomelo, serve, trace};

/// Does what the words say, of which the first is the program's name: `launch`, `load`, `floor`, `subject`, `serve` and
/// `pomelo start` are what the runner and `soak` start, everything else is for the runner.
pub fn main(words: &[OsString]) -> ExitCode {
    trace::collector::install();
    let texts: Vec<_> = words.iter().skip(1).take(2).map(|word| word.to_str().unwrap_or_default()).collect();
    // `pomelo` alone is a group of benchmarks. A master starts its servers with the same program.
    if let ["pomelo", "start" | "run"] = texts[..] {
        return match Command::read(words.iter().cloned()) {
            Ok(Command::Pomelo(line)) => pomelo::run(&line),
            Ok(_) => ExitCode::FAILURE,
            Err(refusal) => args::conclude(Err(refusal.into())),
        };
    }
    args::conclude(run_program(texts.first().copied().unwrap_or_default(), words))
}

fn run_program(name: &str, words: &[OsString]) -> Result<()> {
    let rest = || words.iter().skip(1).cloned();
    match name {
        "launch" => launch::run(&words[2..]),
        "soak" => soak::run(&read(rest())?),
        // What `soak` starts. A primary starts its workers with the same words.
        "serve" => match Command::read(words.iter().cloned())? {
            Command::Serve(options) => serve::run(&options),
            _ => unreachable!("the word is `serve`"),
        },
        "load" => load::run(&read(rest())?),
        // The floor is the lowest of the layers.
        "floor" => subjects::run(&read(words.iter().cloned())?),
        "subject" => subjects::run(&read(rest())?),
        _ => run(&Options::read(words)?),
    }
}
