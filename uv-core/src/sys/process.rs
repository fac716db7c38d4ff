//! Starting a program in a child process, collecting and signalling it. Mirrors the lower half of libuv's
//! `src/unix/process.c`.
//!
//! Between `fork` and `exec` the child has the one thread that forked and whatever the others held at that moment, so
//! it calls async-signal-safe functions only and allocates nothing: all memory is made ready before. What goes wrong in
//! the child comes back through a pipe that a successful `exec` closes.

use super::fd::{check, last_errno, own, raw, set_nonblocking};
use super::signal::{LAST_SIGNAL, all_signals, no_signals, set_default, set_mask};
use crate::Errno;
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, Read};
use std::mem::MaybeUninit;
use std::os::fd::{OwnedFd, RawFd};
use std::ptr;

// SAFETY: this is how POSIX declares the variable.
unsafe extern "C" {
    static mut environ: *const *const libc::c_char;
}

/// What the child is to become.
pub(crate) struct Program {
    pub(crate) file: CString,
    /// The arguments, the first being the program's name for itself.
    pub(crate) args: Vec<CString>,
    /// The whole environment, as `KEY=value`.
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// Lead a session of its own.
    pub(crate) detached: bool,
}

/// A descriptor for the child.
#[derive(Clone, Copy)]
pub(crate) struct ChildFd {
    /// Its number here.
    pub(crate) fd: RawFd,
    /// The child expects an ordinary blocking one.
    pub(crate) make_blocking: bool,
}

/// A running child: its id, and a descriptor that becomes readable when it ends.
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) signal: i32,
}

/// Starts a program whose descriptor `n` is the `n`-th of `fds`. It has no others.
///
/// The error is that of whatever failed, here or in the child, `exec` included; no child is left then.
pub(crate) fn spawn(program: &Program, fds: &[Option<ChildFd>]) -> Result<Child, Errno> {
    keep_exit_statuses()?;
    let moves = Moves::plan(fds)?;
    let (failure, report) = io::pipe()?;
    let report = moves.above(report.into())?;
    let (args, env) = (pointers(&program.args), pointers(&program.env));
    // A signal that comes to the child before `exec` must not run this process's handlers in it: they would write into
    // this process's pipes.
    let mask = set_mask(&all_signals());
    // SAFETY: the child runs `become_program`, which is async-signal-safe, and never returns from this block.
    let forked = check(unsafe { libc::fork() });
    if forked == Ok(0) {
        become_program(program, &args, &env, &moves, raw(&report));
    }
    set_mask(&mask);
    let pid = forked?;
    // Held by the child alone from now on: its end says that `exec` took place.
    drop(report);
    let started = read_failure(failure).map_or(Ok(()), Err);
    match started.and_then(|()| open_pidfd(pid)) {
        Ok(pidfd) => Ok(Child { pid, pidfd }),
        Err(errno) => {
            abandon(pid);
            Err(errno)
        }
    }
}

/// Makes sure that ended children wait to be collected: a parent that ignores SIGCHLD, perhaps because it was started
/// so, would never learn how they ended.
fn keep_exit_statuses() -> Result<(), Errno> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null new action the call only writes the current one, which is initialised if it succeeds.
    let mut action = unsafe {
        check(libc::sigaction(libc::SIGCHLD, ptr::null(), action.as_mut_ptr()))?;
        action.assume_init()
    };
    if action.sa_sigaction != libc::SIG_IGN && action.sa_flags & libc::SA_NOCLDWAIT == 0 {
        return Ok(());
    }
    if action.sa_sigaction == libc::SIG_IGN {
        action.sa_sigaction = libc::SIG_DFL;
    }
    action.sa_flags &= !libc::SA_NOCLDWAIT;
    // SAFETY: the action outlives the call; its handler, if any, is the one that was installed.
    check(unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut()) }).map(drop)
}

/// Which descriptor goes where in the child.
struct Moves {
    /// The first number that no descriptor is moved to.
    floor: RawFd,
    moves: Vec<Move>,
    /// Copies of low descriptors, out of the way of the moves: so a swap of two is no special case.
    copies: Vec<OwnedFd>,
}

struct Move {
    from: RawFd,
    to: RawFd,
    make_blocking: bool,
}

impl Moves {
    fn plan(fds: &[Option<ChildFd>]) -> Result<Self, Errno> {
        let floor = RawFd::try_from(fds.len()).map_err(|_| Errno::EINVAL)?;
        let mut plan = Self { floor, moves: Vec::with_capacity(fds.len()), copies: Vec::new() };
        for (to, source) in (0..floor).zip(fds) {
            let Some(source) = source else { continue };
            let mut from = source.fd;
            if from < floor {
                let copy = plan.copy_above(from)?;
                from = raw(&copy);
                plan.copies.push(copy);
            }
            plan.moves.push(Move { from, to, make_blocking: source.make_blocking });
        }
        Ok(plan)
    }

