//! Child processes: starting, signalling, and reporting their end. Mirrors libuv's `src/unix/process.c`.
//!
//! Where libuv handles SIGCHLD and waits for every child, the loop polls a descriptor of each child (`CLONE_PIDFD`,
//! Linux 5.3). So no process-wide SIGCHLD handling exists that a program or another library could break, exits cannot
//! be merged, and the cost of one exit does not grow with the number of children. Only known children are collected.

mod options;
mod reaper;
mod stdio;
mod usage;

pub use options::SpawnOptions;
pub use stdio::Stdio;
pub use usage::{ResourceUsage, UsageOf, resource_usage};

use crate::handle::{Handle, HandleInner, HandleKind};
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::sys;
use crate::sys::spawn::{ChildFd, Program, Refused, Spawned};
use crate::why::About;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;
use stdio::ChildStdio;

/// Milliseconds between attempts to start a program that is open for writing: far more than an `exec` takes, and a
/// short block of the loop.
const BUSY_PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

/// The note of a `spawn` error if the program is not the cause.
const FOLDER_REFUSED: &str = "the working directory, not the program";

/// A child process (`uv_process_t`). Active until it ends.
///
/// Closing the handle or dropping the loop does not end the child. A thread of this process collects it when it ends.
///
/// ```
/// use uv_core::process::{Process, SpawnOptions};
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let options = SpawnOptions::new("sh").args(["-c", "exit 3"]);
/// Process::spawn(&event_loop, &options, |process: &Process, status| {
///     assert_eq!(status.code, 3);
///     process.close();
/// })?;
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Process(Rc<ProcessInner>);

type OnExit = Box<dyn FnMut(&Process, ExitStatus)>;

struct ProcessInner {
    handle: Handle,
    pid: i32,
    /// `None` once the child is collected or the handle is closed.
    child: RefCell<Option<Spawned>>,
    status: Cell<Option<ExitStatus>>,
    upcall: HandlerCell<OnExit>,
}

/// How a child ended.
///
/// Displayed as `exit code 1` or `signal 15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExitStatus {
    /// The child's exit code; 0 if a signal ended it, and −1 if it is unknown because other code in this process has
    /// collected the child.
    pub code: i32,
    /// The signal that ended the child; 0 if it exited.
    pub signal: i32,
}

impl ExitStatus {
    const UNKNOWN: Self = Self { code: -1, signal: 0 };

    /// Whether the child exited with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self.code == 0 && self.signal == 0
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.signal == 0 {
            write!(f, "exit code {}", self.code)
        } else {
            write!(f, "signal {}", self.signal)
        }
    }
}

/// Sends a signal to a process (`uv_kill`); signal 0 only checks whether the process exists.
///
/// # Errors
/// `ESRCH` if there is no such process, `EINVAL` if there is no such signal, `EPERM` without permission to signal it.
pub fn kill(pid: i32, signum: i32) -> Result<()> {
    sys::process::kill(pid, signum).map_err(|errno| Error::new("kill", errno).on(pid))
}

/// Restricts a process, or this process for 0, to these processors, numbered from 0. Processes that it starts later
/// inherit that. Mirrors `uv_thread_setaffinity`, for a process: its other running threads are not affected.
///
/// # Errors
/// `ESRCH` if there is no such process, `EINVAL` if none of the processors exists or one is above 1023, `EPERM` without
/// permission.
pub fn set_affinity(pid: i32, cpus: &[usize]) -> Result<()> {
    sys::process::set_affinity(pid, cpus).map_err(|errno| Error::new("sched_setaffinity", errno).on(pid))
}

impl Process {
    /// Starts a program in a child process (`uv_spawn`) and calls `on_exit` when it has ended.
    ///
    /// The child has the descriptors of its stdio, and no handled, ignored or blocked signals; but if this process
    /// ignores SIGHUP, as under `nohup`, so does the child. As in libuv, the child inherits only those other
    /// descriptors that lack `FD_CLOEXEC`: this crate opens none, but the process that started this one may have left
    /// some.
    ///
    /// `on_exit` may come before all of the child's output has been read: wait for both.
    ///
    /// If this process ignores SIGCHLD, it stops doing so: otherwise the system would discard the children's exit
    /// statuses.
    ///
    /// # Errors
    /// Every error up to and including the start of the program, with the program as its target: `ENOENT` if the
    /// program or the working directory does not exist (the error's [`note`](Error::note) tells which), `EACCES` if the
    /// program is not executable, `EPERM` for a user or group that this process may not become, `EINVAL` for a NUL in a
    /// string, `EBUSY` for a pipe that is open already, `ENOSYS` or `EPERM` before Linux 5.3, `ECANCELED` if the loop
    /// is dropped, `ETXTBSY` if the program is open for writing, after retries for 31 ms. No handle and no child exist
    /// then, and pipes opened for the child have lost their peer.
    ///
    /// ```
    /// use uv_core::process::{ExitStatus, Process, SpawnOptions};
    /// use uv_core::{Loop, RunMode};
    ///
    /// let event_loop = Loop::new()?;
    /// let options = SpawnOptions::new("sh").args(["-c", "exit 3"]);
    /// Process::spawn(&event_loop, &options, |process: &Process, status: ExitStatus| {
    ///     assert_eq!((status.code, status.signal), (3, 0));
    ///     process.close();
    /// })?;
    /// assert!(!event_loop.run(RunMode::Default)?);
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn(
        event_loop: &LoopHandle,
        options: &SpawnOptions,
        on_exit: impl FnMut(&Self, ExitStatus) + 'static,
    ) -> Result<Self> {
        let failed = |errno| Error::new("spawn", errno).on(options.file().display());
        if event_loop.is_gone() {
            return Err(failed(Errno::ECANCELED));
        }
        let program = options.program().map_err(failed)?;
        let stdio = ChildStdio::prepare(options.slots()).map_err(failed)?;
        let child = start(&program, stdio.fds()).map_err(|refused| {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::SpawnFails);
            let error = failed(refused.errno);
            #[cfg(upcall_faults)]
            if refused.is_folder {
                crate::faults::reached(crate::faults::Branch::SpawnFolderFails);
            }
            if refused.is_folder { error.noting(FOLDER_REFUSED) } else { error }
        })?;
        let pid = child.pid;
        let inner = ProcessInner::watch(event_loop, child)
            .inspect_err(|_| sys::process::abandon(pid))
            .map_err(failed)?;
        inner.upcall.set(Box::new(on_exit));
        inner.handle.start();
        Ok(Self(inner))
    }

    /// The child's process id (`uv_process_get_pid`). After the child has ended, another process may have the same id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.pid
    }

    /// Sends a signal to the child (`uv_process_kill`); signal 0 only checks whether it exists.
    ///
    /// # Errors
    /// `ESRCH` if the child has ended or the handle is closing, even if another process has its id now; `EINVAL` if
    /// there is no such signal; `EPERM` if the child has become another user.
    pub fn kill(&self, signum: i32) -> Result<()> {
        let child = self.0.child.borrow();
        let sent = match &*child {
            Some(child) => sys::process::signal(child.pidfd.as_fd(), signum),
            None => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::KillEnded);
                Err(Errno::ESRCH)
            }
        };
        #[cfg(upcall_faults)]
        crate::faults::reached_if(crate::faults::Branch::KillFails, &sent);
        sent.map_err(|errno| Error::new("kill", errno).on(self.0.pid))
    }
}

