//! One round of one subject: start the server, warm it, load it, and read what that cost.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use peers::report::Report;

use crate::options::{Case, Options, Subject};
use crate::proc;
use crate::server::Server;

/// How long a server is loaded before the measurement: its pages are touched, its workers up, its caches
/// filled.
const WARM_UP: Duration = Duration::from_millis(200);

/// Connections of the warm-up; the usual load's.
const WARM_UP_CONNECTIONS: usize = 64;

/// What a server may take to close the load's connections; that is part of the cost.
const SETTLE: Duration = Duration::from_millis(50);

/// The outcome of one round of one subject.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// CPU microseconds per operation, or bytes per idle connection.
    pub(crate) cost: f64,
    pub(crate) report: Report,
    /// The load's errors and the server's lost processes.
    pub(crate) errors: u64,
}

/// Measures `subject` once. `kit` is the folder of the kit's binaries.
pub(crate) fn run(options: &Options, subject: &Subject, kit: &Path) -> Result<Sample, String> {
    let server = Server::start(&subject.command, kit, options.server_cpu, options.load_cpu)?;
    let warm_up = finish(load(options, &server, kit, WARM_UP_CONNECTIONS, WARM_UP)?)?;
    if warm_up.requests == 0 {
        return Err(format!("no request of the warm-up was answered; errors: {:?}", warm_up.error_kinds));
    }
    thread::sleep(SETTLE);
    let sample = match options.case {
        Case::Idle => measure_memory(options, &server, kit),
        _ => measure_time(options, &server, kit),
    };
    drop(server);
    sample
}

fn measure_time(options: &Options, server: &Server, kit: &Path) -> Result<Sample, String> {
    let read = || proc::cpu_times(server.pid()).map_err(|error| format!("CPU time of the server: {error}"));
    let before = read()?;
    let report = finish(load(options, server, kit, options.connections, options.duration)?)?;
    thread::sleep(SETTLE);
    let after = read()?;
    if report.requests == 0 {
        return Err(format!("no request was answered; errors: {:?}", report.error_kinds));
    }
    let used: u64 =
        after.iter().map(|(process, time)| time - before.get(process).unwrap_or(&0).min(time)).sum();
    let lost = before.keys().filter(|process| !after.contains_key(process)).count() as u64;
    if lost > 0 {
        eprintln!("measure: {lost} processes of the server ended during the load; their time is not counted");
    }
    let cost = used as f64 / 1000.0 / report.requests as f64;
    Ok(Sample { cost, errors: report.errors + lost, report })
}

fn measure_memory(options: &Options, server: &Server, kit: &Path) -> Result<Sample, String> {
    let read = || proc::resident(server.pid()).map_err(|error| format!("memory of the server: {error}"));
    let before = read()?;
    let mut held = load(options, server, kit, options.connections, options.duration)?;
    let report = read_report(&mut held)?;
    thread::sleep(SETTLE);
    let with = read()?;
    // The end of its input ends the load.
    drop(held.stdin.take());
    let status = held.wait().map_err(|error| format!("load: {error}"))?;
    let broken = u64::from(!status.success() && report.errors == 0);
    let cost = (with as f64 - before as f64) / report.requests.max(1) as f64;
    Ok(Sample { cost, errors: report.errors + broken, report })
}

/// Starts `load` against the server, on this thread's CPU.
fn load(
    options: &Options,
    server: &Server,
    kit: &Path,
    connections: usize,
    duration: Duration,
) -> Result<Child, String> {
    let mut command = Command::new(kit.join("load"));
    command.arg(options.case.load_mode());
    command.args(["--addr", &server.addr.to_string(), "--conns", &connections.to_string()]);
    command.args([
        "--secs",
        &duration.as_secs_f64().to_string(),
        "--pipeline",
        &options.pipeline.to_string(),
    ]);
    command.args(["--size", &options.size.to_string(), "--path", &options.path]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(|error| format!("start {}: {error}", kit.join("load").display()))
}

/// Lets the load come to its end.
fn finish(mut load: Child) -> Result<Report, String> {
    drop(load.stdin.take());
    let report = read_report(&mut load);
    load.wait().map_err(|error| format!("load: {error}"))?;
    report
}

fn read_report(load: &mut Child) -> Result<Report, String> {
    let output = load.stdout.take().ok_or("load: no standard output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(|error| format!("load: {error}"))?;
    serde_json::from_str(&line).map_err(|error| format!("load printed {line:?}: {error}"))
}