    /// The same file under a number that no move overwrites.
    fn above(&self, fd: OwnedFd) -> Result<OwnedFd, Errno> {
        if raw(&fd) < self.floor { self.copy_above(raw(&fd)) } else { Ok(fd) }
    }

    fn copy_above(&self, fd: RawFd) -> Result<OwnedFd, Errno> {
        // SAFETY: takes integers only.
        own(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, self.floor) })
    }
}

/// A null-terminated array of pointers to strings, valid as long as those are.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The child's way from `fork` to `exec`. Async-signal-safe.
fn become_program(
    program: &Program,
    args: &[*const libc::c_char],
    env: &[*const libc::c_char],
    moves: &Moves,
    report: RawFd,
) -> ! {
    let Err(errno) = prepare(program, moves).and_then(|()| exec(&program.file, args, env));
    let message = errno.raw().to_ne_bytes();
    // SAFETY: pointer and length describe the message; `_exit` runs nothing of this process in the child.
    unsafe {
        libc::write(report, message.as_ptr().cast(), message.len());
        libc::_exit(127)
    }
}

fn prepare(program: &Program, moves: &Moves) -> Result<(), Errno> {
    if program.detached {
        // SAFETY: takes nothing.
        check(unsafe { libc::setsid() })?;
    }
    for Move { from, to, make_blocking } in &moves.moves {
        // SAFETY: takes integers only. The new descriptor survives `exec`; the old one does not.
        check(unsafe { libc::dup2(*from, *to) })?;
        if *make_blocking {
            // A file that has no such mode is fine as it is.
            let _ = set_nonblocking(*to, false);
        }
    }
    if let Some(cwd) = &program.cwd {
        // SAFETY: a C string that outlives the call.
        check(unsafe { libc::chdir(cwd.as_ptr()) })?;
    }
    if program.uid.is_some() || program.gid.is_some() {
        // Root's other groups would stay otherwise. Everybody else is refused this, and has nothing to give up.
        // SAFETY: no groups, so no memory is read.
        let _ = check(unsafe { libc::setgroups(0, ptr::null()) });
    }
    if let Some(gid) = program.gid {
        // SAFETY: takes an integer only.
        check(unsafe { libc::setgid(gid) })?;
    }
    if let Some(uid) = program.uid {
        // SAFETY: takes an integer only.
        check(unsafe { libc::setuid(uid) })?;
    }
    for signum in 1..=LAST_SIGNAL {
        // Refused for SIGKILL, SIGSTOP and those of the C library, which have their default action always.
        let _ = set_default(signum);
    }
    set_mask(&no_signals());
    Ok(())
}

/// Searches for the program in the PATH of its own environment and becomes it.
fn exec(file: &CStr, args: &[*const libc::c_char], env: &[*const libc::c_char]) -> Result<Infallible, Errno> {
    // SAFETY: both arrays end with a null pointer and hold C strings that outlive the call. This is the only thread of
    // the child, so nobody else looks at `environ`.
    unsafe {
        environ = env.as_ptr();
        libc::execvp(file.as_ptr(), args.as_ptr());
    }
    Err(last_errno())
}

/// What the child says went wrong; nothing if it became the program, which closed its end.
fn read_failure(mut failure: PipeReader) -> Option<Errno> {
    let mut message = [0; size_of::<i32>()];
    failure.read_exact(&mut message).ok().map(|()| Errno::from_raw(i32::from_ne_bytes(message)))
}

fn open_pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes integers only.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    own(result as libc::c_int)
}

/// Ends a child that nobody is to know of, and collects it.
pub(crate) fn abandon(pid: i32) {
    // Gone already is fine.
    let _ = kill(pid, libc::SIGKILL);
    while wait(pid, 0) == Err(Errno::EINTR) {}
}

/// How the child ended; nothing while it runs. `ECHILD` if somebody else has collected it.
pub(crate) fn try_collect(pid: i32) -> Result<Option<Ended>, Errno> {
    let Some(status) = wait(pid, libc::WNOHANG)? else { return Ok(None) };
    if libc::WIFSIGNALED(status) {
        return Ok(Some(Ended { code: 0, signal: libc::WTERMSIG(status) }));
    }
    Ok(Some(Ended { code: libc::WEXITSTATUS(status), signal: 0 }))
}

fn wait(pid: i32, options: libc::c_int) -> Result<Option<libc::c_int>, Errno> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let collected = check(unsafe { libc::waitpid(pid, &raw mut status, options) })?;
    Ok((collected == pid).then_some(status))
}

pub(crate) fn kill(pid: i32, signum: i32) -> Result<(), Errno> {
    // SAFETY: takes integers only.
    check(unsafe { libc::kill(pid, signum) }).map(drop)
}

/// The null device, for reading and writing.
pub(crate) fn open_null() -> Result<OwnedFd, Errno> {
    // SAFETY: the path is a C string literal.
    own(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) })
}
