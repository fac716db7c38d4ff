//! Whether reads and writes wait is a mode of the open file, which processes share: who changes it changes it for all. So
//! pipes and terminals are opened anew, for a mode of one's own. Mirrors what `uv_tty_init` does for terminals, libuv's
//! `src/unix/tty.c`.
//!
//! What a program says by a number alone is asked about by that number: it may be of nothing, which the system tells.
//!
//! What cannot be opened anew has its mode lent, and gets it back when the last stream of this process gives it back.

use super::fd::{check, own, set_nonblocking};
use super::fork::PerProcess;
use crate::Errno;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The major number of the devices that are nothing but memory: null, zero, random and the like.
const MEMORY_DEVICES: libc::c_uint = 1;

/// Open files whose mode this process has changed and is to restore; those of its parent are its parent's to restore.
static LOANS: PerProcess<Mutex<Vec<Loan>>> = PerProcess::new();

/// An open file, by the descriptors of the streams that go by its mode.
struct Loan(Vec<RawFd>);

impl Loan {
    fn is_of(&self, fd: RawFd) -> bool {
        self.0.first().is_some_and(|known| is_one_file(*known, fd))
    }
}

fn loans() -> MutexGuard<'static, Vec<Loan>> {
    // Nothing that runs under this lock can panic half-way.
    LOANS.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether two descriptors are of one open file. Where the system cannot say: whether they are of the same file.
fn is_one_file(one: RawFd, other: RawFd) -> bool {
    /// `KCMP_FILE`, linux/kcmp.h.
    const KCMP_FILE: libc::c_int = 0;
    // SAFETY: takes integers only.
    let order = unsafe {
        let pid = libc::getpid();
        libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_FILE, one, other)
    };
    let is_same = |one: libc::stat, other: libc::stat| {
        (one.st_dev, one.st_ino, one.st_rdev) == (other.st_dev, other.st_ino, other.st_rdev)
    };
    match order {
        -1 => stat(one).is_ok_and(|one| stat(other).is_ok_and(|other| is_same(one, other))),
        order => order == 0,
    }
}

fn stat(fd: RawFd) -> Result<libc::stat, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes the whole structure if it succeeds.
    unsafe {
        check(libc::fstat(fd, stat.as_mut_ptr()))?;
        Ok(stat.assume_init())
    }
}

fn status(fd: RawFd) -> Result<libc::c_int, Errno> {
    // SAFETY: F_GETFL takes no argument.
    check(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

/// Whether reads and writes of the open file do not wait.
pub(crate) fn is_nonblocking(fd: RawFd) -> Result<bool, Errno> {
    Ok(status(fd)? & libc::O_NONBLOCK != 0)
}

/// Whether the mode makes a difference: files on a disk never wait, whatever it is.
pub(crate) fn has_mode(fd: RawFd) -> bool {
    stat(fd).is_ok_and(|stat| {
        !matches!(stat.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK)
    })
}

/// A second open file of the same pipe, terminal or null device, with the same access and a mode of its own.
///
/// `ENOTSUP` for what cannot be opened twice without being another thing then; what the system says: without `/proc`, or
/// for another user's terminal.
pub(crate) fn reopen(fd: RawFd, nonblocking: bool) -> Result<OwnedFd, Errno> {
    let (before, flags) = (stat(fd)?, status(fd)?);
    let is_same_again = match before.st_mode & libc::S_IFMT {
        // One that keeps messages apart cannot be asked for by `open`.
        libc::S_IFIFO => flags & libc::O_DIRECT == 0,
        libc::S_IFCHR => libc::major(before.st_rdev) == MEMORY_DEVICES || is_terminal(fd),
        _ => false,
    };
    if !is_same_again {
        return Err(Errno::ENOTSUP);
    }
    let path = CString::new(format!("/proc/self/fd/{fd}")).map_err(|_| Errno::EINVAL)?;
    let kept = flags & (libc::O_ACCMODE | libc::O_APPEND);
    // A named pipe would wait for its other end otherwise.
    let flags = kept | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a C string that outlives the call; a descriptor that it returns is new.
    let opened = unsafe { own(libc::open(path.as_ptr(), flags)) }?;
    let after = stat(opened.as_raw_fd())?;
    if (after.st_dev, after.st_ino) != (before.st_dev, before.st_ino) {
        return Err(Errno::ENOTSUP);
    }
    if !nonblocking {
        set_nonblocking(opened.as_fd(), false)?;
    }
    Ok(opened)
}

/// Whether this is the side of a terminal that programs have; the other one is a new terminal each time that it is opened.
fn is_terminal(fd: RawFd) -> bool {
    let mut number: libc::c_uint = 0;
    // SAFETY: takes an integer only.
    let is_terminal = unsafe { libc::isatty(fd) } == 1;
    // SAFETY: TIOCGPTN writes one unsigned integer, which outlives the call.
    is_terminal && unsafe { libc::ioctl(fd, libc::TIOCGPTN, &raw mut number) } == -1
}

/// Puts another open file under a descriptor's number.
pub(crate) fn replace(fd: &OwnedFd, by: &OwnedFd) -> Result<(), Errno> {
    let flags = if super::fd::is_standard(fd.as_raw_fd()) { 0 } else { libc::O_CLOEXEC };
    // SAFETY: takes integers only; the number stays its owner's.
    check(unsafe { libc::dup3(by.as_raw_fd(), fd.as_raw_fd(), flags) }).map(drop)
}

/// Makes an open file that others may share non-blocking. Returns whether it has to be given back with [`give_back`].
pub(crate) fn lend(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let number = fd.as_raw_fd();
    let mut loans = loans();
    if let Some(loan) = loans.iter_mut().find(|loan| loan.is_of(number)) {
        set_nonblocking(fd, true)?;
        loan.0.push(number);
        return Ok(true);
    }
    if is_nonblocking(number)? {
        return Ok(false);
    }
    set_nonblocking(fd, true)?;
    loans.push(Loan(vec![number]));
    Ok(true)
}

/// Ends a [`lend`]: the last one of an open file makes it blocking again.
pub(crate) fn give_back(fd: BorrowedFd<'_>) {
    let number = fd.as_raw_fd();
    let mut loans = loans();
    let Some(at) = loans.iter().position(|loan| loan.0.contains(&number)) else { return };
    loans[at].0.retain(|user| *user != number);
    if loans[at].0.is_empty() {
        loans.swap_remove(at);
        // A file that has no such mode is fine as it is.
        let _ = set_nonblocking(fd, false);
    }
}

/// Whether streams of this process have changed the mode of this open file and rely on it.
pub(crate) fn is_lent(fd: RawFd) -> bool {
    loans().iter().any(|loan| loan.is_of(fd))
}
