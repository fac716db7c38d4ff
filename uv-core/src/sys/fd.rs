//! File descriptors: a cell that owns one, flags, and the spare descriptor.

use crate::layer::trace::Facts;
use crate::{Errno, LAYER};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A cell that owns a descriptor, which can be taken or closed through a shared reference. Closes it on drop.
pub(crate) struct FdCell(Cell<RawFd>);

const NONE: RawFd = -1;

impl FdCell {
    pub(crate) const fn empty() -> Self {
        Self(Cell::new(NONE))
    }

    /// The descriptor, for one system call: do not keep it over an upcall, which may close it.
    #[inline]
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.0.get();
        // SAFETY: a descriptor in the cell is open: it came from an `OwnedFd`, and `take` removes it from the cell
        // before it is closed. Only a close and a stream that hands its socket over call `take`, and no system call of a
        // stream does either.
        (fd != NONE).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// The descriptor's number, for display.
    pub(crate) fn number(&self) -> Option<RawFd> {
        self.get().map(|fd| fd.as_raw_fd())
    }

    pub(crate) fn set(&self, fd: OwnedFd) {
        self.close();
        self.0.set(fd.into_raw_fd());
    }

    pub(crate) fn close(&self) {
        if let Some(fd) = self.take() {
            let _down = LAYER.down("close(2)", Facts::default);
            drop(fd);
        }
    }

    /// Redirects a standard descriptor to the null device instead of closing it. If its number were free, the next file
    /// opened would get it and become the process's standard input, output or error.
    #[cold]
    pub(crate) fn retire(&self) {
        let Some(fd) = self.take() else { return };
        let _down = LAYER.down("dup2(2)", Facts::default);
        let null = open_null();
        #[cfg(upcall_faults)]
        crate::faults::reached_if(crate::faults::Branch::RetireFails, &null);
        let Ok(null) = null else { return };
        // SAFETY: takes integers only. The number keeps its owner, which from now on never closes it.
        if unsafe { libc::dup2(null.as_raw_fd(), fd.as_raw_fd()) } != -1 {
            let _ = fd.into_raw_fd();
        }
    }

    pub(crate) fn take(&self) -> Option<OwnedFd> {
        let fd = self.0.replace(NONE);
        // SAFETY: a descriptor in the cell came from an `OwnedFd` and has no other owner; it leaves the cell here.
        (fd != NONE).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

impl Default for FdCell {
    fn default() -> Self {
        Self::empty()
    }
}

impl Drop for FdCell {
    fn drop(&mut self) {
        self.close();
    }
}

/// Turns −1 of libc into the errno.
pub(super) fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

/// Turns −1 of libc into the errno, for calls that return a length.
#[inline]
pub(super) fn check_len(result: libc::ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_errno())
}

#[cold]
pub(super) fn last_errno() -> Errno {
    Errno::from(io::Error::last_os_error())
}

/// Takes ownership of a descriptor that a system call has created.
///
/// # Safety
/// `result` must be −1, or a new descriptor without another owner.
pub(super) unsafe fn own(result: libc::c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: guaranteed by the caller.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the number is that of standard input, output or error, which may be used by code that knows no loop.
pub(crate) fn is_standard(fd: RawFd) -> bool {
    (libc::STDIN_FILENO..=libc::STDERR_FILENO).contains(&fd)
}

/// Opens the null device for reading and writing.
pub(crate) fn open_null() -> Result<OwnedFd, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("open(2)")?;
    // SAFETY: the path is a C string literal; a descriptor that it returns is new.
    unsafe { own(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC)) }
}

/// Opens a descriptor that is only there to be closed when the process has none left.
pub(crate) fn open_spare() -> Result<OwnedFd, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("open(2)")?;
    // SAFETY: the path is a C string literal; a descriptor that it returns is new.
    unsafe { own(libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)) }
}

/// Sets or clears `O_NONBLOCK` of the open file, which other descriptors may share.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> Result<(), Errno> {
    let mut on = libc::c_int::from(nonblocking);
    // SAFETY: FIONBIO reads one int, which outlives the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw mut on) }).map(drop)
}

/// Sets `FD_CLOEXEC`, so that no child inherits the descriptor, except for standard descriptors, which every program
/// expects.
pub(crate) fn set_cloexec(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    if is_standard(fd.as_raw_fd()) {
        return Ok(());
    }
    // SAFETY: FIOCLEX takes no argument.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIOCLEX) }).map(drop)
}

/// Duplicates the descriptor, with `FD_CLOEXEC`.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse("fcntl(2)")?;
    // SAFETY: takes integers only; a descriptor that it returns is new.
    unsafe { own(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0)) }
}

/// Duplicates the descriptor of this number, with `FD_CLOEXEC`, for a child that a test plays.
#[cfg(upcall_faults)]
pub(crate) fn duplicate_number(fd: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: takes integers only; a descriptor that it returns is new.
    unsafe { own(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0)) }
}

