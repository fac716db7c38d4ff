//! Counts one operation of one subject: the difference of a run and one of twice as many operations, which has no start,
//! no warm-up and no end in it.

use super::tools::{Tool, clear};
use crate::catalogue::{Entry, Work};
use crate::child::Trouble;
use crate::clients::{failed, read_report, start_load};
use crate::rig::Rig;
use crate::server::Server;
use crate::solo;
use std::ffi::OsString;
use std::time::Duration;

/// How long a run may take: under these tools everything is up to a hundred times slower.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `tool` counts for one operation of the program that `command` starts.
pub(crate) fn count(rig: &Rig, tool: Tool, command: &[OsString], entry: &Entry) -> Result<f64, Trouble> {
    let operations = entry.counting.ok_or_else(|| failed("it cannot be counted"))?.operations;
    let few = total(rig, tool, command, entry, operations)?;
    let many = total(rig, tool, command, entry, 2 * operations)?;
    Ok(per_operation(few, many, operations))
}

/// Not below zero: where an operation takes none of something, the ends of both runs differ by chance.
fn per_operation(few: u64, many: u64, operations: u64) -> f64 {
    many.saturating_sub(few) as f64 / operations as f64
}

fn total(
    rig: &Rig,
    tool: Tool,
    command: &[OsString],
    entry: &Entry,
    operations: u64,
) -> Result<u64, Trouble> {
    let folder = &rig.scratch;
    clear(folder).map_err(failed)?;
    // A server that was killed has left its socket.
    rig.clear_sockets();
    let behind = Server::behind(rig, entry.behind)?;
    let mut command = [&tool.words(folder), command, &Server::as_words(behind.as_ref())].concat();
    match entry.work {
        Work::Time(words) => serve(rig, &command, words, operations)?,
        Work::Client { .. } => {
            command.extend(["--conns".into(), "1".into()]);
            solo::run_once(rig, &command, operations, PATIENCE)?;
        }
        _ => {
            solo::run_once(rig, &command, operations, PATIENCE)?;
        }
    }
    tool.total(folder).map_err(failed)
}

/// A server, from its start to its end, with one connection at a time.
fn serve(rig: &Rig, command: &[OsString], words: &[&str], operations: u64) -> Result<(), Trouble> {
    let server = Server::start(&rig.launcher, rig.server_cpu, command)?;
    // The last word about the connections holds.
    let mut load = start_load(rig, &server, words, &["--conns", "1", "--ops", &operations.to_string()])?;
    let report = read_report(&mut load, PATIENCE)?;
    load.wait();
    if report.requests != operations || report.errors > 0 {
        let (did, errors) = (report.requests, report.errors);
        return Err(failed(format!("{did} of {operations} operations were answered, with {errors} errors")));
    }
    server.stop()
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
