//! `upcall pomelo …`: makes a small project of many servers, starts it, and commands the master of any such project,
//! ours or Node's. Mirrors the program `pomelo` of the npm package.
//!
//! `options` is the command line. `init` writes a project; `start` is its master, with `progress` and `daemon`; `run` is
//! one of its servers, with `room` and `front`; `console` speaks to a master, with `secret`, and `table` shows what it says.

mod console;
mod daemon;
mod failure;
mod front;
mod init;
pub mod npm;
pub mod options;
mod progress;
mod room;
mod run;
mod secret;
mod start;
mod table;

pub use progress::READY;

use crate::say;
use options::{Line, Options};
use std::process::ExitCode;

/// Runs the command. Prints an error in one line, and returns the exit code of its kind.
#[must_use]
pub fn run(line: &Line) -> ExitCode {
    let outcome = match &line.command {
        Options::Init { folder } => init::run(folder).map_err(Into::into),
        Options::Start(options) if options.is_daemon => daemon::run(options).map_err(Into::into),
        Options::Start(options) => start::run(options).map_err(Into::into),
        Options::Run { folder, words } => run::run(folder, words).map_err(Into::into),
        options => options.master().map_or(Ok(()), |master| {
            secret::hide(master);
            console::run(master, options)
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::err(format_args!("error: {failure}"));
            failure.code.into()
        }
    }
}
