//! A server under measurement: started on its CPU, found by the address that it prints, ended with all its
//! descendants.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::proc;

/// How long a server may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// How long a server may take to end after SIGTERM; then it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked at meanwhile.
const STOP_LOOK: Duration = Duration::from_millis(5);

/// A running server; dropping it ends it.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
}

/// Binds this thread, and what it starts from now on, to one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::other(format!("no CPU {cpu}")));
    }
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| io::Error::other(format!("pin to CPU {cpu}: {error}")))
}

impl Server {
    /// Starts `command`, with the binaries of `kit` in its path, on `cpu`, and waits for its address. This
    /// thread is on the CPU `home` before and after.
    pub(crate) fn start(command: &str, kit: &Path, cpu: usize, home: usize) -> Result<Self, String> {
        let mut search = kit.as_os_str().to_owned();
        search.push(":");
        search.push(std::env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.env("PATH", search);
        shell.arg("-c").arg(format!("exec {command}")).stdin(Stdio::null()).stdout(Stdio::piped());
        pin(cpu).map_err(|error| error.to_string())?;
        let child = shell.spawn();
        pin(home).map_err(|error| error.to_string())?;
        let mut child = child.map_err(|error| format!("start {command:?}: {error}"))?;
        let output = child.stdout.take();
        // From here on the server is ended whatever happens.
        let mut server = Self { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let (told, address) = mpsc::channel();
        thread::spawn(move || output.map(|output| drain(output, &told)));
        server.addr = address.recv_timeout(START_PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                format!("{command:?} printed no 127.0.0.1:PORT in {START_PATIENCE:?}")
            }
            RecvTimeoutError::Disconnected => format!("{command:?} ended before it printed 127.0.0.1:PORT"),
        })?;
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM to the server itself, patience, then SIGKILL to what is left of its tree.
    fn stop(&mut self) {
        let tree = proc::tree(self.child.id()).unwrap_or_default();
        send_signal(self.child.id(), Signal::TERM);
        let limit = Instant::now() + STOP_PATIENCE;
        loop {
            // This also reaps the server, so that it is not taken for alive.
            let ended = !matches!(self.child.try_wait(), Ok(None));
            if ended && !tree.iter().any(|&process| proc::is_alive(process)) {
                return;
            }
            if Instant::now() >= limit {
                break;
            }
            thread::sleep(STOP_LOOK);
        }
        for &process in tree.iter().filter(|&&process| proc::is_alive(process)) {
            eprintln!("measure: process {} did not end in {STOP_PATIENCE:?}: killed", process.pid);
            send_signal(process.pid, Signal::KILL);
        }
        // Nothing can be done about a failure: the server was killed, and only its exit status is lost.
        let _status = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A process that has ended meanwhile needs no signal.
fn send_signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone = kill_process(pid, signal);
    }
}

/// Tells the first address of the output, then reads on, so that the server never waits for a reader.
fn drain(output: ChildStdout, told: &Sender<SocketAddr>) {
    for line in BufReader::new(output).split(b'\n') {
        let Ok(line) = line else { return };
        if let Some(addr) = find_address(&String::from_utf8_lossy(&line)) {
            // The receiver is gone after the first address.
            let _heard = told.send(addr);
        }
    }
}

/// The first `127.0.0.1:PORT` of a line.
fn find_address(line: &str) -> Option<SocketAddr> {
    let at = line.find("127.0.0.1:")?;
    let rest = &line[at..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['.', ':']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::find_address;

    #[test]
    fn the_address_is_found_in_any_sentence() {
        for line in [
            "listening on 127.0.0.1:8000",
            "at http://127.0.0.1:8000/ now",
            "see 127.0.0.1:8000.",
            "127.0.0.1:8000, ",
        ] {
            assert_eq!(find_address(line), "127.0.0.1:8000".parse().ok(), "{line}");
        }
        assert_eq!(find_address("127.0.0.1 is home"), None);
        assert_eq!(find_address("127.0.0.1:port"), None);
    }
}
