//! The load: the clients, on one thread. They ask, check every answer, and count it or its failure.
//!
//! `upcall-bench load` is started by `bench` and prints its report, one line of JSON. A driven load works once for each
//! line of its standard input, and its connections last from one time to the next.

mod datagrams;
mod decode;
mod echo;
mod engine;
mod expect;
mod http;
mod options;
mod pump;
pub(crate) mod tally;

use crate::Result;
use datagrams::Datagrams;
use echo::{Answer, Echo, Then};
use engine::{Dialogue, Engine, Plan};
use expect::Expect;
use http::{Http, Use};
use options::Mode;
pub(crate) use options::Options;
use std::io::{self, Read};
use std::time::Duration;
use tally::Report;
use upcall::say;

/// Default: bytes of a raw message.
const MESSAGE: usize = 64;

/// Default: bytes of a pump's chunk.
const CHUNK: usize = 64 * 1024;

/// Runs a load, and prints its report.
pub(crate) fn run(options: &Options) -> Result<()> {
    options.check().map_err(|error| format!("load: {error}"))?;
    match run_load(options).map_err(|error| format!("load: {error}"))? {
        0 => Ok(()),
        errors => Err(format!("load: {errors} errors").into()),
    }
}

/// Returns the number of errors.
fn run_load(options: &Options) -> Result<u64> {
    let expect = &Expect::of_path(&options.path);
    let usage = match options.mode {
        Mode::Connect => Use::Once,
        _ => Use::KeepAlive { pipeline: options.pipeline },
    };
    if options.mode == Mode::Datagrams {
        let size = options.size.unwrap_or(MESSAGE);
        let mut clients = Datagrams::new(&options.addr, size, options.pipeline, options.operations)?;
        return work(options, |time| clients.run(time));
    }
    let is_raw = options.mode == Mode::Echo || options.size.is_some();
    let message = match is_raw {
        true => echo::message(options.size.unwrap_or(MESSAGE)),
        false => http::message(&options.addr, &options.path, usage, options.body),
    };
    let answer = options.answer.map_or(Answer::Same(&message), Answer::Length);
    let then = match (options.once, options.operations) {
        (false, _) => Then::Again,
        (true, None) => Then::Close,
        // Counts have to repeat.
        (true, Some(_)) => Then::Finish,
    };
    let plan = Plan {
        addr: &options.addr,
        connections: options.connections(),
        lasting: options.is_driven,
        holding: options.mode == Mode::Idle,
        // A round is a whole pipeline; where there is none it is 1.
        rounds: options.operations.map(|operations| operations / options.pipeline as u64),
        message: &message,
    };
    match options.mode {
        Mode::Pump => work(options, |time| pump::run(&plan, options.size.unwrap_or(CHUNK), time)),
        _ if is_raw => converse(options, &plan, || Echo::new(answer, then)),
        _ => converse(options, &plan, || Http::new(usage, expect)),
    }
}

fn converse<D: Dialogue>(options: &Options, plan: &Plan<'_>, new: impl Fn() -> D) -> Result<u64> {
    let mut clients = Engine::new(plan, new)?;
    let errors = work(options, |time| {
        match options.rate {
            Some(rate) => clients.run_at(rate, time)?,
            None => clients.run(time)?,
        }
        Ok(clients.tally().report())
    })?;
    if !plan.holding {
        return Ok(errors);
    }
    // The report says that all connections are open, the exit code whether they stayed so.
    io::stdin().read_to_end(&mut Vec::new())?;
    match clients.count_ended()? {
        0 => Ok(errors),
        ended => Err(format!("{ended} of {} connections ended while idle", plan.connections).into()),
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

fn print(report: &Report) -> Result<u64> {
    say::out(serde_json::to_string(report)?);
    Ok(report.errors)
}
