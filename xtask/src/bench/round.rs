//! One round of one server: start it, warm it, load it, and read what that cost.

use super::budget::Kind;
use super::catalogue::Work;
use super::child::{Child, Trouble};
use super::proc::{self, Process};
use super::rig::Rig;
use super::server::Server;
use crate::load::report::Report;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::thread;
use std::time::Duration;

/// How long a server is loaded before the measurement: its pages are touched, its workers up, its caches filled. Half of
/// what is measured then, within these bounds.
const WARM_UP: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// The same for one that compiles its code while it runs: it has to come to an end with that.
const COMPILED_WARM_UP: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(2));

/// Connections that a server had before its memory is read.
const WARM_UP_CONNECTIONS: usize = 64;

/// Connections over which evenness is measured.
const SPREAD_OVER: usize = 1000;

/// What a server may take to close the load's connections; that is part of the cost.
const SETTLE: Duration = Duration::from_millis(30);

/// How long a load may take beyond its time, which has a patience of its own in it.
const LOAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long the opening of connections that are held may take.
const HOLD_PATIENCE: Duration = Duration::from_secs(60);

/// The outcome of one round of one subject.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample {
    /// CPU nanoseconds per operation, bytes per connection, or the spread of connections.
    pub(crate) cost: f64,
    pub(crate) per_second: Option<f64>,
    /// Pairs of a latency in nanoseconds and its number.
    pub(crate) histogram: Vec<(u64, u64)>,
    pub(crate) errors: u64,
    /// The errors in words, if there are any.
    pub(crate) complaint: Option<String>,
}

/// Measures the server that `command` starts once, for `part`.
pub(crate) fn run(
    rig: &Rig,
    command: &[OsString],
    work: Work,
    kind: Kind,
    part: Duration,
) -> Result<Sample, Trouble> {
    let server = Server::start(&rig.launcher, rig.server_cpu, command)?;
    let warm_up = match kind {
        Kind::Compiled => (part * 2).clamp(COMPILED_WARM_UP.0, COMPILED_WARM_UP.1),
        _ => (part / 2).clamp(WARM_UP.0, WARM_UP.1),
    };
    let sample = match work {
        Work::Time(words) => measure_time(rig, &server, words, warm_up, part),
        Work::Memory(words) => measure_memory(rig, &server, words),
        Work::Evenness => measure_evenness(rig, &server),
        Work::Solo { .. } | Work::SoloOf { .. } => Err(failed("this is no server's benchmark")),
    }?;
    server.stop()?;
    Ok(sample)
}

fn failed(what: impl ToString) -> Trouble {
    Trouble::Failed(what.to_string())
}

fn measure_time(
    rig: &Rig,
    server: &Server,
    words: &[&str],
    warm_up: Duration,
    part: Duration,
) -> Result<Sample, Trouble> {
    let read = || proc::cpu_times(server.pid()).map_err(|error| failed(format!("CPU time: {error}")));
    answered(load_for(rig, server, words, warm_up)?)?;
    thread::sleep(SETTLE);
    let before = read()?;
    let report = answered(load_for(rig, server, words, part)?)?;
    thread::sleep(SETTLE);
    let after = read()?;
    let (used, lost) = used(&before, &after);
    Ok(Sample {
        cost: used as f64 / report.requests as f64,
        per_second: Some(report.per_second),
        complaint: complaint(&report, lost),
        errors: report.errors + lost,
        histogram: report.histogram,
    })
}

/// The CPU time that was used between two looks, and how many processes were lost: their time is not in it.
fn used(before: &BTreeMap<Process, u64>, after: &BTreeMap<Process, u64>) -> (u64, u64) {
    let used = after.iter().map(|(process, time)| time - before.get(process).unwrap_or(&0).min(time)).sum();
    let lost = before.keys().filter(|process| !after.contains_key(process)).count();
    (used, lost as u64)
}

