//! What to run, and with which standard input, output and error. Mirrors the options of `child_process.spawn` and
//! `child_process.execFile`.

use super::output::{Output, output_of};
use super::{Child, SpawnOptions};
use crate::Result;
use crate::uv_core::process as core;
use async_wrap::Environment;
use async_wrap::tcp_wrap::PipeWrap;
use bytes::Bytes;
use std::ffi::OsString;
use std::path::PathBuf;

/// What is kept of each stream of output by default, Node's `maxBuffer`.
const LIMIT: usize = 1024 * 1024;

/// What a child has for its standard input, output or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// That of this process.
    Inherit,
    /// The null device.
    Null,
    /// A pipe to this process: see [`Child`].
    Pipe,
}

/// A program to run in a child process. By default the child has this process's environment, working directory, user, and
/// standard input, output and error.
///
/// ```
/// use net::process::Command;
///
/// let command = Command::new("git").args(["log", "-1"]).cwd("/").env("LANG", "C");
/// # let _ = command;
/// ```
#[derive(Clone, Debug)]
pub struct Command {
    options: SpawnOptions,
    stdio: [Option<Stdio>; 3],
    pub(super) input: Option<Bytes>,
    pub(super) limit: usize,
}

impl Command {
    /// Runs `program`, without arguments. A name without a slash is searched for in PATH.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self::of(SpawnOptions::new(program))
    }

    /// Runs a program with options of the loop, which are more: its user, a session of its own, a cleared environment. Their
    /// [`stdio`](SpawnOptions::stdio) is replaced.
    #[must_use]
    pub fn of(options: SpawnOptions) -> Self {
        Self { options, stdio: [None; 3], input: None, limit: LIMIT }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.options = self.options.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.options = self.options.args(args);
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.options = self.options.env(key, value);
        self
    }

    /// Sets the child's working directory.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options = self.options.cwd(folder);
        self
    }

    /// Sets the standard input. Default: [`Stdio::Inherit`], for [`output`](Self::output) [`Stdio::Null`].
    #[must_use]
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.stdio[0] = Some(stdio);
        self
    }

    /// Sets the standard output. Default: [`Stdio::Inherit`], for [`output`](Self::output) [`Stdio::Pipe`].
    #[must_use]
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.stdio[1] = Some(stdio);
        self
    }

    /// Sets the standard error. Default: [`Stdio::Inherit`], for [`output`](Self::output) [`Stdio::Pipe`].
    #[must_use]
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.stdio[2] = Some(stdio);
        self
    }

    /// Sets what [`output`](Self::output) writes to the child's standard input, which ends behind it. Default: nothing. What the
    /// child does not read is no error.
    #[must_use]
    pub fn input(mut self, input: impl Into<Bytes>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Sets how many bytes [`output`](Self::output) keeps of each stream (`maxBuffer`). Default: 1 MiB.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// As for [`Process::spawn`](core::Process::spawn); the error names the program.
    pub fn spawn(&self, env: &Environment) -> Result<Child> {
        self.start(env, [Stdio::Inherit; 3])
    }

    /// Runs the program to its end, and returns how it has ended with its output, of which both streams are read at the same
    /// time. It starts at the first poll. Processes that the child has started, and that still have its output, are waited for
    /// as well.
    ///
    /// Dropping the future kills the child, and not those that it has started.
    ///
    /// # Errors
    /// As for [`spawn`](Self::spawn); `ENOBUFS` if a stream has more bytes than the [`limit`](Self::limit): the child is killed.
    pub fn output(&self, env: &Environment) -> impl Future<Output = Result<Output>> + use<> {
        output_of(env.clone(), self.clone())
    }

    pub(super) fn start(&self, env: &Environment, defaults: [Stdio; 3]) -> Result<Child> {
        let mut pipes = [const { None }; 3];
        let mut slots = Vec::new();
        for (fd, (chosen, default)) in (0..).zip(self.stdio.iter().zip(defaults)) {
            slots.push(match chosen.unwrap_or(default) {
                Stdio::Inherit => core::Stdio::InheritFd(fd),
                Stdio::Null => core::Stdio::Ignore,
                Stdio::Pipe => {
                    let pipe = pipes[fd as usize].insert(PipeWrap::new(env.loop_handle()));
                    core::Stdio::Pipe(pipe.handle().clone())
                }
            });
        }
        Child::spawn(env, &self.options.clone().stdio(slots), pipes)
    }

    /// The program, for errors.
    pub(super) fn program(&self) -> String {
        self.options.file().display().to_string()
    }
}
