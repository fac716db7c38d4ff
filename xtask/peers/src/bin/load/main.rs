//! `load`: the clients, on one thread: they ask, check every answer, and count it or its failure.

mod ask;
mod decode;
mod echo;
mod engine;
mod expect;
mod http;
mod idle;
mod options;
mod stream;
mod tally;

use std::process::ExitCode;

use echo::Echo;
use expect::Expect;
use http::{Http, Use};
use options::{Mode, Options};
use peers::report::Report;
use tally::Tally;

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("load: {error}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load {}: {error}", options.mode.name());
            ExitCode::FAILURE
        }
    }
}

/// Runs the load, prints its report, and returns the number of errors.
fn run(options: &Options) -> Result<u64, String> {
    let expect = Expect::of_path(&options.path);
    let usage = match options.mode {
        Mode::Connect => Use::Once,
        _ => Use::KeepAlive { pipeline: options.pipeline },
    };
    let message = match options.mode {
        Mode::Echo => echo::message(options.size),
        _ => http::message(options.addr, &options.path, usage),
    };
    let plan = engine::Plan {
        addr: options.addr,
        connections: options.connections,
        duration: options.duration,
        message: &message,
    };
    let tally = &mut Tally::new()?;
    match options.mode {
        Mode::KeepAlive | Mode::Connect => engine::run(&plan, || Http::new(usage, &expect), tally),
        Mode::Echo => engine::run(&plan, || Echo::new(&message), tally),
        Mode::Idle => return hold(options, &message, &expect, tally),
        Mode::Stream => {
            read_slowly(options, &message, &expect, tally);
            Ok(())
        }
    }
    .map_err(|error| error.to_string())?;
    print(&tally.report(options.mode.name()))
}

fn read_slowly(options: &Options, message: &[u8], expect: &Expect, tally: &mut Tally) {
    let plan = stream::Plan {
        addr: options.addr,
        connections: options.connections,
        duration: options.duration,
        message,
        expect,
        rate: options.rate,
    };
    stream::run(&plan, tally);
}

/// The report comes when all connections are open; the exit code tells whether they stayed so.
fn hold(options: &Options, message: &[u8], expect: &Expect, tally: &mut Tally) -> Result<u64, String> {
    let held = idle::open(options.addr, options.connections, message, expect, tally);
    let errors = print(&tally.report(options.mode.name()))?;
    match held.hold().map_err(|error| format!("standard input: {error}"))? {
        0 => Ok(errors),
        ended => Err(format!("{ended} of {} connections ended while idle", options.connections)),
    }
}

fn print(report: &Report) -> Result<u64, String> {
    println!("{}", serde_json::to_string(report).map_err(|error| error.to_string())?);
    Ok(report.errors)
}
