//! The part of the poll phase that knows mio: tokens, readiness, one blocking wait.
//!
//! mio is always edge-triggered while libuv's contract is level-triggered. A handle that leaves input unread, output
//! unwritten or a connection unaccepted joins the loop's still-ready set; the poll phase then does not block.

use crate::key::Key;
use crate::layer::trace::Facts;
use crate::layer::{FlagKind, Flags};
use crate::sync::Waker;
use crate::sys::epoll::{self, Bits, Change};
use crate::sys::fork::Process;
use crate::sys::signal::Withheld;
use crate::{Errno, Error, LAYER, Result};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Events per wait, libuv's number. The kernel keeps more for the next wait.
const EVENTS_PER_WAIT: usize = 1024;

/// Tokens of the loop itself. Tokens of handles are smaller.
const WAKE: Token = Token(usize::MAX);
const SIGNAL: Token = Token(usize::MAX - 1);
const ALARM: Token = Token(usize::MAX - 2);

/// The readiness that an event reports.
pub(crate) type Readiness = Flags<Ready>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready;

impl FlagKind for Ready {
    type Bits = u8;
}

impl Readiness {
    pub(crate) const READABLE: Self = Self::bit(0);
    pub(crate) const WRITABLE: Self = Self::bit(1);
    /// A short read does not mean that the kernel has no more input: the peer has sent its FIN, the stream failed, or
    /// urgent data splits the input.
    pub(crate) const READ_ON: Self = Self::bit(2);
    /// The peer has sent its FIN.
    pub(crate) const PEER_ENDED: Self = Self::bit(3);
    /// The stream failed, usually by a reset.
    pub(crate) const FAILED: Self = Self::bit(4);
    /// No readiness but an interest in it: the program reads the input itself. Here because a turn tests the endings
    /// anyway.
    pub(crate) const PULLED: Self = Self::bit(5);
    /// Input is to be reported once, and then the stream is pulled no longer.
    pub(crate) const ONCE: Self = Self::bit(6);

    #[inline]
    fn of(event: &Event) -> Self {
        if event.is_error() || event.is_read_closed() || event.is_write_closed() || event.is_priority() {
            return Self::of_ending(event);
        }
        Self::READABLE.when(event.is_readable()) | Self::WRITABLE.when(event.is_writable())
    }

    /// Of the bits of poll(2), which are those of epoll(7), as mio reads them.
    #[cfg(upcall_faults)]
    pub(crate) fn of_poll(bits: libc::c_short, writable: bool) -> Self {
        let has = |bit: libc::c_short| bits & bit != 0;
        let failed = has(libc::POLLERR);
        let hung_up = has(libc::POLLHUP);
        let peer_ended = hung_up || has(libc::POLLIN) && has(libc::POLLRDHUP);
        let write_closed = hung_up || failed && (has(libc::POLLOUT) && writable || bits == libc::POLLERR);
        Self::READABLE.when(has(libc::POLLIN | libc::POLLPRI) || peer_ended || failed)
            | Self::WRITABLE.when(has(libc::POLLOUT) && writable || write_closed || failed)
            | Self::READ_ON.when(peer_ended || failed || has(libc::POLLPRI))
            | Self::PEER_ENDED.when(peer_ended)
            | Self::FAILED.when(failed)
    }

    /// The readiness beyond readable and writable.
    #[cold]
    fn of_ending(event: &Event) -> Self {
        let failed = event.is_error();
        let peer_ended = event.is_read_closed();
        let read_closed = peer_ended || failed;
        let readable = event.is_readable() || read_closed;
        let writable = event.is_writable() || event.is_write_closed() || failed;
        let read_on = read_closed || event.is_priority();
        Self::READABLE.when(readable)
            | Self::WRITABLE.when(writable)
            | Self::READ_ON.when(read_on)
            | Self::PEER_ENDED.when(peer_ended)
            | Self::FAILED.when(failed)
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.has(Self::READABLE), self.has(Self::WRITABLE)) {
            (true, true) => "readable and writable",
            (true, false) => "readable",
            (false, true) => "writable",
            (false, false) => "nothing",
        })
    }
}

/// The source of an event.
#[cfg_attr(upcall_faults, derive(Clone, Copy))]
pub(crate) enum Source {
    Wake,
    Signal,
    /// The deadline of the loop is over.
    Alarm,
    Handle {
        key: Key,
        readiness: Readiness,
    },
}

