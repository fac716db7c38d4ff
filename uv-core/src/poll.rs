//! Readiness of descriptors that other code reads and writes. Mirrors `uv_poll_t`, libuv's `src/unix/poll.c`.
//!
//! Only that code knows how much it has read, so readiness has to be a level here: the registration is made without
//! `EPOLLET`, beside mio's own. The other way would be to register again after each call, which is a system call for each
//! event. An event costs nothing but its wait, then, as in libuv. mio shows less of an event than epoll(7) has; where that
//! matters, poll(2) is asked.

use crate::handle::{Handle, HandleInner, HandleKind};
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::poller::Readiness;
use crate::sys::epoll::{self, Bits, Change};
use crate::why::About;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::{BitOr, Deref};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

/// The notes of errors.
const ALWAYS_READY: &str = "a file or directory is always ready, and not watched";
const WATCHED: &str = "another handle of this loop watches the descriptor";
const CLOSING: &str = "the handle is closing";
const FAILED: &str = "the descriptor has an error, and is no longer watched";

/// Watches a descriptor whose input and output are the program's own: that of a C library, for example (`uv_poll_t`).
///
/// Readiness is a level: what the program leaves is reported again in the next turn of the loop, until the program has read
/// or written, or calls [`stop`](Self::stop). A report may be spurious, so the descriptor should be non-blocking. Unlike
/// libuv this crate does not make it so, because other processes may share the open file.
///
/// The handle keeps what owns the descriptor until it has closed, so the number cannot become another file's while it is
/// watched. A program that uses the descriptor itself shares it by an `Rc`. Code of another language owns its descriptors:
/// for these the program gives a `BorrowedFd<'static>`, which it makes in `unsafe` code by the promise that the
/// descriptor stays open until the handle has closed.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use std::rc::Rc;
/// use uv_core::poll::{Poll, PollEvents};
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let (ours, mut theirs) = UnixStream::pair().expect("a pair");
/// let ours = Rc::new(ours);
/// let poll = Poll::new(&event_loop, Rc::clone(&ours))?;
/// poll.start(PollEvents::READABLE, move |poll: &Poll, events| {
///     assert_eq!(events, Ok(PollEvents::READABLE));
///     let mut text = [0; 5];
///     (&*ours).read_exact(&mut text).expect("it is there");
///     poll.close();
/// })?;
/// theirs.write_all(b"hello").expect("write");
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Poll(Rc<PollInner>);

/// What a descriptor is watched for, or is ready for: a set (`uv_poll_event`).
///
/// ```
/// use uv_core::poll::PollEvents;
///
/// let both = PollEvents::READABLE | PollEvents::WRITABLE;
/// assert!(both.has(PollEvents::READABLE) && !both.has(PollEvents::DISCONNECT));
/// assert_eq!(format!("{both:?}"), "READABLE | WRITABLE");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PollEvents(Bits);

impl PollEvents {
    /// Nothing: to start with it is to stop.
    pub const NONE: Self = Self(0);
    /// A read does not block (`UV_READABLE`): there is input, or its end.
    pub const READABLE: Self = Self(libc::POLLIN);
    /// A write does not block (`UV_WRITABLE`).
    pub const WRITABLE: Self = Self(libc::POLLOUT);
    /// The peer of a stream socket has shut down its writing, or the whole connection (`UV_DISCONNECT`). There may be
    /// input before it.
    pub const DISCONNECT: Self = Self(libc::POLLRDHUP);
    /// There is urgent data, or another exceptional condition (`UV_PRIORITIZED`).
    pub const PRIORITIZED: Self = Self(libc::POLLPRI);

    /// Whether the sets have an event in common.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for PollEvents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for PollEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "READABLE"),
            (Self::WRITABLE, "WRITABLE"),
            (Self::DISCONNECT, "DISCONNECT"),
            (Self::PRIORITIZED, "PRIORITIZED"),
        ];
        let set: Vec<&str> =
            names.into_iter().filter(|(one, _)| self.has(*one)).map(|(_, name)| name).collect();
        if set.is_empty() { f.write_str("NONE") } else { f.write_str(&set.join(" | ")) }
    }
}

type OnPoll = Box<dyn FnMut(&Poll, Result<PollEvents>)>;

struct PollInner {
    handle: Handle,
    /// What owns the descriptor, until the close.
    owner: RefCell<Option<Rc<dyn AsFd>>>,
    /// What is watched for; empty while stopped.
    asked: Cell<PollEvents>,
    /// No event has come since the start. The first one may be older than the start.
    is_fresh: Cell<bool>,
    upcall: HandlerCell<OnPoll>,
}

