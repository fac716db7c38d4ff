//! A server under measurement: found by the address that it prints.

use super::child::{Child, Launcher, Trouble, until};
use super::rig::Rig;
use crate::sockets::Address;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// How long a server may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// How long a server that has closed its sockets may take to exit.
const END_PATIENCE: Duration = Duration::from_millis(50);

/// How an address begins.
const TCP: &str = "127.0.0.1:";
const UNIX: &str = "unix:";

/// A running server; dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: Address,
}

impl Server {
    /// Starts `command` on `cpu` and waits for its address.
    pub(crate) fn start(
        launcher: &Launcher,
        cpu: Option<usize>,
        command: &[OsString],
    ) -> Result<Self, Trouble> {
        let mut child = launcher.start(cpu, command)?;
        let limit = Instant::now() + START_PATIENCE;
        loop {
            let line = child.line(limit.saturating_duration_since(Instant::now()))?;
            if let Some(address) = find_address(&line) {
                return Ok(Self { child, address });
            }
        }
    }

    /// Starts the floor that stands behind a client or a proxy, if there is to be one.
    pub(crate) fn behind(rig: &Rig, floor: Option<&str>) -> Result<Option<Self>, Trouble> {
        let Some(floor) = floor else { return Ok(None) };
        let command = [rig.launcher.program.clone().into(), "floor".into(), floor.into()];
        Self::start(&rig.launcher, rig.load_cpu, &command).map(Some)
    }

    /// The words by which a client or a proxy is told of it.
    pub(crate) fn as_words(behind: Option<&Self>) -> Vec<OsString> {
        behind.map_or_else(Vec::new, |server| vec!["--to".into(), server.address.to_string().into()])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Its last words, if it has ended. Its clients may have met the end of its sockets a moment before its own.
    pub(crate) fn why_ended(&mut self) -> Option<Trouble> {
        let mut found = None;
        until(END_PATIENCE, || {
            found = self.child.has_failed();
            found.is_some()
        });
        found
    }

    /// Ends the server. It has failed if it ended before, or does not end on SIGTERM.
    pub(crate) fn stop(mut self) -> Result<(), Trouble> {
        if let Some(trouble) = self.child.has_failed() {
            return Err(trouble);
        }
        match self.child.stop() {
            true => Err(Trouble::Failed("the server did not end on SIGTERM and was killed".to_owned())),
            false => Ok(()),
        }
    }
}

/// The first address in a line: `127.0.0.1:PORT` wherever it stands, or `unix:/path` at its beginning.
fn find_address(line: &str) -> Option<Address> {
    if line.starts_with(UNIX) {
        return line.trim_end().parse().ok();
    }
    let rest = &line[line.find(TCP)?..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['.', ':']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::find_address;

    #[test]
    fn the_address_is_found_in_any_sentence() {
        for line in [
            "127.0.0.1:8000",
            "listening on 127.0.0.1:8000",
            "at http://127.0.0.1:8000/ now",
            "see 127.0.0.1:8000.",
            "127.0.0.1:8000, ",
        ] {
            assert_eq!(find_address(line), "127.0.0.1:8000".parse().ok(), "{line}");
        }
        assert_eq!(find_address("unix:/run/a b.sock"), "unix:/run/a b.sock".parse().ok());
        assert_eq!(find_address("127.0.0.1 is home"), None);
        assert_eq!(find_address("127.0.0.1:port"), None);
    }
}