/// What a wait changes.
struct Waiter {
    poll: Poll,
    /// The events of the last wait.
    events: Events,
}

pub(crate) struct Poller {
    waiter: RefCell<Waiter>,
    registry: Registry,
    waker: Arc<Waker>,
    /// The signal that is blocked during a wait.
    withheld: Cell<Option<i32>>,
    /// The process that created the epoll instance. Forked children share the instance and its registrations.
    process: Process,
}

/// The note of an error where a loop is used in another process.
const FORKED: &str = "the loop belongs to the process from which this one was forked";

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        let failed = |error: io::Error| {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::LoopFails);
            Error::new("epoll_create", Errno::from(error))
        };
        #[cfg(upcall_faults)]
        crate::faults::refuse("epoll_create1(2)")
            .map_err(|errno| failed(io::Error::from_raw_os_error(errno.raw())))?;
        let poll = Poll::new().map_err(failed)?;
        let registry = poll.registry().try_clone().map_err(failed)?;
        let waker = Arc::new(Waker::new(&registry, WAKE).map_err(failed)?);
        #[cfg(upcall_faults)]
        crate::faults::new_loop(poll.as_raw_fd());
        Ok(Self {
            waiter: RefCell::new(Waiter { poll, events: Events::with_capacity(EVENTS_PER_WAIT) }),
            registry,
            waker,
            withheld: Cell::new(None),
            process: Process::current(),
        })
    }

    pub(crate) fn is_own(&self) -> bool {
        self.process.is_current()
    }

    pub(crate) fn check_process(&self, op: &'static str) -> Result<()> {
        if self.is_own() { Ok(()) } else { Err(Error::new(op, Errno::EINVAL).noting(FORKED)) }
    }

    fn own_registry(&self) -> Result<&Registry, Errno> {
        if self.is_own() { Ok(&self.registry) } else { Err(Errno::EINVAL) }
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Blocks the signal during each wait from now on.
    pub(crate) fn withhold(&self, signum: i32) {
        self.withheld.set(Some(signum));
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.waiter.borrow().poll.as_raw_fd()
    }

    /// Watches `fd`. An event is reported for the readiness that exists already.
    pub(crate) fn register(&self, fd: BorrowedFd<'_>, key: Key, writable: bool) -> Result<(), Errno> {
        let _down = LAYER.down("epoll_ctl(2)", Facts::default);
        #[cfg(upcall_faults)]
        crate::faults::register(self.fd(), fd, key, writable)?;
        Ok(self.own_registry()?.register(
            &mut SourceFd(&fd.as_raw_fd()),
            key.to_token(),
            interest(writable),
        )?)
    }

    /// Also watches for writability, which the first write that would block needs.
    pub(crate) fn register_writable(&self, fd: BorrowedFd<'_>, key: Key) -> Result<(), Errno> {
        let _down = LAYER.down("epoll_ctl(2)", Facts::default);
        #[cfg(upcall_faults)]
        crate::faults::register(self.fd(), fd, key, true)?;
        Ok(self.own_registry()?.reregister(&mut SourceFd(&fd.as_raw_fd()), key.to_token(), interest(true))?)
    }

    /// Watches the pipe of the signal handler.
    pub(crate) fn register_signals(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        #[cfg(upcall_faults)]
        crate::faults::refuse("epoll_ctl(2)")?;
        Ok(self.own_registry()?.register(&mut SourceFd(&fd.as_raw_fd()), SIGNAL, Interest::READABLE)?)
    }

    /// Watches the timerfd of the loop's deadline.
    pub(crate) fn register_alarm(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let _down = LAYER.down("epoll_ctl(2)", Facts::default);
        Ok(self.own_registry()?.register(&mut SourceFd(&fd.as_raw_fd()), ALARM, Interest::READABLE)?)
    }

    /// Watches `fd` without `EPOLLET`, or changes for what: an event is reported as long as the descriptor is ready.
    pub(crate) fn watch_level(
        &self,
        fd: BorrowedFd<'_>,
        change: Change,
        events: Bits,
        key: Key,
    ) -> Result<(), Errno> {
        self.control(change, fd, events, key.to_token().0 as u64)
    }

    /// Ends a [`watch_level`](Self::watch_level).
    pub(crate) fn unwatch_level(&self, fd: BorrowedFd<'_>) {
        // Fails only if the descriptor is not watched, which is the wanted state.
        let _ = self.control(Change::Remove, fd, 0, 0);
    }

    /// Whether the kernel can watch this descriptor.
    pub(crate) fn check_level(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        match self.control(Change::Add, fd, 0, 0) {
            Ok(()) => self.unwatch_level(fd),
            // Another handle of this loop watches it.
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    fn control(&self, change: Change, fd: BorrowedFd<'_>, events: Bits, token: u64) -> Result<(), Errno> {
        self.own_registry()?;
        epoll::control(self.fd(), change, fd, events, token)
    }

    /// Stops watching. Needed only where the open file outlives the descriptor: closing its last descriptor also ends
    /// the registration.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        #[cfg(upcall_faults)]
        crate::faults::deregister(fd);
        // Fails only if the descriptor is not watched, which is the wanted state.
        let _ = self.own_registry().map(|registry| registry.deregister(&mut SourceFd(&fd.as_raw_fd())));
    }

    /// Waits for an event or until `timeout` has passed; `None` waits without a limit. A signal ends the wait early
    /// with an empty batch.
    #[inline]
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<Batch<'_>> {
        self.check_process("run")?;
        #[cfg(upcall_models)]
        self.waker.before_poll(timeout);
        let _withheld = self.withheld.get().map(Withheld::new);
        let poll = || {
            let Waiter { poll, events } = &mut *self.waiter.borrow_mut();
            poll.poll(events, timeout)
        };
        let polled = LAYER.kernel("epoll_wait(2)", poll, |_| {
            Facts::saying(format_args!("{} ready", self.waiter.borrow().events.iter().count()))
        });
        match polled {
            Ok(()) => Ok(self.batch()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::WaitInterrupted);
                self.waiter.borrow_mut().events.clear();
                Ok(self.batch())
            }
            Err(error) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::WaitFails);
                Err(Error::new("epoll_wait", Errno::from(error)))
            }
        }
    }

    /// An empty batch, as of a wait that a signal has interrupted.
    #[cfg(upcall_faults)]
    pub(crate) fn wait_interrupted(&self) -> Result<Batch<'_>> {
        self.check_process("run")?;
        crate::faults::reached(crate::faults::Branch::WaitInterrupted);
        self.waiter.borrow_mut().events.clear();
        Ok(self.batch())
    }

    fn batch(&self) -> Batch<'_> {
        Batch {
            events: Ref::map(self.waiter.borrow(), |waiter| &waiter.events),
            #[cfg(upcall_faults)]
            injected: None,
        }
    }
}

