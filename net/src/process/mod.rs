//! Child processes to await: their end, their output, and their pipes as sockets. Mirrors Node's `lib/child_process.js` and
//! `lib/internal/child_process.js`, whose pipes are `net.Socket`s too.
//!
//! ```
//! use net::async_wrap::Environment;
//! use net::process::Command;
//!
//! let env = Environment::with_new_loop()?;
//! let output = env.block_on(Command::new("sort").input("b\na\n").output(&env))??;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"a\nb\n");
//! env.run_to_end()?;
//! # Ok::<(), net::Error>(())
//! ```

mod command;
mod output;

pub use crate::uv_core::process::{ExitStatus, SpawnOptions};
pub use command::{Command, Stdio};
pub use output::Output;

use crate::futures::AsyncSocket;
use crate::uv_core::process::Process;
use crate::uv_core::{self, Signal};
use crate::{Result, Socket};
use async_wrap::task::Waiter;
use async_wrap::tcp_wrap::PipeWrap;
use async_wrap::{Environment, Provider};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// A child process, which keeps its loop alive until it ends. Dropping it kills the child, which a thread of this process
/// collects; [`detach`](Self::detach) does not.
///
/// Its pipes are Unix sockets, as in Node: a child can read and write them, but not open `/dev/stdin` or `/dev/stdout`.
///
/// ```
/// use net::async_wrap::Environment;
/// use net::process::{Command, Stdio};
///
/// let env = Environment::with_new_loop()?;
/// let command = Command::new("cat").stdin(Stdio::Pipe).stdout(Stdio::Pipe);
/// let mut child = command.spawn(&env)?;
/// let said = env.block_on(async move {
///     let mut input = child.stdin.take().expect("a pipe");
///     input.write_all(b"hello").await?;
///     drop(input);
///     let mut said = Vec::new();
///     child.stdout.take().expect("a pipe").read_to_end(&mut said).await?;
///     assert!(child.wait().await.success());
///     Ok::<_, net::Error>(said)
/// })??;
/// assert_eq!(said, b"hello");
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
pub struct Child {
    /// Its standard input, if that is a pipe. Dropping it ends the input behind what was written.
    pub stdin: Option<AsyncSocket>,
    /// Its standard output, if that is a pipe.
    pub stdout: Option<AsyncSocket>,
    /// Its standard error, if that is a pipe.
    pub stderr: Option<AsyncSocket>,
    process: Process,
    end: Rc<End>,
    is_detached: bool,
}

/// What the end of the child tells the task that waits.
#[derive(Default)]
struct End {
    status: Cell<Option<ExitStatus>>,
    waiter: Waiter,
}

impl Child {
    /// Starts a program whose pipes are those of `pipes`: standard input, output and error.
    fn spawn(env: &Environment, options: &SpawnOptions, pipes: [Option<PipeWrap>; 3]) -> Result<Self> {
        let end = Rc::<End>::default();
        let told = Rc::clone(&end);
        let mut after = Some(env.request(Provider::ProcessWrap, move |status| {
            told.status.set(Some(status));
            told.waiter.wake();
        }));
        let spawned = Process::spawn(env.loop_handle(), options, move |process, status| {
            process.close();
            if let Some(after) = after.take() {
                after(status);
            }
        });
        let process = spawned.inspect_err(|_| pipes.iter().flatten().for_each(|pipe| pipe.close()))?;
        let socket = |pipe: Option<PipeWrap>| Some(AsyncSocket::new(Socket::of_pipe(env, &pipe?)));
        let [stdin, stdout, stderr] = pipes.map(socket);
        Ok(Self { stdin, stdout, stderr, process, end, is_detached: false })
    }

    /// Waits until the child has ended. Closes its standard input before, so that a child which reads to the end can end.
    ///
    /// Dropping the future loses nothing: the status is there for each later call.
    pub async fn wait(&mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.end.waiter.until(|| self.end.status.get()).await
    }

    /// How the child has ended, if it has.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.end.status.get()
    }

    /// The child's process id. After its end another process may have the same id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Sends a signal to the child.
    ///
    /// # Errors
    /// As for [`Process::kill`]: `ESRCH` if it has ended.
    pub fn kill(&self, signum: i32) -> uv_core::Result<()> {
        self.process.kill(signum)
    }

    /// Lets the child go on without its handle, which no longer keeps the loop alive. A thread of this process collects it when
    /// it ends.
    pub fn detach(mut self) {
        self.is_detached = true;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_detached {
            // Refused if it has ended.
            let _ = self.process.kill(Signal::SIGKILL);
            // Its own children may have its pipes still, and not read them.
            for pipe in [&self.stdin, &self.stdout, &self.stderr].into_iter().flatten() {
                pipe.socket().destroy();
            }
        }
        self.process.close();
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("pid", &self.pid())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