fn complaint(report: &Report, lost: u64) -> Option<String> {
    let mut kinds: Vec<_> =
        report.error_kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    if lost > 0 {
        kinds.push(format!("processes that ended {lost}"));
    }
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

fn measure_memory(rig: &Rig, server: &Server, words: &[&str]) -> Result<Sample, Trouble> {
    let read = || proc::resident(server.pid()).map_err(|error| failed(format!("memory: {error}")));
    answered(hold(rig, server, words, WARM_UP_CONNECTIONS)?.release()?)?;
    thread::sleep(SETTLE);
    let before = read()?;
    let held = hold(rig, server, words, rig.idle)?;
    thread::sleep(SETTLE);
    let with = read()?;
    let report = answered(held.release()?)?;
    Ok(Sample {
        cost: (with as f64 - before as f64) / report.requests as f64,
        complaint: complaint(&report, 0),
        errors: report.errors,
        ..Sample::default()
    })
}

/// Opens connections one after the other, then counts the sockets of each worker: the children of the server.
fn measure_evenness(rig: &Rig, server: &Server) -> Result<Sample, Trouble> {
    let read = || proc::sockets(server.pid()).map_err(|error| failed(format!("descriptors: {error}")));
    answered(hold(rig, server, &["idle"], WARM_UP_CONNECTIONS)?.release()?)?;
    thread::sleep(SETTLE);
    let before: BTreeMap<_, _> = read()?.into_iter().collect();
    let held = hold(rig, server, &["idle"], SPREAD_OVER)?;
    thread::sleep(SETTLE);
    let with = read()?;
    let report = answered(held.release()?)?;
    let more = |(process, sockets): &(Process, usize)| {
        sockets.saturating_sub(before.get(process).copied().unwrap_or_default())
    };
    // The first process is the one that hands out.
    let workers: Vec<usize> = with.iter().skip(1).map(more).collect();
    let (Some(least), Some(greatest)) = (workers.iter().min(), workers.iter().max()) else {
        return Err(failed("the server has no worker processes"));
    };
    Ok(Sample {
        cost: (greatest - least) as f64,
        complaint: complaint(&report, 0),
        errors: report.errors,
        ..Sample::default()
    })
}

/// Loads the server for some time.
fn load_for(rig: &Rig, server: &Server, words: &[&str], time: Duration) -> Result<Report, Trouble> {
    let mut load = start_load(rig, server, words, &["--secs", &time.as_secs_f64().to_string()])?;
    let report = read_report(&mut load, time + LOAD_PATIENCE)?;
    load.wait();
    Ok(report)
}

/// Connections that are held open.
struct Held {
    load: Child,
    report: Report,
}

fn hold(rig: &Rig, server: &Server, words: &[&str], connections: usize) -> Result<Held, Trouble> {
    let mut load = start_load(rig, server, words, &["--conns", &connections.to_string()])?;
    let report = read_report(&mut load, HOLD_PATIENCE)?;
    Ok(Held { load, report })
}

impl Held {
    /// Ends the connections. Those that the server had ended before are errors.
    fn release(mut self) -> Result<Report, Trouble> {
        // The end of its input ends the load.
        drop(self.load.take_input());
        let broken = self.load.wait().is_none_or(|status| !status.success());
        if broken && self.report.errors == 0 {
            return Err(failed("the server ended connections while they were idle"));
        }
        Ok(self.report)
    }
}

fn start_load(rig: &Rig, server: &Server, words: &[&str], more: &[&str]) -> Result<Child, Trouble> {
    let mut command: Vec<OsString> = vec![rig.launcher.xtask.clone().into(), "load".into()];
    command.extend(words.iter().chain(more).map(OsString::from));
    command.extend(["--addr".into(), server.address.to_string().into()]);
    rig.launcher.start(rig.load_cpu, &command)
}

fn read_report(load: &mut Child, patience: Duration) -> Result<Report, Trouble> {
    let line = load.line(patience).map_err(|trouble| match trouble {
        // The load can do all that it is asked for.
        Trouble::Cannot(reason) => Trouble::Failed(reason),
        other => other,
    })?;
    serde_json::from_str(&line).map_err(|error| failed(format!("the load printed {line:?}: {error}")))
}

fn answered(report: Report) -> Result<Report, Trouble> {
    match report.requests {
        0 => Err(failed(format!(
            "nothing was answered: {}",
            complaint(&report, 0).unwrap_or_else(|| "no error either".to_owned())
        ))),
        _ => Ok(report),
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, complaint};

    #[test]
    fn errors_are_told_by_their_kind() {
        let mut report = Report::default();
        assert_eq!(complaint(&report, 0), None);
        report.error_kinds.insert("status".to_owned(), 3);
        assert_eq!(complaint(&report, 1).as_deref(), Some("status 3, processes that ended 1"));
    }
}
