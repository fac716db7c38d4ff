//! Child processes that the test plays: what the kernel knows of each, from its start until its parent has collected it.

use super::signals::{Condition, Signals, Watch};
use super::{is_on, with};
use crate::Errno;
use crate::process::ExitStatus;
use crate::sys;
use crate::sys::process::Ended;
use crate::sys::signal::LAST_SIGNAL;
use crate::sys::spawn::{ChildFd, Program, Refused, Spawned};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;

/// The id of the test's own process; those of its children follow. Above every number that the kernel gives to a process.
const FIRST_PID: i32 = 1 << 24;

#[derive(Default)]
pub(super) struct Children {
    last: i32,
    started: Vec<Started>,
    known: BTreeMap<i32, Known>,
    /// The process whose code runs.
    played: Option<Started>,
}

/// A process that was started: what it has of its parent.
#[derive(Debug)]
#[non_exhaustive]
pub struct Started {
    /// Its process id.
    pub pid: i32,
    /// Its arguments, the program's name first.
    pub args: Vec<OsString>,
    /// Its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its descriptors, by their numbers, until its code takes them.
    pub fds: Vec<Option<OwnedFd>>,
}

/// What the kernel knows of a process.
struct Known {
    pidfd: RawFd,
    /// Dropped when the process ends, which makes the pidfd readable.
    end: Option<UnixStream>,
    status: Option<ExitStatus>,
    /// It is collected once it has ended, without its parent's loop.
    is_orphan: bool,
    /// Nothing is left of it, not even its id.
    is_collected: bool,
    signals: Signals,
    args: Vec<OsString>,
}

impl Children {
    /// Whether the descriptor tells of a child's end.
    pub(super) fn is_pidfd(&self, fd: RawFd) -> bool {
        self.known.values().any(|known| known.pidfd == fd && !known.is_collected)
    }
}

impl Known {
    fn end(&mut self, status: ExitStatus) -> Option<UnixStream> {
        // A process that a signal has begun to end does not end otherwise.
        let by_signal = self.signals.end().map(|signal| ExitStatus { code: 0, signal });
        self.status.get_or_insert_with(|| by_signal.unwrap_or(status));
        self.is_collected |= self.is_orphan;
        self.end.take()
    }

    fn send(&mut self, signum: i32) -> Result<(), Errno> {
        if self.is_collected {
            return Err(Errno::ESRCH);
        }
        if !(0..=LAST_SIGNAL).contains(&signum) {
            return Err(Errno::EINVAL);
        }
        // A process that has ended gets nothing, and is there until it is collected.
        if signum != 0 && self.status.is_none() {
            self.signals.send(signum);
        }
        Ok(())
    }
}

/// The processes that were started since the last call.
#[must_use]
pub fn take_started() -> Vec<Started> {
    with(|state| std::mem::take(&mut state.children.started)).unwrap_or_default()
}

/// Delivers the signals that were sent to a process, which is about to run.
pub fn deliver_signals(pid: i32) -> Condition {
    let delivered = with(|state| Some(state.children.known.get_mut(&pid)?.signals.deliver())).flatten();
    let (condition, told) = delivered.unwrap_or((Condition::Runs, Vec::new()));
    for (pipe, signum) in told {
        sys::signal::tell(pipe, signum);
    }
    condition
}

/// Whether a process stands still.
#[must_use]
pub fn is_stopped(pid: i32) -> bool {
    with(|state| state.children.known.get(&pid).is_some_and(|known| known.signals.is_stopped()))
        .unwrap_or(false)
}

/// Ends a process with this code, of which its parent learns the low byte, or by this signal.
pub fn end_child(pid: i32, code: i32, signal: i32) {
    let status = ExitStatus { code: code & 0xff, signal };
    let end = with(|state| Some(state.children.known.get_mut(&pid)?.end(status))).flatten();
    drop(end);
}

/// Runs `work` as the code of a process: it finds the process's variables, descriptors and signals. Returns what the process
/// has left of its parent.
pub fn play_child<R>(started: Started, work: impl FnOnce() -> R) -> (Started, R) {
    let pid = started.pid;
    let before = with(|state| state.children.played.replace(started)).flatten();
    let result = work();
    let played = with(|state| std::mem::replace(&mut state.children.played, before)).flatten();
    let nothing = Started { pid, args: Vec::new(), env: Vec::new(), fds: Vec::new() };
    (played.unwrap_or(nothing), result)
}

