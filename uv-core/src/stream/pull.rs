//! Pulling: the program is told of input and reads it itself, when and where it wants. libuv has no counterpart, and users
//! ask for one (`uv_try_read`); this is what an asynchronous reader stands on.
//!
//! No buffer is lent or kept. The interest is a bit among the readiness, in a mask that a turn tests anyway, so streams that
//! are read by `read_start` pay nothing for it.

use super::flags::{END_TOLD, READING};
use super::read::Step;
use super::{READABLE, Stream, StreamInner, WRITABLE};
use crate::failure::{Call, Failure};
use crate::layer::OnDrop;
use crate::layer::trace::Facts;
use crate::poller::Readiness;
use crate::sys;
use crate::{Errno, Error, LAYER, Result};
use std::rc::Rc;

/// The note of an error where a buffer has no room: no byte and the end would look alike.
const NO_ROOM: &str = "the buffer is empty";

impl StreamInner {
    fn check_pullable(&self) -> Result<(), Errno> {
        match () {
            () if self.handle.is_closing() => Err(Errno::EINVAL),
            () if self.has(READING) => Err(Errno::EALREADY),
            () if !self.has(READABLE) => Err(Errno::ENOTCONN),
            () => Ok(()),
        }
    }

    pub(super) fn readable_start(self: &Rc<Self>, once: bool) -> Result<()> {
        let failed = |errno| Err(Error::new("readable_start", errno));
        if let Err(errno) = self.check_pullable() {
            return failed(errno);
        }
        if self.ready.has(Readiness::PULLED) {
            return failed(Errno::EALREADY);
        }
        self.clear(END_TOLD);
        self.set_pulled(true);
        self.ready.set(Readiness::ONCE.when(once));
        if self.is_watched() && self.ready.has(Readiness::READABLE) {
            self.push_ready();
            return Ok(());
        }
        // Registering reports the input that is there, where reading would find out by itself.
        self.ready.clear(Readiness::READABLE);
        match self.watch() {
            Ok(()) => Ok(()),
            Err(errno) if Failure::of(Call::Watch, errno) == Failure::Passing => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReadableStartWaits);
                self.pause_input(Call::Watch, errno);
                Ok(())
            }
            Err(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::ReadableStartFails);
                self.set_pulled(false);
                failed(errno)
            }
        }
    }

    /// Begins or ends the calls of `on_readable`.
    pub(super) fn set_pulled(&self, is_pulled: bool) {
        if is_pulled {
            self.ready.set(Readiness::PULLED);
        } else {
            self.ready.clear(Readiness::PULLED | Readiness::ONCE);
        }
        self.update_active();
    }

    pub(super) fn try_read(self: &Rc<Self>, buffer: &mut [u8]) -> Result<usize> {
        let failed = |errno| Error::new("read", errno);
        let fd = self.fd.get().ok_or_else(|| failed(Errno::EBADF))?;
        self.check_pullable().map_err(failed)?;
        if buffer.is_empty() {
            return Err(failed(Errno::EINVAL).noting(NO_ROOM));
        }
        match self.read_once(fd, buffer) {
            Step::Data(count, is_last) => {
                self.bytes_read.set(self.bytes_read.get() + count as u64);
                if is_last {
                    self.ready.clear(Readiness::READABLE);
                } else {
                    self.ready.set(Readiness::READABLE);
                    self.pull_again();
                }
                Ok(count)
            }
            Step::End => {
                self.set(END_TOLD);
                self.set_pulled(false);
                if !self.is_watched() {
                    // The pending phase watches it for a failure.
                    self.feed();
                }
                Ok(0)
            }
            Step::WouldBlock => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::TryReadBlocks);
                self.ready.clear(Readiness::READABLE | Readiness::READ_ON);
                Err(failed(Errno::EAGAIN))
            }
            Step::Failed(errno) => Err(failed(self.pull_failed(errno))),
        }
    }

    /// Gives a stream that is pulled another turn, for the input that it has left.
    fn pull_again(self: &Rc<Self>) {
        if self.ready.has(Readiness::PULLED) {
            self.push_ready();
        }
    }

    /// Handles a failed read. Returns the error that the program gets.
    #[cold]
    fn pull_failed(self: &Rc<Self>, errno: Errno) -> Errno {
        match Failure::of(Call::Read, errno) {
            // A temporary lack of memory, or interruptions beyond the bound: treated like no input.
            Failure::Passing | Failure::Interrupted => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::TryReadLater);
                // Also for a program that does not pull now: if it begins to, it is told when the pause is over.
                self.pause_input(Call::Read, errno);
                Errno::EAGAIN
            }
            _ => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::TryReadFails);
                self.clear(READABLE | WRITABLE);
                self.set_pulled(false);
                errno
            }
        }
    }
}

