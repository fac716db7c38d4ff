//! Child processes that the test plays: a child is a pid, a pidfd and what it was started with.

use super::{is_on, with};
use crate::Errno;
use crate::process::ExitStatus;
use crate::sys;
use crate::sys::process::Ended;
use crate::sys::spawn::{self, ChildFd, Program, Refused};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;

/// Above every number that the kernel gives to a process.
const FIRST_PID: i32 = 1 << 24;

#[derive(Default)]
pub(super) struct Children {
    last: i32,
    started: Vec<Start>,
    known: BTreeMap<i32, Known>,
    played: Option<Child>,
}

/// A child that was started and that the test is to play.
#[derive(Debug)]
#[non_exhaustive]
pub struct Start {
    /// Its process id.
    pub pid: i32,
    /// Its arguments, the program's name first.
    pub args: Vec<OsString>,
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its descriptors, by their numbers in the child.
    pub fds: Vec<Option<OwnedFd>>,
}

struct Known {
    pidfd: RawFd,
    /// Dropped when the child ends, which makes the pidfd readable.
    end: Option<UnixStream>,
    status: Option<ExitStatus>,
    signals: Vec<i32>,
    args: Vec<OsString>,
}

/// A child that the test plays.
#[derive(Debug)]
#[non_exhaustive]
pub struct Child {
    /// Its process id.
    pub pid: i32,
    /// Its arguments, the program's name first.
    pub args: Vec<OsString>,
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its descriptors, by their numbers, until its code takes them.
    pub fds: Vec<Option<OwnedFd>>,
}

impl From<Start> for Child {
    fn from(start: Start) -> Self {
        Self { pid: start.pid, args: start.args, env: start.env, fds: start.fds }
    }
}

/// The children that were started since the last call.
#[must_use]
pub fn take_started() -> Vec<Start> {
    with(|state| std::mem::take(&mut state.children.started)).unwrap_or_default()
}

/// The signals that were sent to a child since the last call.
#[must_use]
pub fn take_signals(pid: i32) -> Vec<i32> {
    with(|state| state.children.known.get_mut(&pid).map(|known| std::mem::take(&mut known.signals)))
        .flatten()
        .unwrap_or_default()
}

/// Ends a child with this code, or by this signal.
pub fn end_child(pid: i32, code: i32, signal: i32) {
    let end = with(|state| {
        let known = state.children.known.get_mut(&pid)?;
        known.status.get_or_insert(ExitStatus { code, signal });
        known.end.take()
    });
    drop(end);
}

/// Runs `work` as the code of a child: it finds the child's variables and descriptors. Returns the child again.
pub fn play_child<R>(child: Child, work: impl FnOnce() -> R) -> (Child, R) {
    let pid = child.pid;
    let before = with(|state| state.children.played.replace(child)).flatten();
    let result = work();
    let child = with(|state| std::mem::replace(&mut state.children.played, before)).flatten();
    (child.unwrap_or(Child { pid, args: Vec::new(), env: Vec::new(), fds: Vec::new() }), result)
}

/// Takes the standard input of the child whose code runs.
#[must_use]
pub fn take_child_stdin() -> Option<OwnedFd> {
    take_child_fd(0)
}

/// Takes a descriptor of the child whose code runs, by its number in the child.
#[must_use]
pub fn take_child_fd(number: usize) -> Option<OwnedFd> {
    with(|state| state.children.played.as_mut()?.fds.get_mut(number)?.take()).flatten()
}

/// Whether the code of a child runs.
#[must_use]
pub fn is_child() -> bool {
    with(|state| state.children.played.is_some()).unwrap_or(false)
}

/// The process id of the child whose code runs.
#[must_use]
pub fn child_pid() -> Option<i32> {
    with(|state| state.children.played.as_ref().map(|child| child.pid)).flatten()
}

/// Whether the arguments of a child that runs have this word; `None` for a process that is no child of the test.
#[must_use]
pub fn child_has_argument(pid: i32, word: &OsStr) -> Option<bool> {
    with(|state| {
        let known = state.children.known.get(&pid)?;
        Some(known.status.is_none() && known.args.iter().any(|arg| arg == word))
    })
    .flatten()
}

/// A variable of the child whose code runs.
#[must_use]
pub fn child_variable(name: &str) -> Option<OsString> {
    with(|state| {
        let played = state.children.played.as_ref()?;
        let found = played.env.iter().find(|(key, _)| key == OsStr::new(name));
        log::trace!(target: "faults", "child {} asks for {name}", played.pid);
        found.map(|(_, value)| value.clone())
    })
    .flatten()
}

/// Starts a child. `None` without a world.
pub(crate) fn start_child(
    program: &Program,
    fds: &[Option<ChildFd>],
) -> Option<Result<spawn::Child, Refused>> {
    if !is_on() {
        return None;
    }
    Some(start(program, fds).map_err(Refused::from))
}

fn start(program: &Program, fds: &[Option<ChildFd>]) -> Result<spawn::Child, Errno> {
    super::refuse("clone(2)", None)?;
    let fds = fds.iter().map(|fd| fd.as_ref().map(|fd| sys::fd::duplicate_number(fd.fd)).transpose());
    let fds = fds.collect::<Result<Vec<_>, _>>()?;
    let (ours, theirs) = UnixStream::pair().map_err(Errno::from)?;
    let pidfd = OwnedFd::from(ours);
    let args: Vec<OsString> = program.args.iter().map(text).collect();
    let known = Known {
        pidfd: pidfd.as_raw_fd(),
        end: Some(theirs),
        status: None,
        signals: Vec::new(),
        args: args.clone(),
    };
    with(move |state| {
        let children = &mut state.children;
        children.last += 1;
        let pid = FIRST_PID + children.last;
        let env = program.env.iter().filter_map(variable).collect();
        children.started.push(Start { pid, args, env, fds });
        children.known.insert(pid, known);
        spawn::Child { pid, pidfd }
    })
    .ok_or(Errno::EAGAIN)
}

fn text(text: &CString) -> OsString {
    OsString::from_vec(text.to_bytes().to_vec())
}

fn variable(variable: &CString) -> Option<(OsString, OsString)> {
    let bytes = variable.to_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    Some((OsString::from_vec(bytes[..at].to_vec()), OsString::from_vec(bytes[at + 1..].to_vec())))
}

/// The status of a child that the test plays; `None` for another.
pub(crate) fn collect(pid: i32) -> Option<Result<Option<Ended>, Errno>> {
    with(|state| {
        let known = state.children.known.get(&pid)?;
        Some(Ok(known.status.map(|status| Ended { code: status.code, signal: status.signal })))
    })
    .flatten()
}

/// Sends a signal to a child that the test plays; `None` for another.
pub(crate) fn kill_by_pidfd(pidfd: BorrowedFd<'_>, signum: i32) -> Option<Result<(), Errno>> {
    let pid = with(|state| {
        // A later child may have the number of an earlier one's descriptor.
        let found = state.children.known.iter().rev().find(|(_, known)| known.pidfd == pidfd.as_raw_fd());
        found.map(|(pid, _)| *pid)
    });
    kill_by_pid(pid.flatten()?, signum)
}

/// Sends a signal to a child that the test plays; `None` for another.
pub(crate) fn kill_by_pid(pid: i32, signum: i32) -> Option<Result<(), Errno>> {
    with(|state| {
        let known = state.children.known.get_mut(&pid)?;
        if known.status.is_some() {
            return Some(Err(Errno::ESRCH));
        }
        if signum != 0 {
            known.signals.push(signum);
        }
        Some(Ok(()))
    })
    .flatten()
}
