//! The loop: its clock, and the order of its phases. Mirrors `uv_run` and `uv_loop_t`, libuv's `src/unix/core.c` and
//! `src/uv-common.c`.

use crate::alarm::Alarm;
use crate::handle::HandleInner;
use crate::layer::OnDrop;
use crate::members::Members;
use crate::metrics::Meter;
use crate::paused::Paused;
use crate::phases::Polls;
use crate::poller::Poller;
use crate::queue::Queue;
use crate::signal::Signals;
use crate::stream::{Cork, Outgoing};
use crate::sys;
use crate::sys::clock::Origin;
use crate::timer::TimerQueue;
use crate::udp::Lent;
use crate::wake::{Inbox, Remote};
use crate::watcher::Watchers;
use crate::work::Works;
use crate::{Check, Errno, Error, Idle, Prepare, Result};
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

/// Rounds over the pending queue after a poll, libuv's number: completions do not wait for the next iteration, and a
/// chain of them does not keep the loop from its other phases.
const PENDING_ROUNDS: u32 = 8;

/// How long [`LoopHandle::run`] runs (`uv_run_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Until nothing is alive, or until `stop`.
    Default,
    /// One iteration, which blocks until there is an event.
    Once,
    /// One iteration, which does not block.
    NoWait,
}

/// An event loop and everything in it (`uv_loop_t`).
///
/// It dereferences to [`LoopHandle`], the clone that handles and callbacks keep. Dropping the loop drops every handle's
/// tower and closes every handle's descriptor without an upcall. Do not drop it inside one of its own callbacks: that
/// callback's tower would leak. The loop's own descriptors (two for epoll, an eventfd, two of a pipe if it has
/// watched signals, and a timerfd if it has waited often with one deadline) are closed with the last [`LoopHandle`], and each handle keeps one.
///
/// A loop belongs to the thread and the process that created it. A child forked without `exec` shares the kernel's half
/// of its parent's loops: there they refuse to run, and dropping them does not affect the parent. Create new loops in
/// the child; they have signals and a thread pool of their own.
///
/// ```
/// use std::time::Duration;
/// use uv_core::{Loop, RunMode, Timer};
///
/// let event_loop = Loop::new()?;
/// let timer = Timer::new(&event_loop);
/// timer.start(Duration::from_millis(1), Duration::ZERO, |timer: &Timer| timer.close())?;
/// // Runs until nothing is alive.
/// assert!(!event_loop.run(RunMode::Default)?);
/// event_loop.close()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
pub struct Loop {
    handle: LoopHandle,
}

/// A handle to a loop. Clones are cheap and refer to the same loop.
#[derive(Clone)]
pub struct LoopHandle(Rc<LoopInner>);

/// A closing handle, and the callback to call after its `on_close`.
pub(crate) type Closing = (Rc<dyn HandleInner>, Option<Box<dyn FnOnce()>>);

pub(crate) struct LoopInner {
    /// The origin of `now`.
    pub(crate) origin: Origin,
    /// In nanoseconds.
    pub(crate) now: Cell<u64>,
    /// `now` is from before the callbacks of the last iteration.
    pub(crate) lags: Cell<bool>,
    pub(crate) stop: Cell<bool>,
    running: Cell<bool>,
    pub(crate) members: Members,
    pub(crate) pending: Queue<Rc<dyn HandleInner>>,
    pub(crate) closing: RefCell<Vec<Closing>>,
    pub(crate) still_ready: Queue<Rc<dyn HandleInner>>,
    pub(crate) paused: Paused,
    pub(crate) polls: Polls,
    /// A signal has arrived and is not yet reported: signals are reported after all other I/O of a batch.
    pub(crate) signalled: Cell<bool>,
    pub(crate) read_buffer: Cell<Option<Box<[u8]>>>,
    /// An empty write queue, kept so that a write need not allocate one.
    pub(crate) spare_output: Cell<Option<Box<Outgoing>>>,
    /// Small writes that leave together.
    pub(crate) cork: Cork,
    /// The buffers for datagrams.
    pub(crate) datagrams: Lent,
    /// A descriptor to close when the process has none left for `accept`.
    pub(crate) spare_fd: Cell<Option<OwnedFd>>,
    pub(crate) poller: Poller,
    pub(crate) alarm: Alarm,
    pub(crate) timers: TimerQueue,
    pub(crate) idle: Watchers<Idle>,
    pub(crate) prepare: Watchers<Prepare>,
    pub(crate) check: Watchers<Check>,
    pub(crate) inbox: Inbox,
    pub(crate) signals: Signals,
    pub(crate) works: Works,
    /// Measures the loop, if that was asked for.
    pub(crate) meter: OnceCell<Meter>,
}

impl LoopInner {
    /// The origin of `now`.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.get()
    }
}