impl Stream {
    /// Lets `on_readable` report input, which the program reads with [`try_read`](Self::try_read). The loop reads nothing and
    /// lends no buffer.
    ///
    /// Readiness is a level: what the program leaves is reported again in the next turn, so a program that has enough for
    /// now calls [`read_stop`](Self::read_stop). The end, or a failure, stops it once `try_read` has returned it.
    ///
    /// # Errors
    /// As for [`read_start`](Self::read_start): a stream is either read or pulled.
    pub fn readable_start(&self) -> Result<()> {
        let _down = LAYER.down("Stream::readable_start", || Facts::of(self));
        self.0.readable_start(false)
    }

    /// Like [`readable_start`](Self::readable_start), for one report (`EPOLLONESHOT`): behind it the stream is not pulled, until this is
    /// called again. Within `on_readable` that is cheapest, for a program that waits for input, reads it, and waits again.
    ///
    /// # Errors
    /// As for `readable_start`.
    pub fn readable_once(&self) -> Result<()> {
        let _down = LAYER.down("Stream::readable_once", || Facts::of(self));
        self.0.readable_start(true)
    }

    /// Reads what is there into `buffer`, in one system call. Returns the number of bytes; 0 is the end, the peer's FIN.
    ///
    /// A program may call it at any time while the loop does not read, whether or not `on_readable` has reported input.
    /// Descriptors that come with the bytes are kept as for `on_read`: see
    /// [`Pipe::take_received`](crate::Pipe::take_received). On a pipe in blocking mode the call blocks.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use uv_core::{Errno, Loop, Pipe};
    ///
    /// let event_loop = Loop::new()?;
    /// let pipe = Pipe::new(&event_loop);
    /// let mut peer = UnixStream::from(pipe.open_pair()?);
    /// let mut buffer = [0; 16];
    /// assert_eq!(pipe.try_read(&mut buffer).expect_err("nothing is there").errno(), Errno::EAGAIN);
    /// peer.write_all(b"hello").expect("write");
    /// assert_eq!(pipe.try_read(&mut buffer), Ok(5));
    /// drop(peer);
    /// assert_eq!(pipe.try_read(&mut buffer), Ok(0));
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `EAGAIN` if nothing is there; `EALREADY` while the loop reads; `ENOTCONN` if the stream is not readable: it listens,
    /// connects or has failed; `EBADF` without a descriptor, `EINVAL` for an empty buffer. Any error of the system call,
    /// such as `ECONNRESET`: the stream is no longer readable or writable then.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        let _down = LAYER.down("Stream::try_read", || Facts::of(self));
        self.0.try_read(buffer)
    }

    /// Whether [`try_read`](Self::try_read) would read in vain: what came last was read, and the loop has heard of nothing
    /// since. A program that then waits for `on_readable` saves the system call.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.0.is_watched() && !self.0.ready.has(Readiness::READABLE)
    }

    /// Whether the kernel has input, the peer's FIN or a failure of this stream, also if no event has told the loop yet; `true`
    /// as well if it cannot be asked. Costs a system call (`poll(2)`), and changes nothing.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use uv_core::{Loop, Pipe};
    ///
    /// let event_loop = Loop::new()?;
    /// let pipe = Pipe::new(&event_loop);
    /// let mut peer = UnixStream::from(pipe.open_pair()?);
    /// assert!(!pipe.may_have_input());
    /// peer.write_all(b"hello").expect("write");
    /// assert!(pipe.may_have_input());
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[must_use]
    pub fn may_have_input(&self) -> bool {
        self.0.fd.get().is_none_or(sys::socket::may_have_input)
    }

    /// The end of a turn of a stream that the loop may not be reading.
    #[cold]
    pub(super) fn tell_unread(&self) {
        if self.0.ready.has(Readiness::PULLED) { self.pull_turn() } else { self.tell_unread_end() }
    }

    /// Tells a stream that is pulled of its input, its end or its failure, each of which `try_read` gets. What the program
    /// leaves is reported again in the next turn.
    fn pull_turn(&self) {
        let inner = &self.0;
        if !inner.ready.has(Readiness::READABLE) || inner.handle.is_closing() {
            return;
        }
        if !inner.is_watched() {
            // The registration was refused, and its pause is over: it reports what is there.
            inner.ready.clear(Readiness::READABLE);
            return self.await_input();
        }
        if inner.ready.has(Readiness::ONCE) {
            return self.pull_once();
        }
        self.call("StreamUpcall::on_readable", |upcall, stream| upcall.on_readable(stream));
        if inner.ready.has(Readiness::READABLE) && !inner.handle.is_closing() {
            inner.pull_again();
        }
    }

    /// Tells a stream of its input once. Behind that it is not pulled, unless the program asks for it meanwhile.
    fn pull_once(&self) {
        let inner = &self.0;
        // It stays active until then.
        inner.ready.clear(Readiness::PULLED | Readiness::ONCE);
        let _then = OnDrop::new(|| {
            if !inner.ready.has(Readiness::PULLED) {
                inner.update_active();
                inner.tell_later();
            }
        });
        self.call("StreamUpcall::on_readable", |upcall, stream| upcall.on_readable(stream));
    }
}
