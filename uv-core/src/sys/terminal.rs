//! The modes of terminals, and their window's size. The modes of a terminal are those of all processes that use it, so those
//! that this process has changed are known here, with what they were. Mirrors `orig_termios`, libuv's `src/unix/tty.c`.

use super::call;
use super::fd::check;
use super::fork::PerProcess;
use crate::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a terminal treats its input and output (`uv_tty_mode_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As the terminal was before it was changed: mostly lines, with an echo, which keys may edit.
    #[default]
    Normal,
    /// Each key is input at once, without an echo; no key raises a signal. Output is still processed: a line feed
    /// returns the carriage too.
    Raw,
    /// Bytes pass unchanged in both directions, as `cfmakeraw` sets it, for a connection over a terminal.
    Io,
}

/// The size of a terminal's window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// The terminals whose mode this process has changed. A forked child leaves its parent's to the parent.
static CHANGED: PerProcess<Mutex<Vec<Changed>>> = PerProcess::new();

/// A terminal in another mode than it was.
struct Changed {
    /// The number of the device.
    device: libc::dev_t,
    original: libc::termios,
    /// The descriptors by which it was changed, and how.
    by: Vec<(RawFd, Mode)>,
}

fn changed() -> MutexGuard<'static, Vec<Changed>> {
    // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
    CHANGED.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the descriptor is a terminal, of either side.
pub(crate) fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: takes an integer only.
    unsafe { libc::isatty(fd.as_raw_fd()) == 1 }
}

fn device(fd: BorrowedFd<'_>) -> Result<libc::dev_t, Errno> {
    let mut known = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes the whole structure if it succeeds.
    unsafe {
        check(libc::fstat(fd.as_raw_fd(), known.as_mut_ptr()))?;
        Ok(known.assume_init().st_rdev)
    }
}

fn attributes(fd: BorrowedFd<'_>) -> Result<libc::termios, Errno> {
    let mut known = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the call writes the whole structure if it succeeds.
    unsafe {
        check(libc::tcgetattr(fd.as_raw_fd(), known.as_mut_ptr()))?;
        Ok(known.assume_init())
    }
}

/// Sets the attributes at once. libuv waits until all output is sent, which another process decides; Linux has processed
/// it by then.
fn set_attributes(fd: RawFd, attributes: &libc::termios) -> Result<(), Errno> {
    // SAFETY: the kernel reads the structure, which outlives the call.
    call("tcsetattr(3)", || check(unsafe { libc::tcsetattr(fd, libc::TCSANOW, attributes) }).map(drop))
}

/// Sets the attributes for a process that may be in the background: SIGTTOU would stop it there, at its end.
fn restore(fd: RawFd, attributes: &libc::termios) -> Result<(), Errno> {
    let (mut ttou, mut before) =
        (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
    // SAFETY: the first call makes the set, to which the second adds a signal that exists; the third reads it, and writes
    // the mask of this thread, which the last one restores.
    unsafe {
        libc::sigemptyset(ttou.as_mut_ptr());
        libc::sigaddset(ttou.as_mut_ptr(), libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, ttou.as_ptr(), before.as_mut_ptr());
        let set = set_attributes(fd, attributes);
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        set
    }
}

/// The mode that was set by this descriptor.
pub(crate) fn mode(fd: BorrowedFd<'_>) -> Mode {
    let number = fd.as_raw_fd();
    let changed = changed();
    let mut all = changed.iter().flat_map(|terminal| &terminal.by);
    all.find(|(by, _)| *by == number).map_or(Mode::Normal, |(_, mode)| *mode)
}

/// Sets the mode. What the terminal was before its first change is kept.
pub(crate) fn set_mode(fd: BorrowedFd<'_>, mode: Mode) -> Result<(), Errno> {
    let (number, device, current) = (fd.as_raw_fd(), device(fd)?, attributes(fd)?);
    let mut changed = changed();
    let known = changed.iter().position(|terminal| terminal.device == device);
    let original = known.map_or(current, |at| changed[at].original);
    set_attributes(number, &with_mode(original, mode))?;
    let at = known.unwrap_or_else(|| {
        changed.push(Changed { device, original, by: Vec::new() });
        changed.len() - 1
    });
    changed[at].by.retain(|(by, _)| *by != number);
    if mode != Mode::Normal {
        changed[at].by.push((number, mode));
    }
    if changed[at].by.is_empty() {
        changed.swap_remove(at);
    }
    Ok(())
}

fn with_mode(mut attributes: libc::termios, mode: Mode) -> libc::termios {
    match mode {
        Mode::Normal => {}
        Mode::Raw => {
            let input = libc::BRKINT | libc::ICRNL | libc::INPCK | libc::ISTRIP | libc::IXON;
            attributes.c_iflag &= !input;
            attributes.c_oflag |= libc::ONLCR;
            attributes.c_cflag |= libc::CS8;
            attributes.c_lflag &= !(libc::ECHO | libc::ICANON | libc::IEXTEN | libc::ISIG);
            attributes.c_cc[libc::VMIN] = 1;
            attributes.c_cc[libc::VTIME] = 0;
        }
        // SAFETY: changes the structure that it gets.
        Mode::Io => unsafe { libc::cfmakeraw(&raw mut attributes) },
    }
    attributes
}

/// A descriptor is about to be closed. The last one by which a terminal was changed restores it.
pub(crate) fn give_back(fd: BorrowedFd<'_>) {
    let number = fd.as_raw_fd();
    let mut changed = changed();
    let is_by = |terminal: &Changed| terminal.by.iter().any(|(by, _)| *by == number);
    let Some(at) = changed.iter().position(is_by) else { return };
    changed[at].by.retain(|(by, _)| *by != number);
    if changed[at].by.is_empty() {
        let terminal = changed.swap_remove(at);
        // Fails for a terminal whose other side is closed, which has no mode any more.
        let _ = restore(number, &terminal.original);
    }
}

/// Restores all terminals. Returns the first error; the others are restored nevertheless.
pub(crate) fn reset_all() -> Result<(), Errno> {
    let terminals = std::mem::take(&mut *changed());
    let reset =
        |terminal: &Changed| terminal.by.first().map_or(Ok(()), |(by, _)| restore(*by, &terminal.original));
    let results: Vec<_> = terminals.iter().map(reset).collect();
    results.into_iter().collect()
}

pub(crate) fn window_size(fd: BorrowedFd<'_>) -> Result<WindowSize, Errno> {
    let mut size = MaybeUninit::<libc::winsize>::uninit();
    // SAFETY: TIOCGWINSZ writes the whole structure if it succeeds.
    let size = unsafe {
        check(libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()))?;
        size.assume_init()
    };
    Ok(WindowSize { columns: size.ws_col, rows: size.ws_row })
}
