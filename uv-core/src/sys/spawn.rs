//! Starting a program in a child process. Mirrors `uv_spawn` and `uv__process_child_init`, libuv's
//! `src/unix/process.c`.
//!
//! The child shares this process's memory until it executes the program, and the thread that starts it waits for that:
//! no memory is copied (`vfork`, but on a stack of its own, as in `posix_spawn`). The other threads continue and may
//! hold any lock. So the child calls only async-signal-safe functions, allocates nothing, and writes only its stack,
//! the errno of the waiting thread, and the word that reports its error.
//!
//! A child that becomes another user or group gets a copy of the memory instead: when the user of a memory changes, the
//! kernel makes that memory undumpable, and this process has to stay dumpable. Nor may the other user access this
//! process's memory.

use super::fd::{check, last_errno, own, set_nonblocking};
use super::process::abandon;
use super::signal::{LAST_SIGNAL, all_signals, no_signals, set_default, set_mask};
use super::stack::Stack;
use crate::Errno;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::Ordering;

// By number, because the C library's own functions change all threads of the process, and the child shares its memory.
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
use libc::{SYS_setgid as SETGID, SYS_setgroups as SETGROUPS, SYS_setuid as SETUID};
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
use libc::{SYS_setgid32 as SETGID, SYS_setgroups32 as SETGROUPS, SYS_setuid32 as SETUID};

/// Size in bytes of the child's stack beside the part that grows with the arguments, as in glibc's `posix_spawn`.
const STACK: usize = 32 * 1024;

/// The program that the child executes.
pub(crate) struct Program {
    /// The paths at which the program may be, in order. Each has a slash, unless it is empty.
    pub(crate) candidates: Vec<CString>,
    /// The arguments. The first is the program's name.
    pub(crate) args: Vec<CString>,
    /// The whole environment, as `KEY=value`.
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// Start the child in a session of its own.
    pub(crate) detached: bool,
    /// This process's id, if the child is to be killed when the thread that starts it ends.
    pub(crate) killed_with: Option<i32>,
}

/// A descriptor that the child gets.
#[derive(Clone, Copy)]
pub(crate) struct ChildFd {
    /// Its number in this process.
    pub(crate) fd: RawFd,
    /// The child expects a blocking descriptor.
    pub(crate) make_blocking: bool,
}

/// A running child: its id, and a pidfd, which becomes readable when the child ends.
pub(crate) struct Spawned {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// Why the child could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) errno: Errno,
    /// The working directory was refused, not the program.
    pub(crate) is_folder: bool,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self { errno, is_folder: false }
    }
}

impl Refused {
    /// Encodes the error as the word that the child leaves for its parent; `from_word` decodes it.
    fn to_word(self) -> i32 {
        if self.is_folder { -self.errno.raw() } else { self.errno.raw() }
    }

    fn from_word(word: i32) -> Option<Self> {
        (word != 0).then(|| Self { errno: Errno::from_raw(word.abs()), is_folder: word < 0 })
    }
}

/// All that the child needs until it executes the program. The parent prepares it before.
struct Start<'a> {
    program: &'a Program,
    args: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    moves: Moves,
    stack: Stack,
}

/// Starts a program whose descriptor `n` is the `n`-th of `fds`. The child also inherits descriptors without
/// `FD_CLOEXEC`.
///
/// Returns the error of the step that failed, in this process or in the child, including `exec`; no child is left then.
pub(crate) fn spawn(program: &Program, fds: &[Option<ChildFd>]) -> Result<Spawned, Refused> {
    #[cfg(upcall_faults)]
    if let Some(started) = crate::faults::start_child(program, fds) {
        return started;
    }
    keep_exit_statuses()?;
    let args = pointers(&program.args);
    // `execvpe` needs an array of the arguments on the stack to run a script with the shell.
    let stack = Stack::new(STACK + size_of_val(&*args))?;
    let start = Start { program, args, env: pointers(&program.env), moves: Moves::plan(fds)?, stack };
    // A signal that arrives in the child before `exec` must not run this process's handlers there.
    let mask = set_mask(&all_signals());
    let cloned = start.clone_process();
    set_mask(&mask);
    let (pid, pidfd) = cloned?;
    let failed = match Refused::from_word(start.stack.word().load(Ordering::Relaxed)) {
        None => pidfd.ok_or_else(|| {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::PidfdMissing);
            Errno::from_raw(libc::ENOSYS).into()
        }),
        Some(refused) => Err(refused),
    };
    failed.map(|pidfd| Spawned { pid, pidfd }).inspect_err(|_| abandon(pid))
}

