//! `cargo xtask COMMAND`: see `cargo xtask help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use xtask::args::{Command, USAGE};
use xtask::{ci, say, serve};

fn main() -> ExitCode {
    env_logger::init();
    let outcome = match Command::parse(lexopt::Parser::from_env()) {
        Ok(Command::Help) => {
            say::out(USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => serve::run(&options),
        Ok(Command::Ci) => ci::run(),
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
