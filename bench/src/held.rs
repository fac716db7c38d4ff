//! What connections that do nothing show of a server: the memory that each takes, and how they spread over processes.

use super::catalogue::Work;
use super::child::Trouble;
use super::clients::{Held, complaint, failed};
use super::proc::{self, Process};
use super::rig::Rig;
use super::round::Sample;
use super::server::Server;
use crate::load::tally::Report;
use crate::subjects::turns::READY;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// Connections that a server had before its memory is read.
const WARM_UP_CONNECTIONS: usize = 64;

/// Connections over which evenness is measured.
const SPREAD_OVER: usize = 1000;

/// What a server may take to notice that connections are closed.
const SETTLE: Duration = Duration::from_millis(30);

/// What a client holds when its memory is first read.
const FEW: usize = 200;

/// How long a client may take to make its connections.
const CLIENT_PATIENCE: Duration = Duration::from_secs(60);

/// Measures the program that `command` starts, once; with this floor behind it, if any.
pub(crate) fn run(
    rig: &Rig,
    command: &[OsString],
    work: Work,
    behind: Option<&str>,
) -> Result<Sample, Trouble> {
    let behind = Server::behind(rig, behind)?;
    let command = [command, &Server::as_words(behind.as_ref())].concat();
    if work == Work::ClientMemory {
        return measure_client(rig, &command);
    }
    let server = Server::start(&rig.launcher, rig.server_cpu, &command)?;
    let sample = match work {
        Work::Memory(words) => measure_memory(rig, &server, words),
        _ => measure_evenness(rig, &server),
    }?;
    server.stop()?;
    Ok(sample)
}

fn measure_memory(rig: &Rig, server: &Server, words: &[&str]) -> Result<Sample, Trouble> {
    let read = || proc::resident(server.pid()).map_err(|error| failed(format!("memory: {error}")));
    let (before, with, report) = hold(rig, server, words, rig.idle, read)?;
    Ok(sample((with as f64 - before as f64) / report.requests as f64, &report))
}

/// The memory that each connection of a client takes, by those that it really has.
fn measure_client(rig: &Rig, command: &[OsString]) -> Result<Sample, Trouble> {
    let mut client = rig.launcher.start(rig.server_cpu, command)?;
    let mut orders = client.take_input().ok_or_else(|| failed("the client has no standard input"))?;
    let mut hold = |count: usize| {
        // A client that has ended says why in its place of the answer.
        let _ended = writeln!(orders, "{count}");
        let line = client.line(CLIENT_PATIENCE)?;
        if line != READY {
            return Err(failed(format!("it printed {line:?} instead of {READY:?}")));
        }
        thread::sleep(SETTLE);
        let look = || {
            let sockets = proc::sockets(client.pid())?.into_iter().map(|(_, count)| count).sum::<usize>();
            proc::resident(client.pid()).map(|bytes| (bytes as f64, sockets))
        };
        look().map_err(|error| failed(format!("memory: {error}")))
    };
    let (few, many) = (hold(FEW)?, hold(rig.idle)?);
    let more = many.1.saturating_sub(few.1);
    if more < (rig.idle - FEW) / 2 {
        return Err(failed(format!("it holds {more} more connections, not {}", rig.idle - FEW)));
    }
    Ok(Sample { costs: vec![(many.0 - few.0) / more as f64], ..Sample::default() })
}

/// Opens connections one after the other, then counts the sockets of each worker: the children of the server.
fn measure_evenness(rig: &Rig, server: &Server) -> Result<Sample, Trouble> {
    let read = || proc::sockets(server.pid()).map_err(|error| failed(format!("descriptors: {error}")));
    let (before, with, report) = hold(rig, server, &["idle"], SPREAD_OVER, read)?;
    let before: BTreeMap<_, _> = before.into_iter().collect();
    let more = |(process, sockets): &(Process, usize)| {
        sockets.saturating_sub(before.get(process).copied().unwrap_or_default())
    };
    // The first process is the primary.
    let workers: Vec<usize> = with.iter().skip(1).map(more).collect();
    let (Some(least), Some(greatest)) = (workers.iter().min(), workers.iter().max()) else {
        return Err(failed("the server has no worker processes"));
    };
    Ok(sample((greatest - least) as f64, &report))
}

/// What is read of a server that had a few connections, and while it holds so many.
fn hold<T>(
    rig: &Rig,
    server: &Server,
    words: &[&str],
    connections: usize,
    read: impl Fn() -> Result<T, Trouble>,
) -> Result<(T, T, Report), Trouble> {
    Held::open(rig, server, words, WARM_UP_CONNECTIONS)?.release()?;
    thread::sleep(SETTLE);
    let before = read()?;
    let held = Held::open(rig, server, words, connections)?;
    thread::sleep(SETTLE);
    let with = read()?;
    Ok((before, with, held.release()?))
}

fn sample(cost: f64, report: &Report) -> Sample {
    let complaint = complaint(report);
    Sample { costs: vec![cost], complaint, errors: report.errors, ..Sample::default() }
}
