//! Terminals as streams: their modes and the size of their window. Mirrors `uv_tty_t`, libuv's `src/unix/tty.c`.

use crate::handle::HandleKind;
use crate::stream::{READABLE, Stream, StreamFlags, WRITABLE};
use crate::sys;
use crate::{Errno, Error, LoopHandle, Result};
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};

pub use crate::sys::terminal::{Mode, WindowSize};

/// The note of an error.
const NO_TERMINAL: &str = "not a terminal";

/// A terminal, or one side of a pseudo terminal, as a stream (`uv_tty_t`).
///
/// A terminal is opened a second time, under the same number, so that it does not become non-blocking for other processes:
/// see [`Pipe::open`](crate::Pipe::open). The size of its window changes with `SIGWINCH`: watch
/// [`Signal::SIGWINCH`](crate::Signal::SIGWINCH).
///
/// ```no_run
/// use std::os::fd::AsFd;
/// use uv_core::tty::{Mode, Tty};
/// use uv_core::upcall::StreamUpcall;
/// use uv_core::{Error, Loop, RunMode, Stream};
///
/// /// Prints each key until `q`.
/// struct Keys;
///
/// impl StreamUpcall for Keys {
///     fn on_read(&mut self, terminal: &Stream, keys: &[u8]) {
///         println!("{keys:?}");
///         if keys.contains(&b'q') {
///             terminal.close();
///         }
///     }
///     fn on_end(&mut self, terminal: &Stream) {
///         terminal.close();
///     }
///     fn on_read_error(&mut self, terminal: &Stream, _: Error) {
///         terminal.close();
///     }
/// }
///
/// let event_loop = Loop::new()?;
/// let terminal = Tty::open(&event_loop, std::io::stdin().as_fd().try_clone_to_owned()?)?;
/// terminal.set_mode(Mode::Raw)?;
/// terminal.set_upcall(Keys);
/// terminal.read_start()?;
/// event_loop.run(RunMode::Default)?; // The close has restored the mode.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tty(Stream);

impl Tty {
    /// Adopts a terminal (`uv_tty_init`). It is readable and writable as the descriptor is.
    ///
    /// The side that controls a pseudo terminal, and the terminal of another user, cannot be opened again: the open file
    /// becomes non-blocking then, until its last stream is closed. A descriptor number of 0, 1 or 2 is redirected to the
    /// null device at close.
    ///
    /// # Errors
    /// `EINVAL` if the descriptor is not a terminal; any error of the system calls. An error closes the descriptor.
    #[track_caller]
    pub fn open(event_loop: &LoopHandle, fd: OwnedFd) -> Result<Self> {
        let failed = |errno| Error::new("tty_init", errno);
        if !sys::terminal::is_terminal(fd.as_fd()) {
            return Err(failed(Errno::EINVAL).noting(NO_TERMINAL));
        }
        sys::fd::set_cloexec(fd.as_fd()).map_err(failed)?;
        let (readable, writable) = sys::fd::access_mode(fd.as_fd()).map_err(failed)?;
        let is_lent = sys::reopen::stop_waiting(&fd).map_err(failed)?;
        let stream = Stream::create(event_loop, HandleKind::Tty, StreamFlags::NONE);
        if is_lent {
            stream.0.note_lent();
        }
        stream.0.note_terminal();
        stream.0.adopt(fd, READABLE.when(readable) | WRITABLE.when(writable));
        Ok(Self(stream))
    }

    /// The same stream as a terminal, or `None` if it is not one.
    #[must_use]
    pub fn from_stream(stream: &Stream) -> Option<Self> {
        (stream.kind() == HandleKind::Tty).then(|| Self(stream.clone()))
    }

    /// Sets how the terminal treats input and output, for all processes that use it (`uv_tty_set_mode`).
    ///
    /// [`Mode::Normal`] is what the terminal was before this process changed it. The close restores it, and so does
    /// dropping the loop; a program that ends otherwise calls [`reset_mode`]. A shell that has stopped the program and
    /// continues it changes the mode too: watch [`Signal::SIGCONT`](crate::Signal::SIGCONT), and set it again.
    ///
    /// A process in the background is stopped by this call (SIGTTOU), as by any change of its terminal; the close and
    /// [`reset_mode`] do not stop it.
    ///
    /// # Errors
    /// `EBADF` if the handle is closing; `EIO` if the other side is closed.
    pub fn set_mode(&self, mode: Mode) -> Result<()> {
        let fd = self.0.0.opened()?;
        sys::terminal::set_mode(fd, mode).map_err(|errno| Error::new("tty_set_mode", errno))
    }

    /// The mode that this handle has set. Default: [`Mode::Normal`].
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.0.opened().map_or(Mode::Normal, sys::terminal::mode)
    }

    /// The size of the window (`uv_tty_get_winsize`). Zero if no program has set it.
    ///
    /// # Errors
    /// `EBADF` if the handle is closing; `EIO` if the other side is closed.
    pub fn window_size(&self) -> Result<WindowSize> {
        let fd = self.0.0.opened()?;
        sys::terminal::window_size(fd).map_err(|errno| Error::new("tty_get_winsize", errno))
    }
}

/// Restores the modes of all terminals that this process has changed (`uv_tty_reset_mode`), for a program that is about to
/// end by another way than the end of its loops: by `std::process::exit`, or by a panic, from its hook. A later
/// [`Tty::set_mode`] changes them again.
///
/// May be called from any thread, but not from a signal handler: watch the signal with a loop.
///
/// # Errors
/// The error of the first terminal that cannot be restored; the others are restored nevertheless.
pub fn reset_mode() -> Result<()> {
    sys::terminal::reset_all().map_err(|errno| Error::new("tty_reset_mode", errno))
}

impl Deref for Tty {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl fmt::Debug for Tty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tty").field(&self.0).finish()
    }
}
