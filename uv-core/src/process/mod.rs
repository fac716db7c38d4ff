//! Child processes: started, signalled, and their end reported. Mirrors libuv's `src/unix/process.c`.
//!
//! Where libuv handles SIGCHLD and asks after every child, the loop polls a descriptor of each child (`CLONE_PIDFD`,
//! Linux 5.3). Nothing about SIGCHLD is process-wide then that a program or another library could break, ends cannot
//! be merged, and the cost of one does not grow with the number of children. Only known children are ever collected.

mod options;
mod reaper;
mod stdio;
mod usage;

pub use options::SpawnOptions;
pub use stdio::Stdio;
pub use usage::{ResourceUsage, UsageOf, resource_usage};

use crate::handle::{Handle, HandleKind, Node};
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::sys;
use crate::sys::spawn::{Child, ChildFd, Program, Refused};
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;
use stdio::ChildStdio;

/// Milliseconds between the tries to start a program that somebody is writing: far more than an `exec` takes, and little
/// for the loop to stand still.
const BUSY_PAUSES: [u64; 5] = [1, 2, 4, 8, 16];

/// What an error of `spawn` notes where the program is not to blame.
const FOLDER_REFUSED: &str = "the folder to start in, not the program";

/// A child process (`uv_process_t`). Active until it ends.
///
/// A child whose handle is closed, or whose loop is dropped, runs on, and is collected when it ends: a thread of this
/// process sees to it.
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
pub struct Process(Rc<ProcessNode>);

type OnExit = Box<dyn FnMut(&Process, ExitStatus)>;

struct ProcessNode {
    handle: Handle,
    pid: i32,
    /// Until it is collected, or the handle closed.
    child: RefCell<Option<Child>>,
    status: Cell<Option<ExitStatus>>,
    upcall: HandlerCell<OnExit>,
}

/// How a child ended.
///
/// Displayed as `exit code 1` or `signal 15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExitStatus {
    /// What the child returned; 0 if a signal ended it, and −1 if it is not known, because somebody else in this
    /// process collected it.
    pub code: i32,
    /// The signal that ended the child; 0 if it ended by itself.
    pub signal: i32,
}

impl ExitStatus {
    const UNKNOWN: Self = Self { code: -1, signal: 0 };

    /// Whether the child ended by itself and returned 0.
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

/// Sends a signal to a process (`uv_kill`); 0 only asks whether it is there.
///
/// # Errors
/// `ESRCH` if there is no such process, `EINVAL` if there is no such signal, `EPERM` if it is not ours to signal.
pub fn kill(pid: i32, signum: i32) -> Result<()> {
    sys::process::kill(pid, signum).map_err(|errno| Error::new("kill", errno).on(pid))
}

/// Lets a process, or this one for 0, run on these processors only; they count from 0. Processes that it starts from now
/// on inherit that. Mirrors `uv_thread_setaffinity`, for a process: its threads that run already stay where they are.
///
/// # Errors
/// `ESRCH` if there is no such process, `EINVAL` if none of the processors is there or one is above 1023, `EPERM` if the
/// process is not ours to bind.
pub fn set_affinity(pid: i32, cpus: &[usize]) -> Result<()> {
    sys::process::set_affinity(pid, cpus).map_err(|errno| Error::new("sched_setaffinity", errno).on(pid))
}

impl Process {
    /// Starts a program in a child process (`uv_spawn`) and calls `on_exit` once it ended.
    ///
    /// The child has the descriptors of its stdio, no handled, ignored or blocked signals (but where this process ignores
    /// SIGHUP, as under `nohup`, so does the child), and nothing of the loop. Of this
    /// process's other descriptors it has, as in libuv, only those without `FD_CLOEXEC`: nothing here opens such, but
    /// whoever started this process may have left some.
    /// `on_exit` may come before the child's output was read to its end: wait for both.
    ///
    /// Should this process ignore SIGCHLD, it does not any more: the system would throw the children's ends away.
    ///
    /// # Errors
    /// Everything that goes wrong up to and including the start of the program, on the program's name: `ENOENT` if
    /// there is none, or no folder to start in, of which the error's [`note`](Error::note) tells, `EACCES` if it may not be
    /// run, `EPERM` for a user or group that this process may not become, `EINVAL` for a NUL in a string, `EBUSY` for a pipe that is open already, `ENOSYS` or `EPERM` before Linux 5.3,
    /// `ECANCELED` if the loop is gone, `ETXTBSY` if somebody has the program open for writing, which is tried again for
    /// 31 ms. There is no handle then and no child; pipes that were opened for it have lost
    /// their peer.
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
            let error = failed(refused.errno);
            if refused.is_folder { error.noting(FOLDER_REFUSED) } else { error }
        })?;
        let pid = child.pid;
        let node = ProcessNode::watch(event_loop, child)
            .inspect_err(|_| sys::process::abandon(pid))
            .map_err(failed)?;
        node.upcall.set(Box::new(on_exit));
        node.handle.start();
        Ok(Self(node))
    }

    /// The child's process id (`uv_process_get_pid`). Once the child ended it may be another process's.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.pid
    }

    /// Sends a signal to the child (`uv_process_kill`); 0 only asks whether it is there.
    ///
    /// # Errors
    /// `ESRCH` once the child ended or the handle is closing, also where its id is another process's by now; `EINVAL`
    /// if there is no such signal; `EPERM` if the child has become another user.
    pub fn kill(&self, signum: i32) -> Result<()> {
        let child = self.0.child.borrow();
        let sent = match &*child {
            Some(child) => sys::process::signal(child.pidfd.as_fd(), signum),
            None => Err(Errno::ESRCH),
        };
        sent.map_err(|errno| Error::new("kill", errno).on(self.0.pid))
    }
}

