//! `cargo xtask COMMAND`: see `cargo xtask help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use xtask::args::{Command, Part, USAGE};
use xtask::{bench, chain, ci, floor, load, pomelo, say, serve, subjects, trace};

fn main() -> ExitCode {
    trace::collector::install();
    let outcome = match Command::parse(lexopt::Parser::from_env()) {
        Ok(Command::Help) => {
            say::out(USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => serve::run(&options),
        Ok(Command::Bench(options)) => bench::run(&options),
        Ok(Command::Trace(options)) => trace::run(&options),
        Ok(Command::Pomelo(options)) => return pomelo::run(&options),
        Ok(Command::Chain) => chain::run(),
        Ok(Command::Ci) => ci::run(),
        Ok(Command::Part(part, words)) => {
            let words = &mut lexopt::Parser::from_args(words);
            match part {
                Part::Launch => bench::launch::run(words),
                Part::Load => load::run(words),
                Part::Floor => floor::run(words),
                Part::Subject => subjects::run(words),
            }
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::err(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
