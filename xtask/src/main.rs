//! `cargo xtask COMMAND`: see `cargo xtask help`. It builds and becomes the programs of the workspace, and does the
//! project's own chores. It depends on no other crate, so that it is there a second after it was asked for.

#![forbid(unsafe_code)]

mod args;
mod build;
mod ci;
mod fuzz;
mod sanitize;

use args::{Command, USAGE};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// What came of a command, or in one line why nothing did.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let outcome = match Command::parse(std::env::args_os().skip(1).collect()) {
        Ok(Command::Help) => {
            say(USAGE);
            Ok(())
        }
        Ok(Command::Program(program, words)) => Err(build::and_become(program, &words)),
        Ok(Command::Fuzz(options)) => fuzz::run(&options),
        Ok(Command::Models) => ci::cargo(ci::MODELS),
        Ok(Command::Sanitize(tools)) => sanitize::run(&tools),
        Ok(Command::Ci) => ci::run(),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Fails only if the output is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says a line on standard output.
fn say(line: &str) {
    // Fails only if the output is closed.
    let _ = writeln!(io::stdout(), "{line}");
}
