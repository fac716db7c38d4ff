//! A child process that never outlives its test, and deadlines for its output and its end.

use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use uv_core::Signal;
use uv_core::process::kill;

/// How long a child may take for anything. Only a child that hangs reaches it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A child process with the processes that it starts. All of them are killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    pid: i32,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    ended: Receiver<io::Result<ExitStatus>>,
    /// All of them have ended: their id may belong to another process.
    is_over: bool,
}

/// How a child ended, and the rest of its output.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code or signal.
    pub status: ExitStatus,
    /// The rest of its standard output.
    pub stdout: String,
    /// The rest of its standard error.
    pub stderr: String,
}

impl Running {
    /// Starts `command` in a process group of its own, with nothing to read.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Self::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Starts `command` like [`start`](Self::start), with all its output in one pipe that is not read unless the caller
    /// does it.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn start_unread(command: &mut Command) -> io::Result<(Self, BufReader<PipeReader>)> {
        let (reader, writer) = io::pipe()?;
        let running = Self::spawn(command.stdout(writer.try_clone()?).stderr(writer))?;
        // The command holds ends of the pipe, which would outlive the child.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok((running, BufReader::new(reader)))
    }

    fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let (stdout, stderr) = (lines_of(child.stdout.take()), lines_of(child.stderr.take()));
        let (end, ended) = mpsc::channel();
        // The receiver is dropped if the test has failed.
        thread::spawn(move || end.send(child.wait()));
        Ok(Self { pid, stdout, stderr, ended, is_over: false })
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal to the child alone.
    ///
    /// # Errors
    /// The child has ended, or there is no such signal.
    pub fn signal(&self, signum: i32) -> Result<(), uv_core::Error> {
        kill(self.pid, signum)
    }

    /// The next line of the child's standard output; none if it ended, or wrote nothing in time.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        self.stdout.recv_timeout(DEADLINE).ok()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It did not come in time: the child is killed.
    pub fn wait(mut self) -> io::Result<Ended> {
        let status = match self.ended.recv_timeout(DEADLINE) {
            Ok(status) => status?,
            Err(error) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it did not end: {error}")));
            }
        };
        let until = Instant::now() + DEADLINE;
        let ended = Ended { status, stdout: rest(&self.stdout, until)?, stderr: rest(&self.stderr, until)? };
        self.is_over = true;
        Ok(ended)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            // To the whole group. It fails only if all of it has ended.
            let _ = kill(-self.pid, Signal::SIGKILL);
        }
    }
}

/// The lines of a pipe, read by a thread so that the child never blocks.
fn lines_of(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (line, lines) = mpsc::channel();
    thread::spawn(move || {
        let text = pipe.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        // Fails when the receiver is dropped.
        text.map(|text| line.send(text)).take_while(Result::is_ok).for_each(drop);
    });
    lines
}

/// All output until the pipe is closed, also by processes that inherited it.
fn rest(lines: &Receiver<String>, until: Instant) -> io::Result<String> {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => text.extend([&*line, "\n"]),
            Err(RecvTimeoutError::Disconnected) => return Ok(text),
            Err(error) => return Err(io::Error::other(format!("a process is left behind: {error}"))),
        }
    }
}