/// Takes a descriptor of the process whose code runs, by its number in that process.
#[must_use]
pub fn take_child_fd(number: usize) -> Option<OwnedFd> {
    with(|state| state.children.played.as_mut()?.fds.get_mut(number)?.take()).flatten()
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

/// Calls `work` with the process whose code runs. `None` if that is the test's own.
fn with_played<R>(work: impl FnOnce(&mut Started) -> R) -> Option<R> {
    with(|state| state.children.played.as_mut().map(work)).flatten()
}

/// The id of the process whose code runs. The test's own is the same in every process, since programs send their ids. `None`
/// without a world.
pub(crate) fn own_pid() -> Option<i32> {
    is_on().then(|| with_played(|played| played.pid).unwrap_or(FIRST_PID))
}

/// The id by which the kernel knows the test's own process, for its descriptors.
#[must_use]
pub fn real_pid(pid: i32) -> i32 {
    if is_on() && pid == FIRST_PID { std::process::id().cast_signed() } else { pid }
}

/// Another descriptor for the standard input. `None` if the test's own code runs, here and below.
pub(crate) fn child_stdin() -> Option<Result<OwnedFd, Errno>> {
    with_played(|played| {
        let stdin = played.fds.first().and_then(Option::as_ref).ok_or(Errno::EBADF)?;
        sys::fd::duplicate_number(stdin.as_fd().as_raw_fd())
    })
}

/// A variable; `Some(None)` if the process has none of the name.
pub(crate) fn child_variable(name: &OsStr) -> Option<Option<OsString>> {
    with_played(|played| {
        log::trace!(target: "faults", "child {} asks for {}", played.pid, name.display());
        played.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    })
}

/// Removes a variable.
pub(crate) fn remove_child_variable(name: &OsStr) -> Option<()> {
    with_played(|played| played.env.retain(|(key, _)| key != name))
}

/// A watcher of a signal is started, by the writing end of its loop's pipe.
pub(crate) fn watch_signal(pipe: RawFd, signum: i32, is_one_shot: bool) -> Option<Result<(), Errno>> {
    with_signals(|signals| match signals.watch(Watch { pipe, signum, is_one_shot }) {
        true => Ok(()),
        false => Err(Errno::EINVAL),
    })
}

/// A watcher of a signal is stopped.
pub(crate) fn unwatch_signal(pipe: RawFd, signum: i32, is_one_shot: bool) -> bool {
    with_signals(|signals| signals.unwatch(Watch { pipe, signum, is_one_shot })).is_some()
}

/// Calls `work` with the signals of the process whose code runs.
fn with_signals<R>(work: impl FnOnce(&mut Signals) -> R) -> Option<R> {
    let pid = with_played(|played| played.pid)?;
    with(|state| Some(work(&mut state.children.known.get_mut(&pid)?.signals))).flatten()
}

/// Starts a child. `None` without a world.
pub(crate) fn start_child(program: &Program, fds: &[Option<ChildFd>]) -> Option<Result<Spawned, Refused>> {
    if !is_on() {
        return None;
    }
    let folder = if program.cwd.is_some() { super::refuse("chdir(2)") } else { Ok(()) };
    let folder = folder.map_err(|errno| Refused { errno, is_folder: true });
    Some(folder.and_then(|()| start(program, fds).map_err(Refused::from)))
}

fn start(program: &Program, fds: &[Option<ChildFd>]) -> Result<Spawned, Errno> {
    super::refuse("clone(2)")?;
    super::refuse("execve(2)")?;
    let fds = fds.iter().map(|fd| fd.as_ref().map(|fd| sys::fd::duplicate_number(fd.fd)).transpose());
    let fds = fds.collect::<Result<Vec<_>, _>>()?;
    let (ours, theirs) = UnixStream::pair().map_err(Errno::from)?;
    let pidfd = OwnedFd::from(ours);
    let args: Vec<OsString> = program.args.iter().map(text).collect();
    let known = Known {
        pidfd: pidfd.as_raw_fd(),
        end: Some(theirs),
        status: None,
        is_orphan: false,
        is_collected: false,
        signals: Signals::default(),
        args: args.clone(),
    };
    with(move |state| {
        let children = &mut state.children;
        children.last += 1;
        let pid = FIRST_PID + children.last;
        let env = program.env.iter().filter_map(variable).collect();
        children.started.push(Started { pid, args, env, fds });
        children.known.insert(pid, known);
        Spawned { pid, pidfd }
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

/// Collects a child that the test plays, if it has ended; `None` for another.
pub(crate) fn collect(pid: i32) -> Option<Result<Option<Ended>, Errno>> {
    with(|state| {
        let known = state.children.known.get_mut(&pid)?;
        if known.is_collected {
            return Some(Err(Errno::ECHILD));
        }
        known.is_collected = known.status.is_some();
        Some(Ok(known.status.map(|status| Ended { code: status.code, signal: status.signal })))
    })
    .flatten()
}

/// Leaves a child that the test plays to a thread of its parent, or to the process that inherits it: it is collected when it
/// ends. Returns whether the test plays it.
pub(crate) fn adopt(pid: i32) -> bool {
    with(|state| state.children.known.get_mut(&pid).map(|known| known.is_orphan = true)).flatten().is_some()
}

/// Ends and collects a child that the test plays, before its code has run. Returns whether the test plays it.
pub(crate) fn abandon(pid: i32) -> bool {
    let ended = with(|state| {
        let children = &mut state.children;
        let known = children.known.get_mut(&pid)?;
        let end = known.end(ExitStatus { code: 0, signal: libc::SIGKILL });
        known.is_collected = true;
        Some((end, children.started.extract_if(.., |started| started.pid == pid).collect::<Vec<_>>()))
    });
    ended.flatten().is_some()
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
    with(|state| Some(state.children.known.get_mut(&pid)?.send(signum))).flatten()
}
