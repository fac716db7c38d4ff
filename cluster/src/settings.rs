//! How workers are started. Mirrors `cluster.settings` and `cluster.setupPrimary`.

use crate::{Error, Policy, Result};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use tcp_wrap::Errno;
use uv_core::SpawnOptions;

/// How a primary starts its workers and hands out connections.
///
/// Unless told otherwise a worker is this program again, with the same arguments, environment, folder and user; it
/// writes where this process writes, and its standard input is at its end.
///
/// ```
/// use cluster::{Policy, Settings};
///
/// let settings = Settings::new().args(["serve"]).env("RUST_LOG", "warn").policy(Policy::shared());
/// # let _ = settings;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Settings {
    program: Option<PathBuf>,
    args: Option<Vec<OsString>>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    silent: bool,
    uid: Option<u32>,
    gid: Option<u32>,
    keep_listening: bool,
    pub(crate) policy: Policy,
}

impl Settings {
    /// The settings described above, with round robin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `program` instead of this one (`exec`). It must call [`Worker::from_env`](crate::Worker::from_env).
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Arguments instead of this process's own.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets a variable of the workers' environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// The folder in which workers start.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// Has the primary read what workers write to standard output and error:
    /// [`on_output`](crate::upcall::PrimaryHandler::on_output), which throws it away unless overridden.
    #[must_use]
    pub fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }

    /// The user that workers become.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// The group that workers become.
    #[must_use]
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// How connections get to workers. Fixed by the first fork.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Goes on listening when the last worker of a socket died unasked: connections wait for its successor instead of
    /// being refused. For a primary that forks one, such as a [`Supervised`](crate::Supervised) one. Off at first, as in
    /// Node.
    #[must_use]
    pub fn keep_listening(mut self, keep: bool) -> Self {
        self.keep_listening = keep;
        self
    }

    pub(crate) fn keeps_listening(&self) -> bool {
        self.keep_listening
    }

    /// What the system is asked for, without standard input.
    pub(crate) fn spawn_options(&self) -> Result<SpawnOptions> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => env::current_exe().map_err(|error| uv_core::Error::new("spawn", Errno::from(error)))?,
        };
        let mut options = SpawnOptions::new(program);
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

    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// These settings after `change`; the policy may differ only before the first fork.
    pub(crate) fn changed(&self, change: impl FnOnce(Self) -> Self, frozen: bool) -> Result<Self> {
        let changed = change(self.clone());
        if frozen && !changed.policy.is_same(&self.policy) {
            return Err(Error::PolicyFrozen);
        }
        Ok(changed)
    }
}