/// Starts the program, again if it is busy.
///
/// Who writes a program and closes it may find it open for writing nevertheless: in the child of another thread, between
/// `fork` and `exec`. That is over in a moment. (Not in libuv; Go's and Cargo's tests met it.)
fn start(program: &Program, fds: &[Option<ChildFd>]) -> Result<Child, Refused> {
    for pause in BUSY_PAUSES {
        match sys::spawn::spawn(program, fds) {
            Err(Refused { errno: Errno::ETXTBSY, .. }) => {
                log::debug!(target: "uv_core", "spawn: ETXTBSY, again in {pause} ms");
                std::thread::sleep(Duration::from_millis(pause));
            }
            result => return result,
        }
    }
    sys::spawn::spawn(program, fds)
}

impl ProcessNode {
    /// A handle that is not active and learns of the child's end.
    fn watch(event_loop: &LoopHandle, child: Child) -> Result<Rc<Self>, Errno> {
        let node = event_loop.add(HandleKind::Process, |handle| Self {
            handle,
            pid: child.pid,
            child: RefCell::default(),
            status: Cell::new(None),
            upcall: HandlerCell::empty(),
        });
        match event_loop.inner().poller.register(child.pidfd.as_fd(), node.handle.key(), false) {
            Ok(()) => drop(node.child.replace(Some(child))),
            Err(errno) => {
                node.handle.close();
                return Err(errno);
            }
        }
        Ok(node)
    }

    /// Collects the child if it ended. Returns whether it did.
    fn collect(&self) -> bool {
        let status = self.child.borrow().as_ref().and_then(collect);
        if status.is_some() {
            self.status.set(status);
            drop(self.child.take());
        }
        status.is_some()
    }
}

/// Collects a child if it ended.
fn collect(child: &Child) -> Option<ExitStatus> {
    match sys::process::try_collect(child) {
        Ok(None) => None,
        Ok(Some(ended)) => Some(ExitStatus { code: ended.code, signal: ended.signal }),
        Err(_) => Some(ExitStatus::UNKNOWN),
    }
}

impl Node for ProcessNode {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn on_ready(self: Rc<Self>) {
        if self.collect() {
            // Reported once the poll phase has collected all that ended and has read what they wrote before.
            self.handle.loop_handle().feed(Rc::clone(&self) as Rc<dyn Node>);
        }
    }

    fn on_pending(self: Rc<Self>) {
        if self.handle.is_closing() {
            return;
        }
        self.handle.stop();
        if let Some(status) = self.status.get() {
            let process = Process(Rc::clone(&self));
            let _up = LAYER.up("ProcessNode::on_pending", || Facts::of(&process));
            self.upcall.call(|upcall| upcall(&process, status));
        }
    }

    fn begin_close(&self) {
        if let Some(child) = self.child.take() {
            let event_loop = self.handle.loop_handle();
            event_loop.inner().poller.deregister(child.pidfd.as_fd());
            // A process that was forked from this one has no children of its parent.
            if event_loop.is_own() {
                reaper::adopt(child);
            }
        }
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
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
