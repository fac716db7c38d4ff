//! Pseudo terminals for tests: both sides of a new one, what one side echoes, and its attributes.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its share")]

use std::ffi::CStr;
use std::fs::File;
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
    let mut known = std::mem::MaybeUninit::<libc::termios>::uninit();
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