/// What an event means.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Ready(PollEvents),
    Failed,
}

impl Poll {
    /// Creates a handle that is not started (`uv_poll_init`). It keeps `fd` until it has closed.
    ///
    /// # Errors
    /// `EPERM` for a regular file or a directory, `EBADF` for a descriptor that is closed, `EINVAL` for the loop's own; any
    /// other error of epoll_ctl(2). An error drops `fd`.
    #[track_caller]
    pub fn new(event_loop: &LoopHandle, fd: impl AsFd + 'static) -> Result<Self> {
        let number = fd.as_fd().as_raw_fd();
        event_loop.inner().poller.check_level(fd.as_fd()).map_err(|errno| {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::PollRefused);
            let error = Error::new("poll_init", errno).on(format_args!("fd {number}"));
            if errno == Errno::EPERM { error.noting(ALWAYS_READY) } else { error }
        })?;
        let owner = Rc::new(fd) as Rc<dyn AsFd>;
        let inner = event_loop.add(HandleKind::Poll, |handle| PollInner {
            handle,
            owner: RefCell::new(Some(owner)),
            asked: Cell::default(),
            is_fresh: Cell::new(false),
            upcall: HandlerCell::empty(),
        });
        if inner.handle.is_closed() {
            inner.drop_tower();
        }
        Ok(Self(inner))
    }

    /// Calls `upcall` whenever the descriptor is ready for one of `events`, with all of them for which it is ready
    /// (`uv_poll_start`). On a started handle this replaces both. Without events it is [`stop`](Self::stop).
    ///
    /// An error of the descriptor (`EPOLLERR`) stops the handle and is reported as `EBADF`, as in libuv; code that owns
    /// the descriptor learns what it is. If the other side of a pipe or a socket has hung up (`EPOLLHUP`) and nothing else
    /// is to be reported, all of `events` are.
    ///
    /// # Errors
    /// `EINVAL` if the handle is closing, `EEXIST` if another started handle of the loop watches the descriptor, `EBADF` if
    /// the descriptor was closed; any other error of epoll_ctl(2). The handle is unchanged then.
    pub fn start(
        &self,
        events: PollEvents,
        upcall: impl FnMut(&Self, Result<PollEvents>) + 'static,
    ) -> Result<()> {
        let failed = |errno| Error::new("poll_start", errno);
        let Some(owner) = self.0.owner() else { return Err(failed(Errno::EINVAL).noting(CLOSING)) };
        if events.is_empty() {
            self.stop();
            return Ok(());
        }
        let change = if self.0.asked.get().is_empty() { Change::Add } else { Change::Modify };
        let poller = &self.loop_handle().inner().poller;
        poller.watch_level(owner.as_fd(), change, events.0, self.0.handle.key()).map_err(|errno| {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::PollStartFails);
            let error = failed(errno).on(format_args!("fd {}", owner.as_fd().as_raw_fd()));
            if errno == Errno::EEXIST { error.noting(WATCHED) } else { error }
        })?;
        self.0.asked.set(events);
        self.0.is_fresh.set(true);
        self.0.handle.start();
        self.0.upcall.set(Box::new(upcall));
        Ok(())
    }

    /// Stops the calls (`uv_poll_stop`), also for an event that the loop has fetched already. Idempotent.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// The descriptor (`uv_fileno`).
    ///
    /// # Errors
    /// `EBADF` if the handle is closing.
    pub fn fileno(&self) -> Result<RawFd> {
        self.0.descriptor().ok_or(Error::new("fileno", Errno::EBADF))
    }
}

impl PollInner {
    fn owner(&self) -> Option<Rc<dyn AsFd>> {
        self.owner.borrow().clone().filter(|_| !self.handle.is_closing())
    }

    fn stop(&self) {
        if self.asked.replace(PollEvents::NONE).is_empty() {
            return;
        }
        let owner = self.owner.borrow().clone();
        if let Some(owner) = owner {
            self.handle.loop_handle().inner().poller.unwatch_level(owner.as_fd());
        }
        self.handle.stop();
    }

    /// What an event means for what is `asked`.
    fn found(&self, asked: PollEvents, readiness: Readiness) -> Found {
        // mio does not tell urgent data, a disconnect without input, and what ends a stream apart.
        let is_blurred = readiness.has(Readiness::READ_ON | Readiness::PEER_ENDED | Readiness::FAILED)
            || (asked.has(PollEvents::DISCONNECT) && !asked.has(PollEvents::READABLE));
        let told = told(readiness);
        let bits =
            if self.is_fresh.replace(false) || is_blurred { self.ask(asked).unwrap_or(told) } else { told };
        meaning(bits, asked)
    }

