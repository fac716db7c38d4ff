//! How workers are started. Mirrors `cluster.settings` and `cluster.setupPrimary`.

use crate::scheduling::Kind;
use crate::{Error, Policy, Result};
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use uv_core::process::SpawnOptions;

/// Far more than any server asks for, and few of a primary's descriptors.
const LISTENERS: usize = 64;

/// The path by which this program was started, as it was when it was first asked for. At that path its successor will be,
/// after a deployment that removed, replaced or renamed it, or that let a link on the way lead to another folder.
static ITSELF: OnceLock<PathBuf> = OnceLock::new();

/// Looked up at once, so that it is known later: see [`ITSELF`].
fn itself() -> Result<&'static Path> {
    match ITSELF.get() {
        Some(path) => Ok(path),
        None => Ok(uv_core::os::program_path().map(|path| ITSELF.get_or_init(|| path))?),
    }
}

/// How a primary starts its workers and hands out connections.
///
/// Unless told otherwise a worker is this program again, with the same arguments, environment, folder and user; it
/// writes where this process writes, and its standard input is at its end.
///
/// "This program" is what lies at the path by which the program was started, links included, as far as that was known when
/// the first settings were made. So after a deployment it is the new one: both should speak to each other, or the new
/// worker fails with `Version`. While there is none a fork fails with `ENOENT`.
///
/// ```
/// use cluster::{Policy, Settings};
///
/// let settings = Settings::new().args(["serve"]).env("RUST_LOG", "warn").policy(Policy::shared());
/// # let _ = settings;
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    program: Option<PathBuf>,
    args: Option<Vec<OsString>>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    silent: bool,
    uid: Option<u32>,
    gid: Option<u32>,
    keep_listening: bool,
    max_listeners: usize,
    outlive_primary: bool,
    pub(crate) policy: Policy,
}

impl Default for Settings {
    fn default() -> Self {
        // What is wrong with it a fork will say.
        let _ = itself();
        Self {
            program: None,
            args: None,
            env: Vec::new(),
            cwd: None,
            silent: false,
            uid: None,
            gid: None,
            keep_listening: false,
            outlive_primary: false,
            max_listeners: LISTENERS,
            policy: Policy::default(),
        }
    }
}

impl Settings {
    /// The settings described above, with round robin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `program` instead of this one (`exec`). It must call [`Worker::from_env`](crate::Worker::from_env).
    ///
    /// A name without a slash is searched for in the workers' PATH. A relative path counts from the folder in which
    /// workers start, if one is named here too, else from the folder in which the primary was made or
    /// [`setup`](crate::Primary::setup) called. Links in it are followed anew for each worker.
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

    /// The folder in which workers start. A relative one counts from the folder in which the primary was made or
    /// [`setup`](crate::Primary::setup) called.
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

    /// Goes on listening when the last worker of a socket died unasked, or left by its own wish: connections wait for its
    /// successor instead of being refused. For a primary that forks one; a [`Supervised`](crate::Supervised) one does so
    /// for a worker that died. Default: `false`, as in Node.
    #[must_use]
    pub fn keep_listening(mut self, keep: bool) -> Self {
        self.keep_listening = keep;
        self
    }

    /// How many sockets one worker may listen on at a time through the primary; beyond that a `listen` fails with
    /// `EMFILE`. As many are kept for workers to come, with [`keep_listening`](Self::keep_listening). They are descriptors
    /// of the primary. 0 lets them listen on nothing but what they have themselves. Default: 64.
    #[must_use]
    pub fn max_listeners(mut self, count: usize) -> Self {
        self.max_listeners = count;
        self
    }

    pub(crate) fn listener_limit(&self) -> usize {
        self.max_listeners
    }

    /// Whether workers stay the user and group that the primary is.
    pub(crate) fn is_same_user(&self) -> bool {
        self.uid.is_none() && self.gid.is_none()
    }

    /// Lets workers that share sockets outlive a primary that is gone. Off at first: the kernel kills them then, since one
    /// that is stopped, or in an endless loop, would keep their port from the next primary, and connections waiting that
    /// nobody takes. The primary is the thread that forks them: see
    /// [`SpawnOptions::killed_with_parent`](uv_core::process::SpawnOptions::killed_with_parent).
    ///
    /// Workers to which the primary hands connections always hear of it, in
    /// [`on_disconnect`](crate::upcall::WorkerHandler::on_disconnect): they have no socket to keep.
    #[must_use]
    pub fn outlive_primary(mut self, outlive: bool) -> Self {
        self.outlive_primary = outlive;
        self
    }

    pub(crate) fn keeps_listening(&self) -> bool {
        self.keep_listening
    }

    /// What the system is asked for, without standard input.
    pub(crate) fn spawn_options(&self) -> Result<SpawnOptions> {
        let program = match &self.program {
            Some(program) => program,
            None => itself()?,
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

    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// These settings, with paths that mean the same whatever folder this process is in later.
    pub(crate) fn settled(mut self) -> Self {
        let is_path = |program: &PathBuf| program.as_os_str().as_bytes().contains(&b'/');
        if self.cwd.is_none() && self.program.as_ref().is_some_and(is_path) {
            self.program = self.program.map(absolute);
        }
        self.cwd = self.cwd.map(absolute);
        self
    }

    /// These settings after `change`; the policy may differ only before the first fork.
    pub(crate) fn changed(&self, change: impl FnOnce(Self) -> Self, frozen: bool) -> Result<Self> {
        let changed = change(self.clone());
        if frozen && !changed.policy.is_same(&self.policy) {
            return Err(Error::PolicyFrozen);
        }
        Ok(changed.settled())
    }
}

/// Without a folder to count from the path stays, and a fork says what is wrong.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
