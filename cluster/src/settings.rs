//! How workers are started. Mirrors `cluster.settings` and `cluster.setupPrimary`.

use crate::scheduling::Kind;
use crate::{Backoff, Error, Policy, Result};
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use uv_core::process::SpawnOptions;

/// Sockets of one worker: far more than any server asks for, and few of a primary's descriptors.
const LISTENERS: usize = 64;

/// The path by which this program was started, as it was when it was first looked up. The successor of the program is at
/// that path after a deployment that removed, replaced or renamed it, or that changed a link on the way.
static THIS_PROGRAM: OnceLock<PathBuf> = OnceLock::new();

fn this_program() -> Result<&'static Path> {
    match THIS_PROGRAM.get() {
        Some(path) => Ok(path),
        None => Ok(uv_core::os::program_path().map(|path| THIS_PROGRAM.get_or_init(|| path))?),
    }
}

/// How a primary starts its workers and hands out connections.
///
/// By default a worker is this program again, with the same arguments, environment, working directory and user; it writes
/// to the same standard output and error, and its standard input is at its end.
///
/// "This program" is the file at the path by which the program was started, links included, as far as the path was known
/// when the first settings were made. So after a deployment it is the new program: both should speak the same version of
/// the protocol, or the new worker fails with `Version`. While there is no such file a fork fails with `ENOENT`.
///
/// ```
/// use cluster::{Policy, Settings};
///
/// let settings = Settings::default().args(["serve"]).env("RUST_LOG", "warn").policy(Policy::shared());
/// # let _ = settings;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    program: Option<PathBuf>,
    args: Option<Vec<OsString>>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    pub(crate) silent: bool,
    uid: Option<u32>,
    gid: Option<u32>,
    pub(crate) keep_listening: bool,
    pub(crate) max_listeners: usize,
    outlive_primary: bool,
    pub(crate) policy: Policy,
    pub(crate) respawn: Option<Backoff>,
}

impl Default for Settings {
    fn default() -> Self {
        // Looked up now, while the path is surely right. A fork reports the error.
        let _ = this_program();
        Self {
            program: None,
            args: None,
            env: Vec::new(),
            cwd: None,
            silent: false,
            uid: None,
            gid: None,
            keep_listening: false,
            max_listeners: LISTENERS,
            outlive_primary: false,
            policy: Policy::default(),
            respawn: None,
        }
    }
}

impl Settings {
    /// Starts `program` instead of this program (`exec`). It must call [`Worker::from_env`](crate::Worker::from_env).
    ///
    /// A name without a slash is searched for in the workers' PATH. A relative path is resolved against
    /// [`cwd`](Self::cwd) if that is set, else against the working directory at the time the primary was made or
    /// [`setup`](crate::Primary::setup) called. Links in it are followed anew for each worker.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// The arguments of workers. Default: those of this process.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets a variable in the workers' environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// The working directory of workers. A relative path is resolved against that of this process at the time the primary
    /// was made or [`setup`](crate::Primary::setup) called. Default: that of this process.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// Has the primary read the standard output and error of workers:
    /// [`on_output`](crate::upcall::PrimaryHandler::on_output), whose default discards it. Default: `false`.
    #[must_use]
    pub fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }

    /// The user of workers. Default: that of this process.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// The group of workers. Default: that of this process.
    #[must_use]
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// How connections reach workers. Fixed by the first fork. Default: [`Policy::round_robin`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Forks a successor, with the same variables, for every worker that died, after a delay. It works best with
    /// [`keep_listening`](Self::keep_listening), and ends with [`Primary::disconnect`](crate::Primary::disconnect).
    /// Default: workers are not replaced, as in Node.
    #[must_use]
    pub fn respawn(mut self, backoff: Backoff) -> Self {
        self.respawn = Some(backoff);
        self
    }

    /// Keeps a socket open when its last worker died, or left by its own wish: connections wait for the successor instead
    /// of being refused. For a primary that forks a successor; [`respawn`](Self::respawn) does so for workers that died.
    /// Default: `false`, as in Node.
    #[must_use]
    pub fn keep_listening(mut self, keep: bool) -> Self {
        self.keep_listening = keep;
        self
    }

    /// How many sockets, which are descriptors of the primary, one worker may listen on at a time. Beyond that `listen`
    /// fails with `EMFILE`. As many are kept for workers to come, with [`keep_listening`](Self::keep_listening). With 0 a
    /// worker listens only on sockets of its own. Default: 64.
    #[must_use]
    pub fn max_listeners(mut self, count: usize) -> Self {
        self.max_listeners = count;
        self
    }

    /// Lets workers that share sockets outlive their primary. Default: `false`: the kernel kills them, since a worker that
    /// is stopped, or in an endless loop, would keep its port from the next primary, and hold connections that it never
    /// accepts. The primary is the thread that forks them: see
    /// [`SpawnOptions::killed_with_parent`](uv_core::process::SpawnOptions::killed_with_parent).
    ///
    /// Workers to which the primary hands connections have no socket to keep, and always learn of its end, in
    /// [`on_disconnect`](crate::upcall::WorkerHandler::on_disconnect).
    #[must_use]
    pub fn outlive_primary(mut self, outlive: bool) -> Self {
        self.outlive_primary = outlive;
        self
    }

    /// Whether workers run as the user and group of the primary.
    pub(crate) fn is_same_user(&self) -> bool {
        self.uid.is_none() && self.gid.is_none()
    }

    /// The options of a process, without its standard input and output.
    pub(crate) fn spawn_options(&self) -> Result<SpawnOptions> {
        let program = match &self.program {
            Some(program) => program,
            None => this_program()?,
        };
        let shares = matches!(self.policy.0, Kind::Shared);
        let mut options = SpawnOptions::new(program).killed_with_parent(shares && !self.outlive_primary);
        options = match &self.args {
            Some(args) => options.args(args),
            None => options.args(env::args_os().skip(1)),
        };
        for (key, value) in &self.env {
            options = options.env(key, value);
        }
        if let Some(cwd) = &self.cwd {
            options = options.cwd(cwd);
        }
        if let Some(uid) = self.uid {
            options = options.uid(uid);
        }
        if let Some(gid) = self.gid {
            options = options.gid(gid);
        }
        Ok(options)
    }

    /// These settings with absolute paths, which do not depend on the working directory of this process later.
    pub(crate) fn settled(mut self) -> Self {
        let is_path = |program: &PathBuf| program.as_os_str().as_bytes().contains(&b'/');
        if self.cwd.is_none() && self.program.as_ref().is_some_and(is_path) {
            self.program = self.program.map(absolute);
        }
        self.cwd = self.cwd.map(absolute);
        self
    }

    /// These settings after `change`, which may replace the policy only before the first fork.
    pub(crate) fn changed(&self, change: impl FnOnce(Self) -> Self, frozen: bool) -> Result<Self> {
        let changed = change(self.clone());
        if frozen && !changed.policy.is_same(&self.policy) {
            return Err(Error::PolicyFrozen);
        }
        Ok(changed.settled())
    }
}

/// Without a working directory the path stays relative, and a fork reports what is wrong.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
