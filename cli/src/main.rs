//! `upcall COMMAND`: see `upcall help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use upcall::args::{Command, USAGE};
use upcall::{chain, pomelo, say, serve, trace};

fn main() -> ExitCode {
    let _last_words = say::LastWords;
    trace::collector::install();
    let outcome = match Command::parse(lexopt::Parser::from_env()) {
        Ok(Command::Help) => {
            say::out(USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => serve::run(&options),
        Ok(Command::Trace(options)) => trace::run(&options),
        Ok(Command::Pomelo(options)) => return pomelo::run(&options),
        Ok(Command::Chain) => chain::run(),
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