impl Start<'_> {
    /// Runs [`become_program`] in a child and waits until the child has executed the program or has ended. Before Linux
    /// 5.2 the pidfd is missing.
    fn clone_process(&self) -> Result<(i32, Option<OwnedFd>), Errno> {
        let stays_the_same = self.program.uid.is_none() && self.program.gid.is_none();
        let shared = if stays_the_same { libc::CLONE_VM } else { 0 };
        let flags = shared | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: RawFd = -1;
        let start = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the child runs `become_program` on a stack that has no other user and outlives it, as does `start`,
        // in which it writes only an atomic: this thread waits until the child no longer uses either.
        let pid =
            check(unsafe { libc::clone(become_program, self.stack.top(), flags, start, &raw mut pidfd) })?;
        // SAFETY: the system call has created the descriptor.
        Ok((pid, (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) })))
    }
}

/// Makes sure that ended children can be collected: if a parent ignores SIGCHLD, perhaps because it inherited that, the
/// kernel discards their exit statuses.
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
    // SAFETY: the action outlives the call; its handler, if any, is the installed one.
    check(unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut()) }).map(drop)
}

/// Where each descriptor goes in the child.
struct Moves {
    /// The first number to which no descriptor is moved.
    floor: RawFd,
    moves: Vec<Move>,
    /// Copies of low descriptors, above all targets: so swapping two descriptors is no special case.
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
            // A descriptor that has its target number already stays; no other is moved to that number.
            if from < floor && from != to {
                let copy = plan.copy_above(from)?;
                from = copy.as_raw_fd();
                plan.copies.push(copy);
            }
            plan.moves.push(Move { from, to, make_blocking: source.make_blocking });
        }
        Ok(plan)
    }

    fn copy_above(&self, fd: RawFd) -> Result<OwnedFd, Errno> {
        // SAFETY: takes integers only; a descriptor that it returns is new.
        unsafe { own(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, self.floor)) }
    }
}

/// A null-terminated array of pointers to strings, valid as long as those are.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The child's code from `clone` to `exec`. Async-signal-safe; it does not panic.
extern "C" fn become_program(start: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `clone_process` passes the address of a `Start`, which lives until the child has executed the program.
    let start = unsafe { &*start.cast_const().cast::<Start<'_>>() };
    let refused = prepare(start.program, &start.moves).err().unwrap_or_else(|| exec(start).into());
    start.stack.word().store(refused.to_word(), Ordering::Relaxed);
    // SAFETY: runs no code of this process in the child.
    unsafe { libc::_exit(127) }
}

fn prepare(program: &Program, moves: &Moves) -> Result<(), Refused> {
    if program.detached {
        // SAFETY: takes nothing.
        check(unsafe { libc::setsid() })?;
    }
    for Move { from, to, make_blocking } in &moves.moves {
        // SAFETY: takes integers only. The descriptor survives `exec`; a copied one does not.
        check(unsafe {
            if from == to { libc::fcntl(*to, libc::F_SETFD, 0) } else { libc::dup2(*from, *to) }
        })?;
        if *make_blocking {
            // Fails for a file without such a mode, which needs no change.
            // SAFETY: the descriptor was just created, or found open.
            let _ = set_nonblocking(unsafe { BorrowedFd::borrow_raw(*to) }, false);
        }
    }
    if let Some(cwd) = &program.cwd {
        // SAFETY: a C string that outlives the call.
        check(unsafe { libc::chdir(cwd.as_ptr()) }).map_err(|errno| Refused { errno, is_folder: true })?;
    }
    if program.uid.is_some() || program.gid.is_some() {
        give_up_groups(program)?;
    }
    if let Some(gid) = program.gid {
        // SAFETY: takes an integer only.
        system(unsafe { libc::syscall(SETGID, gid) })?;
    }
    if let Some(uid) = program.uid {
        // SAFETY: takes an integer only.
        system(unsafe { libc::syscall(SETUID, uid) })?;
    }
    if let Some(parent) = program.killed_with {
        // After changing the user, which resets it.
        // SAFETY: takes integers only.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) })?;
        // A parent that ended before is not reported.
        // SAFETY: takes nothing.
        if unsafe { libc::getppid() } != parent {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ExecWithoutParent);
            return Err(Errno::ESRCH.into());
        }
    }
    let spares_hangup = ignores_hangup();
    for signum in (1..=LAST_SIGNAL).filter(|signum| *signum != libc::SIGHUP || !spares_hangup) {
        // Fails for SIGKILL, SIGSTOP and the C library's own signals, which always have their default action.
        let _ = set_default(signum);
    }
    set_mask(&no_signals());
    Ok(())
}

