//! Pseudo terminals for tests: both sides of a new one, what one side echoes, and its attributes.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its share")]

use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

/// A pseudo terminal: the side that controls it, and the terminal that programs use.
pub struct Pty {
    pub control: OwnedFd,
    /// The path of the terminal.
    pub path: String,
}

impl Pty {
    /// `None` where there are no terminals, as in some containers.
    #[allow(unsafe_code, reason = "the standard library has no pseudo terminals")]
    pub fn new() -> Option<Self> {
        // SAFETY: takes integers only; a descriptor that it returns is new.
        let control = unsafe {
            let fd = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
            if fd == -1 {
                return None;
            }
            OwnedFd::from_raw_fd(fd)
        };
        let mut name = [0; 64];
        // SAFETY: pointer and length describe the buffer for the name, which the call ends with NUL.
        let path = unsafe {
            assert_eq!(libc::grantpt(control.as_raw_fd()) | libc::unlockpt(control.as_raw_fd()), 0);
            assert_eq!(libc::ptsname_r(control.as_raw_fd(), name.as_mut_ptr(), name.len()), 0);
            CStr::from_ptr(name.as_ptr())
        };
        let path = path.to_str().expect("a path").to_owned();
        Some(Self { control, path })
    }

    /// Opens the terminal, which does not become that of the test's process.
    pub fn open(&self, read: bool, write: bool) -> OwnedFd {
        let mut options = File::options();
        options.read(read).write(write).custom_flags(libc::O_NOCTTY);
        options.open(&self.path).expect("the terminal").into()
    }
}

/// The flags of a terminal that modes change: those of its input, its output and its lines.
#[allow(unsafe_code, reason = "the standard library has no terminals")]
pub fn attributes(fd: RawFd) -> (libc::tcflag_t, libc::tcflag_t, libc::tcflag_t) {
    let mut known = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the call writes the whole structure if it succeeds, which is checked.
    let known = unsafe {
        assert_eq!(libc::tcgetattr(fd, known.as_mut_ptr()), 0);
        known.assume_init()
    };
    (known.c_iflag, known.c_oflag, known.c_lflag)
}

/// Sets the size of a terminal's window.
#[allow(unsafe_code, reason = "the standard library has no terminals")]
pub fn set_window_size(fd: RawFd, columns: u16, rows: u16) {
    let size = libc::winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads the structure, which outlives the call.
    assert_eq!(unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, &raw const size) }, 0);
}

/// Lets a group of processes be the foreground of the terminal, as a shell does, which is itself not stopped by that.
#[allow(unsafe_code, reason = "the standard library has no terminals")]
pub fn set_foreground(fd: RawFd, group: libc::pid_t) {
    let (mut ttou, mut before) =
        (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
    // SAFETY: the first call makes the set, to which the second adds a signal that exists; the others read and write this
    // thread's mask, and take integers.
    let set = unsafe {
        libc::sigemptyset(ttou.as_mut_ptr());
        libc::sigaddset(ttou.as_mut_ptr(), libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, ttou.as_ptr(), before.as_mut_ptr());
        let set = libc::tcsetpgrp(fd, group);
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        set
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

/// Waits until a child is stopped or ends. Returns the signal that has stopped it, or its exit code.
#[allow(unsafe_code, reason = "the standard library does not tell of stopped children")]
pub fn stopped_or_ended(pid: libc::pid_t) -> Result<libc::c_int, libc::c_int> {
    let mut status = 0;
    // SAFETY: the call writes the integer.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) }, pid);
    if libc::WIFSTOPPED(status) { Ok(libc::WSTOPSIG(status)) } else { Err(libc::WEXITSTATUS(status)) }
}