impl Loop {
    /// Creates an empty loop.
    ///
    /// # Errors
    /// Any error of creating the epoll instance or the eventfd.
    pub fn new() -> Result<Self> {
        let poller = Poller::new()?;
        let inbox = Inbox::new(poller.waker());
        let spare_fd = sys::fd::open_spare();
        #[cfg(upcall_faults)]
        crate::faults::reached_if(crate::faults::Branch::SpareMissing, &spare_fd);
        let inner = LoopInner {
            origin: Origin::now(),
            now: Cell::new(0),
            lags: Cell::new(false),
            stop: Cell::new(false),
            running: Cell::new(false),
            members: Members::default(),
            pending: Queue::default(),
            closing: RefCell::default(),
            still_ready: Queue::default(),
            paused: Paused::default(),
            polls: Polls::default(),
            signalled: Cell::new(false),
            read_buffer: Cell::new(None),
            spare_output: Cell::new(None),
            cork: Cork::default(),
            datagrams: Lent::default(),
            spare_fd: Cell::new(spare_fd.ok()),
            poller,
            alarm: Alarm::default(),
            timers: TimerQueue::default(),
            idle: Watchers::default(),
            prepare: Watchers::default(),
            check: Watchers::default(),
            inbox,
            signals: Signals::default(),
            works: Works::default(),
            meter: OnceCell::new(),
        };
        Ok(Self { handle: LoopHandle(Rc::new(inner)) })
    }

    /// Checks that the loop is closed: no handle is open and no request is in flight (`uv_loop_close`).
    ///
    /// # Errors
    /// `EBUSY` with the names of the open handles, or the number of requests in flight. The loop stays usable.
    pub fn close(&self) -> Result<()> {
        let mut open: Vec<String> = self.handles().iter().map(ToString::to_string).collect();
        match self.active_requests() {
            0 if open.is_empty() => return Ok(()),
            0 => {}
            requests => open.push(format!("{requests} active requests")),
        }
        Err(Error::new("loop_close", Errno::EBUSY).on(open.join(", ")))
    }
}

impl Deref for Loop {
    type Target = LoopHandle;

    fn deref(&self) -> &LoopHandle {
        &self.handle
    }
}

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl LoopHandle {
    /// Runs the loop (`uv_run`). Returns whether anything is still alive, in which case the program should run it
    /// again.
    ///
    /// Phases of an iteration, in order: pending completions, idle, prepare, poll, pending again, check, closing
    /// handles, timers. In [`RunMode::Default`] due timers also run once before the first iteration.
    ///
    /// # Errors
    /// `EBUSY` if called from a callback of the same loop, `EINVAL` in a process forked from the loop's own; any error
    /// of polling.
    ///
    /// # Panics
    /// Passes on a callback's panic. The loop is usable afterwards.
    pub fn run(&self, mode: RunMode) -> Result<bool> {
        let inner = &*self.0;
        inner.poller.check_process("run")?;
        if inner.running.replace(true) {
            return Err(Error::new("run", Errno::EBUSY));
        }
        #[cfg(upcall_faults)]
        crate::faults::begin_run(self.backend_fd());
        if let Some(meter) = inner.meter.get() {
            meter.begin_run();
        }
        let _running = OnDrop::new(|| {
            inner.running.set(false);
            inner.stop.set(false);
            inner.cork.release();
            if let Some(meter) = inner.meter.get() {
                meter.end_run();
            }
        });
        let mut alive = self.is_alive();
        if !alive {
            self.update_time();
        }
        if mode == RunMode::Default && alive && !inner.stop.get() {
            self.update_time();
            self.run_timers();
        }
        while alive && !inner.stop.get() {
            let can_sleep = inner.pending.is_empty() && inner.idle.is_empty();
            self.run_pending();
            inner.idle.run();
            inner.prepare.run();
            let wait = mode == RunMode::Default || (mode == RunMode::Once && can_sleep);
            let mut ran = self.poll(if wait { self.deadline() } else { Some(0) })?;
            for _ in 0..PENDING_ROUNDS {
                if !self.run_pending() {
                    break;
                }
                ran = true;
            }
            ran |= inner.check.run();
            ran |= self.run_closing();
            // If nothing ran, the time is still that of the end of the poll phase.
            inner.lags.set(ran && mode == RunMode::Default && !self.is_time_needed());
            if !inner.lags.get() {
                if ran {
                    self.update_time();
                }
                self.run_timers();
            }
            alive = self.is_alive();
            if mode != RunMode::Default {
                break;
            }
        }
        Ok(alive)
    }

    /// Makes [`run`](Self::run) return after the current iteration (`uv_stop`).
    pub fn stop(&self) {
        self.0.stop.set(true);
    }

    /// Whether anything keeps the loop alive: an active and referenced handle, a request in flight, an unreported
    /// completion, or a closing handle (`uv_loop_alive`).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.members.keep_alive() || !self.0.pending.is_empty() || !self.0.closing.borrow().is_empty()
    }

    /// The descriptor to poll when this loop is driven by another loop: when it is readable, call `run(NoWait)`
    /// (`uv_backend_fd`).
    #[must_use]
    pub fn backend_fd(&self) -> RawFd {
        self.0.poller.fd()
    }

    /// A way into this loop from other threads. It does not keep the loop alive.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.0.inbox.remote()
    }

    /// Whether the current process created the loop.
    pub(crate) fn is_own(&self) -> bool {
        self.0.poller.is_own()
    }

    pub(crate) fn inner(&self) -> &LoopInner {
        &self.0
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop")
            .field("alive", &self.is_alive())
            .field("active_handles", &self.active_handles())
            .field("active_requests", &self.active_requests())
            .finish_non_exhaustive()
    }
}
