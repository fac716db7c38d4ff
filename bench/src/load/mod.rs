//! The load: the clients, on one thread. They ask, check every answer, and count it or its failure.
//!
//! `upcall-bench load` is started by `bench`, and prints one line of JSON: its report. A driven one stays: whoever started it
//! says again and again for how long it is to work, and its connections last meanwhile.

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

use crate::Result;
use echo::{Answer, Echo, Then};
use engine::Engine;
use expect::Expect;
use http::{Http, Use};
use idle::Question;
use options::Mode;
pub(crate) use options::Options;
use report::Report;
use std::io;
use std::time::Duration;
use tally::Tally;
use upcall::say;

/// Bytes of a raw message, if nobody says otherwise.
const MESSAGE: usize = 64;

/// Bytes of a pump's chunk, if nobody says otherwise.
const CHUNK: usize = 64 * 1024;

/// Runs a load, and prints its report.
///
/// # Errors
/// The words are wrong, nothing could be measured, or an operation failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    options.check().map_err(|error| format!("load: {error}"))?;
    let name = options.mode.name();
    match run_load(options).map_err(|error| format!("load {name}: {error}"))? {
        0 => Ok(()),
        errors => Err(format!("load {name}: {errors} errors").into()),
    }
}

/// Returns the number of errors.
fn run_load(options: &Options) -> Result<u64> {
    let expect = &Expect::of_path(options.path());
    let usage = match options.mode {
        Mode::Connect => Use::Once,
        _ => Use::KeepAlive { pipeline: options.pipeline },
    };
    let is_raw = options.mode == Mode::Echo || options.size.is_some();
    let message = match is_raw {
        true => echo::message(options.size.unwrap_or(MESSAGE)),
        false => http::message(&options.addr, options.path(), usage, options.body),
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
        connections: options.connections(),
        lasting: options.is_driven,
        // A round is a whole pipeline; where there is none it is 1.
        rounds: options.operations.map(|operations| operations / options.pipeline as u64),
        message: &message,
    };
    let name = options.mode.name();
    match options.mode {
        Mode::KeepAlive | Mode::Connect => {
            let mut clients = Engine::new(&plan, || Http::new(usage, expect))?;
            work(options, |time| clients.run(time).map(|()| clients.tally().report(name)))
        }
        Mode::Echo => {
            let mut clients = Engine::new(&plan, || Echo::new(answer, then))?;
            work(options, |time| clients.run(time).map(|()| clients.tally().report(name)))
        }
        Mode::Pump => work(options, |time| pump_in(options, time)),
        Mode::Stream => work(options, |time| read_slowly(options, time, &message, expect)),
        Mode::Idle => {
            let question = if is_raw { Question::Echo } else { Question::Http(expect) };
            hold(options, &message, &question)
        }
    }
}

/// Works once, for the time that the options say; or, when it is driven, for so many seconds as each line of standard
/// input says, with a report for each. Returns the number of errors.
fn work(options: &Options, mut work_for: impl FnMut(Duration) -> Result<Report>) -> Result<u64> {
    if !options.is_driven {
        return print(&work_for(options.duration())?);
    }
    let mut errors = 0;
    for line in io::stdin().lines() {
        errors += print(&work_for(Duration::try_from_secs_f64(line?.trim().parse()?)?)?)?;
    }
    Ok(errors)
}

fn pump_in(options: &Options, duration: Duration) -> Result<Report> {
    let plan = pump::Plan {
        addr: &options.addr,
        connections: options.connections(),
        duration,
        chunk: options.size.unwrap_or(CHUNK),
    };
    let mut tally = Tally::new()?;
    pump::run(&plan, &mut tally)?;
    Ok(tally.report(options.mode.name()))
}

fn read_slowly(options: &Options, duration: Duration, message: &[u8], expect: &Expect) -> Result<Report> {
    let plan = stream::Plan {
        addr: &options.addr,
        connections: options.connections(),
        duration,
        message,
        expect,
        rate: options.rate,
    };
    let mut tally = Tally::new()?;
    stream::run(&plan, &mut tally);
    Ok(tally.report(options.mode.name()))
}

/// The report comes when all connections are open; the exit code tells whether they stayed so.
fn hold(options: &Options, message: &[u8], question: &Question<'_>) -> Result<u64> {
    let mut tally = Tally::new()?;
    let held = idle::open(&options.addr, options.connections(), message, question, &mut tally);
    let errors = print(&tally.report(options.mode.name()))?;
    match held.hold().map_err(|error| format!("standard input: {error}"))? {
        0 => Ok(errors),
        ended => Err(format!("{ended} of {} connections ended while idle", options.connections()).into()),
    }
}

fn print(report: &Report) -> Result<u64> {
    say::out(serde_json::to_string(report)?);
    Ok(report.errors)
}
