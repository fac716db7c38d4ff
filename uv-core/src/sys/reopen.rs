//! Blocking mode. Whether reads and writes block is a mode of the open file, which processes share: changing it affects
//! all of them. So pipes and terminals are opened a second time to get a mode of their own. Mirrors what `uv_tty_init`
//! does for terminals, libuv's `src/unix/tty.c`.
//!
//! Functions that take a bare descriptor number may be called with a number that is not open, and then return the
//! system's error.
//!
//! The mode of a file that cannot be opened a second time is changed and restored when the last stream of this process
//! that uses the file is closed.

use super::fd::{check, own, set_nonblocking};
use super::fork::PerProcess;
use crate::Errno;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The major number of memory devices: null, zero, random and others.
const MEMORY_DEVICES: libc::c_uint = 1;

/// The open files whose mode this process has changed and has to restore. A forked child leaves its parent's to the
/// parent.
static LOANS: PerProcess<Mutex<Vec<Loan>>> = PerProcess::new();

/// An open file, as the descriptors of the streams that need its mode.
struct Loan(Vec<RawFd>);

impl Loan {
    fn is_of(&self, fd: RawFd) -> bool {
        self.0.first().is_some_and(|known| is_one_file(*known, fd))
    }
}

fn loans() -> MutexGuard<'static, Vec<Loan>> {
    // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
    LOANS.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether two descriptors share one open file. If the system cannot tell: whether they refer to the same file.
fn is_one_file(one: RawFd, other: RawFd) -> bool {
    /// `KCMP_FILE`, linux/kcmp.h.
    const KCMP_FILE: libc::c_int = 0;
    // SAFETY: takes integers only.
    let order = unsafe {
        let pid = libc::getpid();
        libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_FILE, one, other)
    };
    #[cfg(upcall_faults)]
    let order = crate::faults::refuse("kcmp(2)").map_or(-1, |()| order);
    let is_same = |one: libc::stat, other: libc::stat| {
        (one.st_dev, one.st_ino, one.st_rdev) == (other.st_dev, other.st_ino, other.st_rdev)
    };
    match order {
        -1 => {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::FilesUncompared);
            stat(one).is_ok_and(|one| stat(other).is_ok_and(|other| is_same(one, other)))
        }
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

/// Whether the open file is in non-blocking mode.
pub(crate) fn is_nonblocking(fd: RawFd) -> Result<bool, Errno> {
    Ok(status(fd)? & libc::O_NONBLOCK != 0)
}

/// Whether the mode has an effect: files on a disk never block.
pub(crate) fn has_mode(fd: RawFd) -> bool {
    stat(fd).is_ok_and(|stat| {
        !matches!(stat.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK)
    })
}

/// Opens the file of a pipe, terminal or null device a second time, with the same access and a mode of its own.
///
/// `ENOTSUP` for a file that would be a different one if it was opened a second time; any error of the system calls,
/// for example without `/proc`, or for another user's terminal.
pub(crate) fn reopen(fd: RawFd, nonblocking: bool) -> Result<OwnedFd, Errno> {
    let (before, flags) = (stat(fd)?, status(fd)?);
    let is_same_again = match before.st_mode & libc::S_IFMT {
        // `open` cannot create a pipe in packet mode.
        libc::S_IFIFO => flags & libc::O_DIRECT == 0,
        libc::S_IFCHR => libc::major(before.st_rdev) == MEMORY_DEVICES || is_terminal(fd),
        _ => false,
    };
    if !is_same_again {
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::ReopenOther);
        return Err(Errno::ENOTSUP);
    }
    let path = CString::new(format!("/proc/self/fd/{fd}")).map_err(|_| Errno::EINVAL)?;
    let kept = flags & (libc::O_ACCMODE | libc::O_APPEND);
    // Without `O_NONBLOCK`, opening a named pipe would wait for its other end.
    let flags = kept | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    #[cfg(upcall_faults)]
    crate::faults::refuse("open(2)")?;
    // SAFETY: a C string that outlives the call; a descriptor that it returns is new.
    let opened = unsafe { own(libc::open(path.as_ptr(), flags)) }?;
    let after = stat(opened.as_raw_fd())?;
    if (after.st_dev, after.st_ino) != (before.st_dev, before.st_ino) {
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::ReopenOther);
        return Err(Errno::ENOTSUP);
    }
    if !nonblocking {
        set_nonblocking(opened.as_fd(), false)?;
    }
    Ok(opened)
}

/// Makes reads and writes non-blocking, with as little effect as possible on processes that share the open file.
/// Returns whether the mode has to be restored with [`give_back`].
pub(crate) fn stop_waiting(fd: &OwnedFd) -> Result<bool, Errno> {
    let raw = fd.as_raw_fd();
    if !has_mode(raw) {
        return Ok(false);
    }
    let own = reopen(raw, true);
    if own.is_ok_and(|own| replace(fd, &own).is_ok()) {
        return Ok(false);
    }
    #[cfg(upcall_faults)]
    crate::faults::reached(crate::faults::Branch::ModeLent);
    lend(fd.as_fd())
}

/// Whether this is the slave side of a terminal. Opening the master side creates a new terminal each time.
fn is_terminal(fd: RawFd) -> bool {
    let mut number: libc::c_uint = 0;
    // SAFETY: takes an integer only.
    let is_terminal = unsafe { libc::isatty(fd) } == 1;
    // SAFETY: TIOCGPTN writes one unsigned integer, which outlives the call.
    is_terminal && unsafe { libc::ioctl(fd, libc::TIOCGPTN, &raw mut number) } == -1
}

/// Replaces the open file of a descriptor number.
pub(crate) fn replace(fd: &OwnedFd, by: &OwnedFd) -> Result<(), Errno> {
    let flags = if super::fd::is_standard(fd.as_raw_fd()) { 0 } else { libc::O_CLOEXEC };
    #[cfg(upcall_faults)]
    crate::faults::refuse("dup3(2)")?;
    // SAFETY: takes integers only; the number keeps its owner.
    check(unsafe { libc::dup3(by.as_raw_fd(), fd.as_raw_fd(), flags) }).map(drop)
}

/// Makes an open file non-blocking, which other processes may share. Returns whether the mode has to be restored with
/// [`give_back`].
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

/// Ends a [`lend`]. The last one of an open file makes it blocking again.
pub(crate) fn give_back(fd: BorrowedFd<'_>) {
    let number = fd.as_raw_fd();
    let mut loans = loans();
    let Some(at) = loans.iter().position(|loan| loan.0.contains(&number)) else { return };
    loans[at].0.retain(|user| *user != number);
    if loans[at].0.is_empty() {
        loans.swap_remove(at);
        // Fails for a file without such a mode, which needs no change.
        let _ = set_nonblocking(fd, false);
    }
}

/// Whether streams of this process have changed the mode of this open file and need it.
pub(crate) fn is_lent(fd: RawFd) -> bool {
    loans().iter().any(|loan| loan.is_of(fd))
}
