//! The load: the clients, on one thread. They ask, check every answer, and count it or its failure.
//!
//! `xtask load` is started by `bench`, and prints one line of JSON: its report.

mod ask;
mod decode;
mod echo;
mod engine;
mod expect;
mod http;
mod idle;
mod options;
mod pump;
pub(crate) mod report;
mod stream;
pub(crate) mod tally;

use crate::args::Result;
use crate::say;
use echo::{Answer, Echo, Then};
use expect::Expect;
use http::{Http, Use};
use idle::Question;
use options::{Mode, Options};
use report::Report;
use tally::Tally;

/// Bytes of a raw message, if nobody says otherwise.
const MESSAGE: usize = 64;

/// Bytes of a pump's chunk, if nobody says otherwise.
const CHUNK: usize = 64 * 1024;

/// Runs the load that `words` describe, and prints its report.
///
/// # Errors
/// The words are wrong, nothing could be measured, or an operation failed.
pub fn run(words: &mut lexopt::Parser) -> Result<()> {
    let options = options::parse(words).map_err(|error| format!("load: {error}\n{}", options::USAGE))?;
    let name = options.mode.name();
    match run_load(&options).map_err(|error| format!("load {name}: {error}"))? {
        0 => Ok(()),
        errors => Err(format!("load {name}: {errors} errors").into()),
    }
}

/// Returns the number of errors.
fn run_load(options: &Options) -> Result<u64> {
    let expect = &Expect::of_path(&options.path);
    let usage = match options.mode {
        Mode::Connect => Use::Once,
        _ => Use::KeepAlive { pipeline: options.pipeline },
    };
    let is_raw = options.mode == Mode::Echo || options.size.is_some();
    let message = match is_raw {
        true => echo::message(options.size.unwrap_or(MESSAGE)),
        false => http::message(&options.addr, &options.path, usage, options.body),
    };
    let answer = options.answer.map_or(Answer::Same(&message), Answer::Length);
    let then = match (options.once, options.operations) {
        (false, _) => Then::Again,
        (true, None) => Then::Close,
        // Counts are wanted that repeat.
        (true, Some(_)) => Then::Finish,
    };
    let plan = engine::Plan {
        addr: &options.addr,
        connections: options.connections,
        duration: options.duration,
        // A round is a whole pipeline; where there is none it is 1.
        rounds: options.operations.map(|operations| operations / options.pipeline as u64),
        message: &message,
    };
    let tally = &mut Tally::new()?;
    match options.mode {
        Mode::KeepAlive | Mode::Connect => engine::run(&plan, || Http::new(usage, expect), tally)?,
        Mode::Echo => engine::run(&plan, || Echo::new(answer, then), tally)?,
        Mode::Idle => {
            let question = if is_raw { Question::Echo } else { Question::Http(expect) };
            return hold(options, &message, &question, tally);
        }
        Mode::Pump => pump_in(options, tally)?,
        Mode::Stream => read_slowly(options, &message, expect, tally),
    }
    print(&tally.report(options.mode.name()))
}

fn pump_in(options: &Options, tally: &mut Tally) -> Result<()> {
    let plan = pump::Plan {
        addr: &options.addr,
        connections: options.connections,
        duration: options.duration,
        chunk: options.size.unwrap_or(CHUNK),
    };
    Ok(pump::run(&plan, tally)?)
}

fn read_slowly(options: &Options, message: &[u8], expect: &Expect, tally: &mut Tally) {
    let plan = stream::Plan {
        addr: &options.addr,
        connections: options.connections,
        duration: options.duration,
        message,
        expect,
        rate: options.rate,
    };
    stream::run(&plan, tally);
}

/// The report comes when all connections are open; the exit code tells whether they stayed so.
fn hold(options: &Options, message: &[u8], question: &Question<'_>, tally: &mut Tally) -> Result<u64> {
    let held = idle::open(&options.addr, options.connections, message, question, tally);
    let errors = print(&tally.report(options.mode.name()))?;
    match held.hold().map_err(|error| format!("standard input: {error}"))? {
        0 => Ok(errors),
        ended => Err(format!("{ended} of {} connections ended while idle", options.connections).into()),
    }
}

fn print(report: &Report) -> Result<u64> {
    say::out(serde_json::to_string(report)?);
    Ok(report.errors)
}
