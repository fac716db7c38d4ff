//! A child process that never outlives its test, and deadlines for what is expected of it.

use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use uv_core::Signal;
use uv_core::process::kill;

/// How long a child may take for anything. Reached only by one that hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A child process with the processes that it starts. All of them are killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    pid: i32,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    ended: Receiver<io::Result<ExitStatus>>,
    /// Nobody is left of them: the id may be somebody else's.
    is_over: bool,
}

/// How a child ended, and what it said that was not read before.
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
        // Nobody listens any more if the test gave up.
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
    /// It is gone, or there is no such signal.
    pub fn signal(&self, signum: i32) -> Result<(), uv_core::Error> {
        kill(self.pid, signum)
    }

    /// The next line of the child's standard output; none if it ended, or said nothing in time.
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
            // To the whole group. Refused only if nobody is left of it.
            let _ = kill(-self.pid, Signal::SIGKILL);
        }
    }
}

/// The lines of a pipe, read by a thread so that the child never blocks.
fn lines_of(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (line, lines) = mpsc::channel();
    thread::spawn(move || {
        let text = pipe.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        // Fails when nobody listens any more.
        text.map(|text| line.send(text)).take_while(Result::is_ok).for_each(drop);
    });
    lines
}

/// Whatever comes until the pipe is closed, also by those who inherited it.
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