    fn ask(&self, asked: PollEvents) -> Option<Bits> {
        let owner = self.owner.borrow().clone()?;
        let found = epoll::readiness(owner.as_fd(), asked.0);
        #[cfg(upcall_faults)]
        crate::faults::reached_if(crate::faults::Branch::PollUnasked, &found);
        found.ok()
    }
}

/// The bits of an event, as far as mio tells them. Where it does not tell, these are the bits that there may be: every event
/// has a meaning, or the loop would spin.
fn told(readiness: Readiness) -> Bits {
    let ends = readiness.has(Readiness::PEER_ENDED | Readiness::FAILED);
    let bits = [
        (readiness.has(Readiness::READABLE), libc::POLLIN),
        (readiness.has(Readiness::WRITABLE), libc::POLLOUT),
        (readiness.has(Readiness::PEER_ENDED), libc::POLLRDHUP | libc::POLLHUP),
        (readiness.has(Readiness::FAILED), libc::POLLERR),
        (readiness.has(Readiness::READ_ON) && !ends, libc::POLLPRI),
    ];
    match bits.into_iter().filter(|(is_set, _)| *is_set).fold(0, |sum, (_, bits)| sum | bits) {
        // mio does not show this bit by itself.
        0 => libc::POLLRDHUP,
        told => told,
    }
}

/// As `uv__io_poll` and `uv__poll_io` do. A descriptor that tells by an error that it has urgent data, as files of sysfs do,
/// has not failed.
fn meaning(bits: Bits, asked: PollEvents) -> Found {
    const ENDS: Bits = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
    let is_urgent =
        asked.has(PollEvents::PRIORITIZED) && (bits & libc::POLLPRI != 0 || bits == libc::POLLERR);
    match PollEvents(bits & asked.0) {
        _ if bits & libc::POLLNVAL != 0 => Found::Failed,
        _ if bits & libc::POLLERR != 0 && !is_urgent => Found::Failed,
        PollEvents::NONE if bits & ENDS != 0 => Found::Ready(asked),
        PollEvents::NONE => Found::Nothing,
        ready => Found::Ready(ready),
    }
}

impl HandleInner for PollInner {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn on_event(self: Rc<Self>, readiness: Readiness) {
        let asked = self.asked.get();
        // It was stopped after the event was fetched.
        if asked.is_empty() {
            return;
        }
        let events = match self.found(asked, readiness) {
            Found::Nothing => return,
            Found::Ready(events) => Ok(events),
            Found::Failed => {
                let number = self.descriptor().unwrap_or(-1);
                self.stop();
                Err(Error::new("poll", Errno::EBADF).on(format_args!("fd {number}")).noting(FAILED))
            }
        };
        let poll = Poll(self);
        let _up = LAYER.up("PollInner::on_event", || Facts::of(&poll));
        poll.0.upcall.call(|upcall| upcall(&poll, events));
    }

    fn postpone(&self, _: Readiness) -> bool {
        // The next wait reports it again.
        false
    }

    fn begin_close(&self) {
        self.stop();
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
        drop(self.owner.take());
    }

    fn descriptor(&self) -> Option<i32> {
        let owner = self.owner();
        owner.map(|owner| owner.as_fd().as_raw_fd())
    }

    fn about(&self) -> About {
        About::saying(format!("watches for {:?}", self.asked.get()))
    }
}

impl Deref for Poll {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll")
            .field("fd", &self.0.descriptor())
            .field("events", &self.0.asked.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP};

    #[test]
    fn events_mean_what_they_mean_in_libuv() {
        let read = PollEvents::READABLE;
        let urgent = PollEvents::PRIORITIZED;
        let cases = [
            (POLLIN, read, Found::Ready(read)),
            (POLLIN | POLLOUT, read, Found::Ready(read)),
            (POLLOUT, read, Found::Nothing),
            (POLLRDHUP, read, Found::Nothing),
            (POLLHUP, read, Found::Ready(read)),
            (POLLIN | POLLHUP, read | urgent, Found::Ready(read)),
            (POLLERR, read, Found::Failed),
            (POLLIN | POLLERR | POLLHUP, read, Found::Failed),
            (POLLPRI | POLLERR, urgent, Found::Ready(urgent)),
            (POLLERR, urgent, Found::Ready(urgent)),
            (POLLNVAL, urgent, Found::Failed),
        ];
        for (bits, asked, found) in cases {
            assert_eq!(meaning(bits, asked), found, "{bits:#x} for {asked:?}");
        }
    }
}