/// The events of one wait. The next wait needs it to be dropped.
pub(crate) struct Batch<'a> {
    events: Ref<'a, Events>,
    /// Events that the world reports in place of the kernel's.
    #[cfg(upcall_faults)]
    injected: Option<Vec<Source>>,
}

impl Batch<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Source> + '_ {
        let events = self.events.iter().map(source);
        #[cfg(upcall_faults)]
        let events = {
            let from_kernel = if self.injected.is_some() { 0 } else { usize::MAX };
            events.take(from_kernel).chain(self.injected.iter().flatten().copied())
        };
        events
    }

    #[cfg(upcall_faults)]
    pub(crate) fn replaced_by(mut self, injected: Vec<Source>) -> Self {
        self.injected = Some(injected);
        self
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        #[cfg(upcall_faults)]
        if let Some(injected) = &self.injected {
            return injected.is_empty();
        }
        self.events.is_empty()
    }

    /// Whether the kernel may have more events, if this batch had `events`.
    pub(crate) fn is_full(&self, events: usize) -> bool {
        events >= EVENTS_PER_WAIT
    }
}

fn interest(writable: bool) -> Interest {
    let readable = Interest::READABLE | Interest::PRIORITY;
    if writable { readable | Interest::WRITABLE } else { readable }
}

fn source(event: &Event) -> Source {
    let token = event.token();
    if token == WAKE {
        return Source::Wake;
    }
    if token == SIGNAL {
        return Source::Signal;
    }
    if token == ALARM {
        return Source::Alarm;
    }
    Source::Handle { key: Key::from_token(token), readiness: Readiness::of(event) }
}
