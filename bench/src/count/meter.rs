//! Counts what one operation of one subject takes: a run of so many operations is taken from one of twice as many. What
//! is left has no start, no warm-up and no end in it.

use super::loads::Way;
use super::tools::{Tool, clear};
use crate::child::{Child, Trouble};
use crate::load::tally::Report;
use crate::rig::Rig;
use crate::server::Server;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// How long a run may take: under these tools everything is up to a hundred times slower.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `tool` counts for one operation of the program that `command` starts.
pub(crate) fn count(rig: &Rig, tool: Tool, command: &[OsString], way: Way) -> Result<f64, Trouble> {
    let few = total(rig, tool, command, way, way.operations)?;
    let many = total(rig, tool, command, way, 2 * way.operations)?;
    Ok(per_operation(few, many, way.operations))
}

/// Not below zero: nothing is uncounted, and where an operation takes none of something the ends of both runs differ by
/// chance.
fn per_operation(few: u64, many: u64, operations: u64) -> f64 {
    many.saturating_sub(few) as f64 / operations as f64
}

/// What `tool` counts in one run.
fn total(rig: &Rig, tool: Tool, command: &[OsString], way: Way, operations: u64) -> Result<u64, Trouble> {
    let folder = rig.scratch();
    clear(folder).map_err(failed)?;
    // A server that was killed has left its socket.
    rig.clear_sockets();
    let command = [&tool.words(folder), command].concat();
    match way.load {
        Some(words) => serve(rig, &command, words, operations)?,
        None => run(rig, &command, operations)?,
    }
    total_of(tool, folder)
}

fn total_of(tool: Tool, folder: &Path) -> Result<u64, Trouble> {
    tool.total(folder).map_err(failed)
}

fn failed(what: impl ToString) -> Trouble {
    Trouble::Failed(what.to_string())
}

/// A server, from its start to its end, with one connection at a time.
fn serve(rig: &Rig, command: &[OsString], words: &[&str], operations: u64) -> Result<(), Trouble> {
    let server = Server::start(&rig.launcher, rig.server_cpu, command)?;
    let mut load: Vec<OsString> = vec![rig.launcher.program.clone().into(), "load".into()];
    load.extend(words.iter().map(OsString::from));
    // The last word about the connections holds.
    load.extend(["--conns", "1", "--ops", &operations.to_string()].map(OsString::from));
    load.extend(["--addr".into(), server.address.to_string().into()]);
    let mut load = rig.launcher.start(rig.load_cpu, &load)?;
    let report = read_report(&mut load)?;
    load.wait();
    if report.requests != operations || report.errors > 0 {
        let (did, errors) = (report.requests, report.errors);
        return Err(failed(format!("{did} of {operations} operations were answered, with {errors} errors")));
    }
    server.stop()
}

fn read_report(load: &mut Child) -> Result<Report, Trouble> {
    let line = load.line(PATIENCE).map_err(|trouble| match trouble {
        // The load can do all that it is asked for.
        Trouble::Cannot(reason) => Trouble::Failed(reason),
        other => other,
    })?;
    serde_json::from_str(&line).map_err(|error| failed(format!("the load printed {line:?}: {error}")))
}

/// A program without clients, from its start to its end.
fn run(rig: &Rig, command: &[OsString], operations: u64) -> Result<(), Trouble> {
    let command = [command, &["--ops".into(), operations.to_string().into()]].concat();
    let mut program = rig.launcher.start(rig.server_cpu, &command)?;
    program.line(PATIENCE)?;
    match program.wait() {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failed(format!("it ended with {status}"))),
        None => Err(failed("it did not end and was killed")),
    }
}

#[cfg(test)]
mod tests {
    use super::per_operation;

    #[test]
    fn what_both_runs_have_in_common_is_in_no_count() {
        assert_eq!(per_operation(1_000_500, 1_001_000, 500), 1.0);
        assert_eq!(per_operation(31, 30, 2000), 0.0);
    }
}
