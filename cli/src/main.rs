//! `upcall COMMAND`: see `upcall help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use upcall::args::{self, Command};
use upcall::{chain, pomelo, proxy, say, serve, trace};

fn main() -> ExitCode {
    trace::collector::install();
    args::conclude(match Command::read(std::env::args_os()) {
        Ok(Command::Serve(options)) => serve::run(&options),
        Ok(Command::Proxy(options)) => proxy::run(&options),
        Ok(Command::Trace(options)) => trace::run(&options),
        Ok(Command::Pomelo(line)) => return pomelo::run(&line),
        Ok(Command::Chain) => chain::run(),
        Ok(Command::Completions { shell }) => {
            say::out(args::completions(shell).trim_end());
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
    })
}