/// Starts the program, with retries while it is busy.
///
/// A program that was just written and closed may still be open for writing in the child of another thread, between
/// that child's `fork` and `exec`, for a short time. (libuv does not retry; the tests of Go and Cargo have met this.)
fn start(program: &Program, fds: &[Option<ChildFd>]) -> Result<Spawned, Refused> {
    for pause in BUSY_PAUSES {
        match sys::spawn::spawn(program, fds) {
            Err(Refused { errno: Errno::ETXTBSY, .. }) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::SpawnRepeats);
                log::debug!(target: "uv_core", "spawn: ETXTBSY: retried in {pause} ms");
                std::thread::sleep(Duration::from_millis(pause));
            }
            result => return result,
        }
    }
    #[cfg(upcall_faults)]
    crate::faults::reached(crate::faults::Branch::SpawnRepeatsOften);
    sys::spawn::spawn(program, fds)
}

impl ProcessInner {
    /// Creates an inactive handle that learns of the child's end.
    #[track_caller]
    fn watch(event_loop: &LoopHandle, child: Spawned) -> Result<Rc<Self>, Errno> {
        let inner = event_loop.add(HandleKind::Process, |handle| Self {
            handle,
            pid: child.pid,
            child: RefCell::default(),
            status: Cell::new(None),
            upcall: HandlerCell::empty(),
        });
        match event_loop.inner().poller.register(child.pidfd.as_fd(), inner.handle.key(), false) {
            Ok(()) => drop(inner.child.replace(Some(child))),
            Err(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ChildUnwatched);
                inner.handle.close();
                return Err(errno);
            }
        }
        Ok(inner)
    }

    /// Collects the child if it has ended. Returns whether it has.
    fn collect(&self) -> bool {
        let status = self.child.borrow().as_ref().and_then(collect);
        if status.is_some() {
            self.status.set(status);
            drop(self.child.take());
        }
        status.is_some()
    }
}

/// Collects a child if it has ended.
fn collect(child: &Spawned) -> Option<ExitStatus> {
    match sys::process::try_collect(child) {
        Ok(None) => None,
        Ok(Some(ended)) => Some(ExitStatus { code: ended.code, signal: ended.signal }),
        Err(_) => {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ChildLost);
            Some(ExitStatus::UNKNOWN)
        }
    }
}

impl HandleInner for ProcessInner {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn on_ready(self: Rc<Self>) {
        if self.collect() {
            // Reported after the poll phase has collected all ended children and read their output.
            self.handle.loop_handle().feed(Rc::clone(&self) as Rc<dyn HandleInner>);
        }
    }

    fn on_pending(self: Rc<Self>) {
        if self.handle.is_closing() {
            return;
        }
        self.handle.stop();
        if let Some(status) = self.status.get() {
            let process = Process(Rc::clone(&self));
            let _up = LAYER.up("ProcessInner::on_pending", || Facts::of(&process));
            self.upcall.call(|upcall| upcall(&process, status));
        }
    }

    fn begin_close(&self) {
        if let Some(child) = self.child.take() {
            let event_loop = self.handle.loop_handle();
            event_loop.inner().poller.deregister(child.pidfd.as_fd());
            // In a forked process the parent's children are not its children.
            if event_loop.is_own() {
                reaper::adopt(child);
            }
        }
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
    }

    fn about(&self) -> About {
        About::saying(format!("child {}", self.pid))
    }

    fn descriptor(&self) -> Option<i32> {
        self.child.borrow().as_ref().map(|child| child.pidfd.as_raw_fd())
    }
}

impl Deref for Process {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.0.pid)
            .field("status", &self.0.status.get())
            .finish_non_exhaustive()
    }
}