/// Whether the descriptor is open for reading and for writing.
pub(crate) fn access_mode(fd: BorrowedFd<'_>) -> Result<(bool, bool), Errno> {
    // SAFETY: F_GETFL takes no argument.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    let mode = flags & libc::O_ACCMODE;
    Ok((mode != libc::O_WRONLY, mode != libc::O_RDONLY))
}

/// The number of the open file in its file system; `None` if the descriptor is closed.
#[cfg(upcall_faults)]
pub(crate) fn file_number(fd: RawFd) -> Option<u64> {
    let mut known = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel writes the structure that it gets.
    check(unsafe { libc::fstat(fd, known.as_mut_ptr()) }).ok()?;
    // SAFETY: the call has succeeded, so it has written all of it.
    Some(unsafe { known.assume_init() }.st_ino)
}

// These tests are here because closing a standard descriptor, as a daemon does, takes `unsafe`.
#[cfg(test)]
mod tests {
    use crate::sys::alone;
    use crate::upcall::StreamUpcall;
    use crate::{Error, Loop, Result, RunMode, Stream, Tcp};
    use std::cell::RefCell;
    use std::fs::read_link;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};
    use std::rc::Rc;

    const STDIN: &str = "/proc/self/fd/0";

    /// Runs `body` in a separate process.
    fn alone(test: &str, body: impl FnOnce()) {
        let status = alone::status(&format!("sys::fd::tests::{test}"), |_| {}, body);
        assert!(status.is_none_or(|status| status.success()));
    }

    fn close_standard_input() {
        // SAFETY: no value of this process owns standard input, and no code in it reads from there.
        assert_eq!(unsafe { libc::close(libc::STDIN_FILENO) }, 0);
    }

    struct Quiet;

    impl StreamUpcall for Quiet {
        fn on_read(&mut self, _: &Stream, _: &[u8]) {}
        fn on_end(&mut self, _: &Stream) {}
        fn on_read_error(&mut self, _: &Stream, _: Error) {}
    }

    fn assert_ended(mut client: &TcpStream) {
        client.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a socket has one");
        assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    }

    #[test]
    fn a_connection_with_the_number_of_standard_input_is_closed_as_any_other() {
        alone("a_connection_with_the_number_of_standard_input_is_closed_as_any_other", || {
            let event_loop = Loop::new().expect("a loop");
            let listener = Tcp::new(&event_loop);
            let (taken, from) = (Rc::new(RefCell::new(None)), listener.clone());
            let into = Rc::clone(&taken);
            let take =
                move |_: &Stream, _: Result<()>| drop(into.replace(Some(from.accept().expect("it waits"))));
            listener.listen_with(1, take).expect("listen");
            let port = listener.local_addr().expect("an address").port();
            let client = TcpStream::connect(("127.0.0.1", port)).expect("connect");
            close_standard_input();
            while taken.borrow().is_none() {
                event_loop.run(RunMode::Once).expect("run");
            }
            let connection = taken.take().expect("a connection");
            assert_eq!(connection.fileno(), Ok(0));
            connection.set_upcall(Quiet);
            connection.close();
            assert_ended(&client);
            read_link(STDIN).expect_err("nothing is left open");
            // The loop's own descriptors, such as its epoll instance, are closed as well.
            let other = Loop::new().expect("a loop");
            assert_eq!(other.backend_fd(), 0);
            drop(other);
            read_link(STDIN).expect_err("nothing is left open");
        });
    }

    #[test]
    fn a_standard_descriptor_that_was_given_away_ends_and_its_number_stays_taken() {
        alone("a_standard_descriptor_that_was_given_away_ends_and_its_number_stays_taken", || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
            let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
            close_standard_input();
            let (accepted, _) = listener.accept().expect("accept");
            assert_eq!(accepted.as_raw_fd(), 0);
            let event_loop = Loop::new().expect("a loop");
            let tcp = Tcp::new(&event_loop);
            tcp.open(accepted.into()).expect("open");
            tcp.set_upcall(Quiet);
            tcp.read_start().expect("read_start");
            // The first bytes may be read without an event.
            for read in [4, 8] {
                (&client).write_all(b"more").expect("write");
                while tcp.bytes_read() < read {
                    event_loop.run(RunMode::Once).expect("run");
                }
            }
            tcp.close();
            assert_ended(&client);
            assert_eq!(read_link(STDIN).expect("it is open"), PathBuf::from("/dev/null"));
            let child =
                Command::new("readlink").arg(STDIN).stdin(Stdio::inherit()).output().expect("readlink runs");
            assert_eq!(child.stdout, b"/dev/null\n", "children have it too");
        });
    }

    #[test]
    fn a_stream_that_waits_for_an_event_to_surround_is_closed_as_any_other() {
        alone("a_stream_that_waits_for_an_event_to_surround_is_closed_as_any_other", || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
            let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
            let event_loop = Loop::new().expect("a loop");
            let (accepted, _) = listener.accept().expect("accept");
            let number = format!("/proc/self/fd/{}", accepted.as_raw_fd());
            let tcp = Tcp::from_accepted(&event_loop, accepted.into());
            tcp.surround_next_event(|| ());
            tcp.close();
            assert_ended(&client);
            read_link(number).expect_err("nothing is left open");
        });
    }
}
