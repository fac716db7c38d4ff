//! A program that never outlives its test.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use uv_core::Signal;

/// How long a program may take for anything. Reached only by a program that hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running program; it is killed when this is dropped.
pub(crate) struct Program {
    pid: i32,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    ended: Receiver<std::io::Result<ExitStatus>>,
    is_over: bool,
}

impl Program {
    /// Starts a command.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child: Child = command.spawn()?;
        let pid = i32::try_from(child.id())?;
        let (stdout, stderr) = (lines_of(child.stdout.take()), lines_of(child.stderr.take()));
        let (end, ended) = channel();
        // Fails if the test gave up.
        thread::spawn(move || end.send(child.wait()));
        Ok(Self { pid, stdout, stderr, ended, is_over: false })
    }

    /// The next line of its standard output.
    pub(crate) fn line(&self) -> Result<String, Box<dyn Error>> {
        self.stdout
            .recv_timeout(DEADLINE)
            .map_err(|error| format!("it said nothing: {error}\n{}", self.errors()).into())
    }

    /// The next line of its standard error.
    pub(crate) fn error_line(&self) -> Result<String, Box<dyn Error>> {
        Ok(self.stderr.recv_timeout(DEADLINE)?)
    }

    /// What else it has said on its standard error by now.
    pub(crate) fn errors(&self) -> String {
        self.stderr.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// Waits for its end; the exit code, if it ended by itself.
    pub(crate) fn wait(mut self) -> Result<Option<i32>, Box<dyn Error>> {
        let status = self.ended.recv_timeout(DEADLINE)??;
        self.is_over = true;
        Ok(status.code())
    }

    /// Asks it to end, which it does without an error.
    pub(crate) fn end(self) -> Result<(), Box<dyn Error>> {
        uv_core::process::kill(self.pid, Signal::SIGTERM)?;
        match self.wait()? {
            Some(0) => Ok(()),
            code => Err(format!("it ended with {code:?}").into()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.is_over {
            // Fails only if it has ended.
            let _ = uv_core::process::kill(self.pid, Signal::SIGKILL);
        }
    }
}

/// The lines of a pipe, read by a thread so that neither side blocks.
fn lines_of(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (line, lines) = channel();
    thread::spawn(move || {
        let text = pipe.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        // Fails when the receiver was dropped.
        text.map(|text| line.send(text)).take_while(Result::is_ok).for_each(drop);
    });
    lines
}
