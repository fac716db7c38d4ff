//! The poll phase's half that knows mio: tokens, readiness, one blocking wait.
//!
//! mio is always edge-triggered while libuv's contract is level-triggered. Whoever leaves something unread, unwritten
//! or unaccepted says so by putting its handle into the loop's still-ready set; the poll phase then does not block.

use crate::key::Key;
use crate::layer::trace::Facts;
use crate::layer::{FlagKind, Flags};
use crate::sys::fork::Process;
use crate::{Errno, Error, LAYER, Result};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Events fetched by one wait: libuv's number. More wait in the kernel for the next one.
const EVENTS_PER_WAIT: usize = 1024;

/// Tokens of the loop itself: those of handles are smaller.
const WAKE: Token = Token(usize::MAX);
const SIGNAL: Token = Token(usize::MAX - 1);

/// What an event says about a descriptor.
pub(crate) type Readiness = Flags<Ready>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready;

impl FlagKind for Ready {
    type Bits = u8;
}

impl Readiness {
    pub(crate) const READABLE: Self = Self::bit(0);
    pub(crate) const WRITABLE: Self = Self::bit(1);
    /// A short read is not the last one: the peer has finished sending, the stream failed, or urgent data splits the
    /// input in two.
    pub(crate) const READ_ON: Self = Self::bit(2);
    /// The peer has finished sending.
    pub(crate) const PEER_ENDED: Self = Self::bit(3);
    /// The stream failed: a reset, mostly.
    pub(crate) const FAILED: Self = Self::bit(4);

    #[inline]
    fn of(event: &Event) -> Self {
        if event.is_error() || event.is_read_closed() || event.is_write_closed() || event.is_priority() {
            return Self::of_ending(event);
        }
        Self::READABLE.when(event.is_readable()) | Self::WRITABLE.when(event.is_writable())
    }

    /// What an event says that is not only of room and of input.
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

/// What an event is about.
pub(crate) enum Source {
    Wake,
    Signal,
    Handle { key: Key, readiness: Readiness },
}

pub(crate) struct Poller {
    poll: RefCell<Poll>,
    registry: Registry,
    events: Cell<Option<Events>>,
    waker: Arc<mio::Waker>,
    /// Whose it is: the kernel's half is shared with children that are forked, and so are its registrations.
    process: Process,
}

/// What an error notes where a loop is used in another process.
const FORKED: &str = "the loop is another process's, from which this one was forked";

impl Poller {
    pub(crate) fn new() -> Result<Self> {
        let failed = |error: io::Error| Error::new("epoll_create", Errno::from(error));
        let poll = Poll::new().map_err(failed)?;
        let registry = poll.registry().try_clone().map_err(failed)?;
        let waker = Arc::new(mio::Waker::new(&registry, WAKE).map_err(failed)?);
        Ok(Self {
            poll: RefCell::new(poll),
            registry,
            events: Cell::new(Some(Events::with_capacity(EVENTS_PER_WAIT))),
            waker,
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

    pub(crate) fn waker(&self) -> Arc<mio::Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.poll.borrow().as_raw_fd()
    }

    /// Watches `fd`. One edge is reported at once for what is already there.
    pub(crate) fn register(&self, fd: BorrowedFd<'_>, key: Key, writable: bool) -> Result<(), Errno> {
        let _down = LAYER.down("epoll_ctl(2)", Facts::default);
        Ok(self.own_registry()?.register(
            &mut SourceFd(&fd.as_raw_fd()),
            key.to_token(),
            interest(writable),
        )?)
    }

    /// Watches for writability as well: needed from the first write that would block.
    pub(crate) fn register_writable(&self, fd: BorrowedFd<'_>, key: Key) -> Result<(), Errno> {
        let _down = LAYER.down("epoll_ctl(2)", Facts::default);
        Ok(self.own_registry()?.reregister(&mut SourceFd(&fd.as_raw_fd()), key.to_token(), interest(true))?)
    }

    /// Watches the pipe into which signals are written.
    pub(crate) fn register_signals(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        Ok(self.own_registry()?.register(&mut SourceFd(&fd.as_raw_fd()), SIGNAL, Interest::READABLE)?)
    }

    /// Stops watching. Needed only where the open file outlives the descriptor: closing the last one does it too.
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        // Fails only if the descriptor is not watched, which is what was asked for.
        let _ = self.own_registry().map(|registry| registry.deregister(&mut SourceFd(&fd.as_raw_fd())));
    }

    /// Waits until something happens or `timeout` (`None`: for ever) has passed. A signal ends the wait early with an
    /// empty batch.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Result<Batch<'_>> {
        self.check_process("run")?;
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS_PER_WAIT));
        let poll = || (self.poll.borrow_mut().poll(&mut events, timeout), events);
        let (polled, mut events) = LAYER.kernel("epoll_wait(2)", poll, |(_, events)| {
            Facts::saying(format_args!("{} ready", events.iter().count()))
        });
        match polled {
            Ok(()) => Ok(Batch { poller: self, events }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(Batch { poller: self, events })
            }
            Err(error) => {
                self.events.set(Some(events));
                Err(Error::new("epoll_wait", Errno::from(error)))
            }
        }
    }
}

/// The events of one wait; gives their buffer back when dropped, also when an upcall panics.
pub(crate) struct Batch<'a> {
    poller: &'a Poller,
    events: Events,
}

impl Batch<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Source> + '_ {
        self.events.iter().map(source)
    }

    /// Whether more events may wait in the kernel, `events` having been in this batch.
    pub(crate) fn is_full(&self, events: usize) -> bool {
        events >= EVENTS_PER_WAIT
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        self.poller.events.set(Some(events));
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
    Source::Handle { key: Key::from_token(token), readiness: Readiness::of(event) }
}
