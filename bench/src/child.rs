//! A process of a run: started on its core, read line by line with patience, ended with all its descendants.

use super::interrupt::{Interrupt, send_signal};
use super::launch::ANY_CPU;
use super::proc;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A program that cannot do what it is asked for ends with this code.
const CANNOT: i32 = 2;

/// How long a process may take to end after SIGTERM, or after its last word; then it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// How often a process is looked at meanwhile.
const STOP_LOOK: Duration = Duration::from_millis(2);

/// A longer line is cut: no report is that long, and memory is finite.
const MAX_LINE: u64 = 8 << 20;

/// Lines that wait to be read; what is said beyond that is of no interest.
const LINES: usize = 64;

/// How much of the last line of standard error is shown.
const MAX_COMPLAINT: usize = 300;

/// What a Rust program says after the message of a panic.
const PANIC_HINT: &str = "note: run with `RUST_BACKTRACE";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The program cannot do this, and says why.
    Cannot(String),
    /// It was to, and did not.
    Failed(String),
    /// The user wants no more.
    Interrupted,
}

impl Trouble {
    /// Why it is; that the user wants no more is an error.
    pub(crate) fn reason(self) -> Result<String, Self> {
        match self {
            Self::Cannot(reason) | Self::Failed(reason) => Ok(reason),
            Self::Interrupted => Err(self),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    /// This program, which becomes any other.
    pub(crate) program: PathBuf,
    pub(crate) interrupt: Interrupt,
}

/// A running process; dropping it ends it.
pub(crate) struct Child {
    what: String,
    process: std::process::Child,
    lines: Receiver<String>,
    /// Reads standard error to its end.
    complaint: Option<JoinHandle<String>>,
    interrupt: Interrupt,
    ended: Option<ExitStatus>,
}

impl Launcher {
    /// Starts `command`, a program and its words, on `cpu`. Its standard input is a pipe that says nothing.
    pub(crate) fn start(&self, cpu: Option<usize>, command: &[OsString]) -> Result<Child, Trouble> {
        if self.interrupt.came() {
            return Err(Trouble::Interrupted);
        }
        let what: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        let what = what.join(" ");
        let cpu = cpu.map_or_else(|| ANY_CPU.to_owned(), |cpu| cpu.to_string());
        let mut launch = Command::new(&self.program);
        launch.arg("launch").arg(cpu).args(command);
        launch.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process =
            launch.spawn().map_err(|error| Trouble::Failed(format!("start {what}: {error}")))?;
        self.interrupt.enter(process.id());
        let (told, lines) = sync_channel(LINES);
        let (output, errors) = (process.stdout.take(), process.stderr.take());
        thread::spawn(move || output.map(|output| tell_lines(output, &told)));
        let complaint = thread::spawn(move || errors.map(complaint_in).unwrap_or_default());
        let interrupt = self.interrupt.clone();
        Ok(Child { what, process, lines, complaint: Some(complaint), interrupt, ended: None })
    }
}

impl Child {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn line(&mut self, patience: Duration) -> Result<String, Trouble> {
        let line = self.lines.recv_timeout(patience);
        if self.interrupt.came() {
            return Err(Trouble::Interrupted);
        }
        line.map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                Trouble::Failed(format!("{} said nothing for {patience:?}", self.what))
            }
            RecvTimeoutError::Disconnected => self.why_ended(),
        })
    }

    /// Its standard input: the end of that is a sign to some.
    pub(crate) fn take_input(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// Waits for it to end by itself, as it has said what it had to say.
    pub(crate) fn wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() && !until(STOP_PATIENCE, || self.has_ended()) {
            self.stop();
            return None;
        }
        self.ended
    }

    /// Waits until it has ended or the run was interrupted, for at most `patience`. Returns whether it is over.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        until(patience, || self.has_ended() || self.interrupt.came())
    }

    fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().ok().flatten();
            if self.ended.is_some() {
                self.interrupt.leave(self.pid());
            }
        }
        self.ended.is_some()
    }

    /// What became of it, if it does not run any more.
    pub(crate) fn has_failed(&mut self) -> Option<Trouble> {
        self.has_ended().then(|| self.why_ended())
    }

    /// It ended too early: its code and its last words say why.
    fn why_ended(&mut self) -> Trouble {
        let status = self.wait();
        let complaint = self.complaint();
        match status {
            Some(status) if status.code() == Some(CANNOT) && !complaint.is_empty() => {
                Trouble::Cannot(complaint)
            }
            Some(status) if complaint.is_empty() => {
                Trouble::Failed(format!("{} ended ({status})", self.what))
            }
            Some(status) => Trouble::Failed(format!("{} ended ({status}): {complaint}", self.what)),
            None => Trouble::Failed(format!("{} closed its output and hung: {complaint}", self.what)),
        }
    }

    /// What [`complaint_in`] standard error is, as far as that has come: a descendant may hold it open.
    pub(crate) fn complaint(&mut self) -> String {
        let has_come = |reader: &JoinHandle<String>| until(STOP_PATIENCE, || reader.is_finished());
        if !self.complaint.as_ref().is_some_and(has_come) {
            return String::new();
        }
        self.complaint.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }

    /// SIGTERM to the process itself, patience, then SIGKILL to what is left of its tree. Whether it came to that.
    pub(crate) fn stop(&mut self) -> bool {
        if self.ended.is_some() {
            // Its number may be that of another by now.
            return false;
        }
        let tree = proc::tree(self.pid()).unwrap_or_default();
        if !self.has_ended() {
            send_signal(self.pid(), Signal::TERM);
        }
        // To look also reaps the process, so that it is not taken for alive.
        if until(STOP_PATIENCE, || self.has_ended() && !tree.iter().any(|&process| proc::is_alive(process))) {
            return false;
        }
        for process in tree.into_iter().filter(|&process| proc::is_alive(process)) {
            send_signal(process.pid, Signal::KILL);
        }
        if self.ended.is_none() {
            self.interrupt.leave(self.pid());
            self.ended = self.process.wait().ok();
        }
        true
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Looks again and again whether something is over, for at most `patience`. Returns whether it is.
pub(crate) fn until(patience: Duration, mut is_over: impl FnMut() -> bool) -> bool {
    let limit = Instant::now() + patience;
    loop {
        match (is_over(), Instant::now() < limit) {
            (false, true) => thread::sleep(STOP_LOOK),
            (is_over, _) => return is_over,
        }
    }
}

/// Tells the first lines, then reads on, so that the process never waits for a reader.
fn tell_lines(output: impl Read, told: &SyncSender<String>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while (&mut output).take(MAX_LINE).read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        // Full, or the receiver was dropped: the line is not wanted.
        let _heard = told.try_send(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

/// The first error, as cargo says it; else the last line with something on it that is no hint behind a panic's message.
/// Without the `error: ` that commands put in front.
fn complaint_in(errors: impl Read) -> String {
    let mut errors = BufReader::new(errors);
    let (mut line, mut last) = (Vec::new(), String::new());
    let mut is_error = false;
    while (&mut errors).take(MAX_LINE).read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !is_error && !text.is_empty() && !text.starts_with(PANIC_HINT) {
            is_error = text.starts_with("error");
            last = text.strip_prefix("error: ").unwrap_or(text).chars().take(MAX_COMPLAINT).collect();
        }
        line.clear();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_or_the_last_line_that_says_something_is_the_complaint() {
        let cargo = b"warning: x\n  error: no cmake\nerror: could not compile\n\n";
        assert_eq!(complaint_in(&cargo[..]), "no cmake");
        assert_eq!(complaint_in(&b"starting\nkilled\n"[..]), "killed");
        let panic =
            "thread 'main' panicked at a.rs:1:2:\nno room\nnote: run with `RUST_BACKTRACE=1` to see\n";
        assert_eq!(complaint_in(panic.as_bytes()), "no room");
        assert_eq!(complaint_in(&b""[..]), "");
    }

    #[test]
    fn lines_that_are_not_taken_are_dropped() {
        let (told, lines) = sync_channel(2);
        tell_lines(&b"one\r\ntwo\nthree\nfour"[..], &told);
        drop(told);
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "two"]);
    }
}