/// Whether this process ignores SIGHUP because it was started to outlive its terminal, for example by `nohup`: then so
/// do its children.
fn ignores_hangup() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null new action the call only writes the current one, which is initialised if it succeeds.
    unsafe {
        libc::sigaction(libc::SIGHUP, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Drops the supplementary groups, which the new user must not have. Permission for this matters only if the process
/// has such groups and becomes another user.
fn give_up_groups(program: &Program) -> Result<(), Errno> {
    // SAFETY: no groups, so no memory is read.
    let refused = system(unsafe { libc::syscall(SETGROUPS, 0, ptr::null::<libc::gid_t>()) });
    // SAFETY: the first two take nothing; the third only returns the number of groups.
    let (users, groups, others) = unsafe {
        let users = [libc::getuid(), libc::geteuid()];
        (users, [libc::getgid(), libc::getegid()], libc::getgroups(0, ptr::null_mut()))
    };
    let becomes = |wanted: Option<u32>, now: [u32; 2]| wanted.is_some_and(|wanted| now != [wanted; 2]);
    let matters = others != 0 && (becomes(program.uid, users) || becomes(program.gid, groups));
    #[cfg(upcall_faults)]
    if !matters {
        crate::faults::reached_if(crate::faults::Branch::GroupsKept, &refused);
    }
    if matters { refused } else { Ok(()) }
}

/// Executes the first candidate that can be executed. Returns the error, as `execvp` does.
fn exec(start: &Start<'_>) -> Errno {
    let mut refused = Errno::ENOENT;
    for path in &start.program.candidates {
        // SAFETY: both arrays end with a null pointer and hold C strings that outlive the call.
        unsafe { libc::execvpe(path.as_ptr(), start.args.as_ptr(), start.env.as_ptr()) };
        let errno = last_errno();
        match errno.raw() {
            // It exists but cannot be executed: a later candidate may be executable, otherwise this is the error.
            libc::EACCES => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ExecDenied);
                refused = errno;
            }
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ExecTriesOn);
                if refused != Errno::EACCES {
                    refused = errno;
                }
            }
            _ => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ExecFails);
                return errno;
            }
        }
    }
    refused
}

/// Turns −1 of a system call into the errno.
fn system(result: libc::c_long) -> Result<(), Errno> {
    if result == -1 { Err(last_errno()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::process::try_collect;
    use super::*;
    use std::ffi::CStr;
    use std::sync::atomic::AtomicBool;

    fn program(path: &CStr) -> Program {
        Program {
            candidates: vec![path.to_owned()],
            args: vec![path.to_owned()],
            env: Vec::new(),
            cwd: None,
            uid: None,
            gid: None,
            detached: false,
            killed_with: None,
        }
    }

    #[test]
    fn a_child_is_collected_although_this_process_asked_for_no_zombies() {
        // SAFETY: the first call only writes the action, which is initialised then; the second reads it.
        unsafe {
            let mut action = MaybeUninit::<libc::sigaction>::uninit();
            assert_eq!(libc::sigaction(libc::SIGCHLD, ptr::null(), action.as_mut_ptr()), 0);
            let mut action = action.assume_init();
            assert_eq!(action.sa_sigaction, libc::SIG_DFL);
            action.sa_flags |= libc::SA_NOCLDWAIT;
            assert_eq!(libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut()), 0);
        }
        let child = spawn(&program(c"/bin/false"), &[]).expect("there is such a program");
        let ended = loop {
            if let Some(ended) = try_collect(&child).expect("its status is kept") {
                break ended;
            }
            std::thread::yield_now();
        };
        assert_eq!((ended.code, ended.signal), (1, 0));
    }

    // Only root may do this; for other users the child fails before anything changes.
    #[test]
    fn a_child_that_becomes_another_user_leaves_this_process_as_it_was() {
        let program = Program { uid: Some(65534), gid: Some(65534), ..program(c"/bin/true") };
        // SAFETY: takes integers only.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, 0);
        // SAFETY: takes integers only.
        let is_dumpable = || unsafe { libc::prctl(libc::PR_GET_DUMPABLE) } == 1;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let others = scope.spawn(|| {
                let mut always = true;
                while !done.load(Ordering::Relaxed) {
                    always &= is_dumpable();
                }
                always
            });
            for _ in 0..20 {
                if let Ok(child) = spawn(&program, &[]) {
                    abandon(child.pid);
                }
            }
            done.store(true, Ordering::Relaxed);
            assert!(others.join().expect("no panic"), "not even for a moment");
        });
        assert!(is_dumpable());
    }
}
