//! The clients of a server: processes of `upcall-bench load`, which say what they did in one line.

use super::child::{Child, Trouble};
use super::rig::Rig;
use super::server::Server;
use crate::load::tally::Report;
use std::ffi::OsString;
use std::io::Write;
use std::process::ChildStdin;
use std::time::Duration;

/// How long a load may take beyond its time, which has a patience of its own in it.
const LOAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long the opening of connections that are held may take.
const HOLD_PATIENCE: Duration = Duration::from_secs(60);

/// Clients that stay connected and work when they are told to.
pub(crate) struct Clients {
    load: Child,
    orders: ChildStdin,
}

impl Clients {
    pub(crate) fn start(rig: &Rig, server: &Server, words: &[&str]) -> Result<Self, Trouble> {
        let mut load = start_load(rig, server, words, &["--driven"])?;
        let orders = load.take_input().ok_or_else(|| failed("the load has no standard input"))?;
        Ok(Self { load, orders })
    }

    /// Loads the server for some time.
    pub(crate) fn work(&mut self, time: Duration) -> Result<Report, Trouble> {
        // A load that has ended says why in its place of the report.
        let _ended = writeln!(self.orders, "{}", time.as_secs_f64());
        answered(read_report(&mut self.load, time + LOAD_PATIENCE)?)
    }
}

pub(crate) struct Held {
    load: Child,
    report: Report,
}

impl Held {
    /// Opens so many, one after the other.
    pub(crate) fn open(
        rig: &Rig,
        server: &Server,
        words: &[&str],
        connections: usize,
    ) -> Result<Self, Trouble> {
        let mut load = start_load(rig, server, words, &["--conns", &connections.to_string()])?;
        let report = read_report(&mut load, HOLD_PATIENCE)?;
        Ok(Self { load, report })
    }

    /// Ends the connections. Those that the server had ended before are errors.
    pub(crate) fn release(mut self) -> Result<Report, Trouble> {
        // The end of its input ends the load.
        drop(self.load.take_input());
        let broken = self.load.wait().is_none_or(|status| !status.success());
        if broken && self.report.errors == 0 {
            return Err(failed("the server ended connections while they were idle"));
        }
        answered(self.report)
    }
}

/// Starts clients of `server` with these words.
pub(crate) fn start_load(
    rig: &Rig,
    server: &Server,
    words: &[&str],
    more: &[&str],
) -> Result<Child, Trouble> {
    let mut command: Vec<OsString> = vec![rig.launcher.program.clone().into(), "load".into()];
    command.extend(words.iter().chain(more).map(OsString::from));
    command.extend(["--addr".into(), server.address.to_string().into()]);
    rig.launcher.start(rig.load_cpu, &command)
}

/// The report of a load, which is its next line.
pub(crate) fn read_report(load: &mut Child, patience: Duration) -> Result<Report, Trouble> {
    let line = load.line(patience).map_err(|trouble| match trouble {
        // The load can do all that it is asked for.
        Trouble::Cannot(reason) => Trouble::Failed(reason),
        other => other,
    })?;
    serde_json::from_str(&line).map_err(|error| failed(format!("the load printed {line:?}: {error}")))
}

fn answered(report: Report) -> Result<Report, Trouble> {
    match report.requests {
        0 => {
            let errors = complaint(&report).unwrap_or_else(|| "no error either".to_owned());
            Err(failed(format!("nothing was answered: {errors}")))
        }
        _ => Ok(report),
    }
}

/// The errors of a load in words, if there are any.
pub(crate) fn complaint(report: &Report) -> Option<String> {
    let kinds: Vec<_> = report.error_kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

pub(crate) fn failed(what: impl ToString) -> Trouble {
    Trouble::Failed(what.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Report, complaint};

    #[test]
    fn errors_are_told_by_their_kind() {
        let mut report = Report::default();
        assert_eq!(complaint(&report), None);
        report.error_kinds.insert("status".to_owned(), 3);
        report.error_kinds.insert("closed".to_owned(), 1);
        assert_eq!(complaint(&report).as_deref(), Some("closed 1, status 3"));
    }
}
