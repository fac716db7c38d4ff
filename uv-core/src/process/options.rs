//! How to start a child process: program, environment, user. Mirrors `uv_process_options_t`.

use super::Stdio;
use crate::Errno;
use crate::sys::spawn::Program;
use std::collections::BTreeMap;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The search path without a PATH variable, as in glibc.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// How to start a child process (`uv_process_options_t`).
///
/// By default the child has this process's environment, working directory and user, and its standard input, output and
/// error are the null device.
///
/// ```
/// use uv_core::process::SpawnOptions;
///
/// let options = SpawnOptions::new("git").args(["log", "-1"]).cwd("/").env("LANG", "C");
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct SpawnOptions {
    file: OsString,
    args: Vec<OsString>,
    env_clear: bool,
    /// Variables to set or, if `None`, to remove.
    env: BTreeMap<OsString, Option<OsString>>,
    cwd: Option<PathBuf>,
    uid: Option<u32>,
    gid: Option<u32>,
    detached: bool,
    killed_with_parent: bool,
    stdio: Vec<Stdio>,
}

impl SpawnOptions {
    /// Runs `file`, without arguments. A name without a slash is searched for in the PATH of the child's environment.
    pub fn new(file: impl Into<OsString>) -> Self {
        Self {
            file: file.into(),
            args: Vec::new(),
            env_clear: false,
            env: BTreeMap::new(),
            cwd: None,
            uid: None,
            gid: None,
            detached: false,
            killed_with_parent: false,
            stdio: Vec::new(),
        }
    }

    /// Adds an argument, after the program's own name.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(key.into(), Some(value.into()));
        self
    }

    /// Removes a variable from the child's environment.
    #[must_use]
    pub fn env_remove(mut self, key: impl Into<OsString>) -> Self {
        self.env.insert(key.into(), None);
        self
    }

    /// Starts from an empty environment instead of this process's. Variables set before are dropped too.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.env_clear = true;
        self.env.clear();
        self
    }

    /// Sets the child's working directory. A relative path of the program is relative to it.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// Sets the user that the child becomes. The child then has no supplementary groups (`UV_PROCESS_SETUID`).
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Sets the group that the child becomes. The child then has no supplementary groups (`UV_PROCESS_SETGID`).
    #[must_use]
    pub fn gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// Starts the child in a session of its own, so that it survives this process and its terminal
    /// (`UV_PROCESS_DETACHED`). It still keeps the loop alive: see [`Handle::unref`](crate::handle::Handle::unref).
    #[must_use]
    pub fn detached(mut self, detached: bool) -> Self {
        self.detached = detached;
        self
    }

    /// Makes the kernel kill the child when this process ends for whatever reason, even if the child is stopped or in
    /// an endless loop (`PR_SET_PDEATHSIG`). Not in libuv.
    ///
    /// For the kernel the parent is the *thread* that starts the child: if that thread ends before the process, the
    /// child is killed then. A child that later becomes another user, or executes a setuid program, is no longer
    /// killed.
    #[must_use]
    pub fn killed_with_parent(mut self, killed: bool) -> Self {
        self.killed_with_parent = killed;
        self
    }

    /// Sets the child's descriptors 0, 1, 2 and so on. Missing standard descriptors are [`Stdio::Ignore`].
    #[must_use]
    pub fn stdio(mut self, slots: impl Into<Vec<Stdio>>) -> Self {
        self.stdio = slots.into();
        self
    }

    /// The program, as it was given to [`new`](Self::new).
    #[must_use]
    pub fn file(&self) -> &OsStr {
        &self.file
    }

    pub(super) fn slots(&self) -> &[Stdio] {
        &self.stdio
    }

    /// Converts the options to the form that the system calls take. `EINVAL` for a string with a NUL.
    pub(super) fn program(&self) -> Result<Program, Errno> {
        let args = std::iter::once(&self.file).chain(&self.args);
        let variables = self.variables()?;
        Ok(Program {
            candidates: self.candidates(variables.get(OsStr::new("PATH")))?,
            args: args.map(|arg| c_string(arg.clone())).collect::<Result<_, _>>()?,
            env: variables.into_iter().map(environment_entry).collect::<Result<_, _>>()?,
            cwd: self.cwd.clone().map(|cwd| c_string(cwd.into_os_string())).transpose()?,
            uid: self.uid,
            gid: self.gid,
            detached: self.detached,
            killed_with: self.killed_with_parent.then(crate::os::pid),
        })
    }

    fn variables(&self) -> Result<BTreeMap<OsString, OsString>, Errno> {
        let mut variables: BTreeMap<_, _> =
            if self.env_clear { BTreeMap::new() } else { env::vars_os().collect() };
        for (key, value) in &self.env {
            match value {
                _ if key.is_empty() || key.as_bytes().contains(&b'=') => return Err(Errno::EINVAL),
                Some(value) => drop(variables.insert(key.clone(), value.clone())),
                None => drop(variables.remove(key)),
            }
        }
        Ok(variables)
    }

    /// The paths at which the program may be, in the order of `execvp`. An empty entry of PATH is the working
    /// directory.
    fn candidates(&self, path: Option<&OsString>) -> Result<Vec<CString>, Errno> {
        let file = self.file.as_bytes();
        if file.is_empty() || file.contains(&b'/') {
            return Ok(vec![c_string(self.file.clone())?]);
        }
        let path = path.map_or(DEFAULT_PATH.as_bytes(), |path| path.as_bytes());
        let candidate = |folder: &[u8]| {
            let folder = if folder.is_empty() { b"." } else { folder };
            c_string(OsString::from_vec([folder, file].join(&b'/')))
        };
        path.split(|byte| *byte == b':').map(candidate).collect()
    }
}

fn environment_entry((mut key, value): (OsString, OsString)) -> Result<CString, Errno> {
    key.push("=");
    key.push(value);
    c_string(key)
}

fn c_string(string: OsString) -> Result<CString, Errno> {
    CString::new(string.into_vec()).map_err(|_| Errno::EINVAL)
}
