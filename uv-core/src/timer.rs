//! Timers: never early, equal deadlines in the order of their starts. Mirrors libuv's `src/timer.c`.
//!
//! The queue is a binary heap with lazy deletion: stopping a timer only forgets its entry, which is dropped when it
//! comes up or when stale entries outnumber the living. Start and stop, the pattern of a server's timeouts, so cost no
//! search.

use crate::handle::{Handle, HandleKind, Node};
use crate::slot::Slot;
use crate::upcall::TimerUpcall;
use crate::{Errno, Error, LoopHandle, Result};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

/// Stale entries below this number are not worth a sweep.
const SWEEP_FLOOR: usize = 64;

/// A timer (`uv_timer_t`).
#[derive(Clone)]
pub struct Timer(Rc<TimerNode>);

struct TimerNode {
    handle: Handle,
    deadline: Cell<Duration>,
    repeat: Cell<Duration>,
    /// The heap entry that counts, or 0. Entries with another number are stale.
    entry: Cell<u64>,
    /// Whether there ever was an upcall to fire again.
    started: Cell<bool>,
    upcall: Slot<Box<dyn TimerUpcall>>,
}

impl Timer {
    /// A timer that is not started (`uv_timer_init`).
    #[must_use]
    pub fn new(lp: &LoopHandle) -> Self {
        Self(lp.add(HandleKind::Timer, |handle| TimerNode {
            handle,
            deadline: Cell::new(Duration::ZERO),
            repeat: Cell::new(Duration::ZERO),
            entry: Cell::new(0),
            started: Cell::new(false),
            upcall: Slot::empty(),
        }))
    }

    /// Calls `upcall` once `timeout` has passed, and then every `repeat` unless that is zero (`uv_timer_start`).
    ///
    /// The time counts from the loop's [`now`](LoopHandle::now). On an active timer this replaces the deadline and the
    /// upcall. A deadline beyond all time never comes.
    ///
    /// # Errors
    /// `EINVAL` if the timer is closing.
    pub fn start(
        &self,
        timeout: Duration,
        repeat: Duration,
        upcall: impl TimerUpcall + 'static,
    ) -> Result<()> {
        if self.is_closing() {
            return Err(Error::new("timer_start", Errno::EINVAL));
        }
        self.0.upcall.set(Box::new(upcall));
        self.0.started.set(true);
        self.0.repeat.set(repeat);
        self.arm(timeout);
        Ok(())
    }

    /// Stops the timer; its upcall is kept for [`again`](Self::again) (`uv_timer_stop`).
    pub fn stop(&self) {
        self.0.disarm();
    }

    /// Starts the timer anew with its repeat as the timeout; nothing happens without one (`uv_timer_again`).
    ///
    /// # Errors
    /// `EINVAL` if the timer was never started, or is closing.
    pub fn again(&self) -> Result<()> {
        if self.is_closing() || !self.0.started.get() {
            return Err(Error::new("timer_again", Errno::EINVAL));
        }
        if !self.0.repeat.get().is_zero() {
            self.arm(self.0.repeat.get());
        }
        Ok(())
    }

    /// Sets the repeat for the firings after the next one; the current deadline stays (`uv_timer_set_repeat`).
    pub fn set_repeat(&self, repeat: Duration) {
        self.0.repeat.set(repeat);
    }

    /// The repeat; zero for none (`uv_timer_get_repeat`).
    #[must_use]
    pub fn repeat(&self) -> Duration {
        self.0.repeat.get()
    }

    /// The time left until the deadline; zero if it has passed or the timer is stopped (`uv_timer_get_due_in`).
    #[must_use]
    pub fn due_in(&self) -> Duration {
        if !self.is_active() {
            return Duration::ZERO;
        }
        self.0.deadline.get().saturating_sub(self.loop_handle().now())
    }

    fn arm(&self, timeout: Duration) {
        let lp = self.loop_handle();
        self.0.disarm();
        self.0.deadline.set(lp.now().saturating_add(timeout));
        lp.inner().timers.push(&self.0);
        self.0.handle.start();
    }
}

impl TimerNode {
    fn disarm(&self) {
        if self.entry.replace(0) != 0 {
            self.handle.loop_handle().inner().timers.entry_died();
            self.handle.stop();
        }
    }
}

impl Node for TimerNode {
    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn begin_close(&self) {
        self.disarm();
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
    }
}

impl Deref for Timer {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("due_in", &self.due_in()).field("repeat", &self.repeat()).finish()
    }
}

/// The timers of a loop, by deadline and then by start.
#[derive(Default)]
pub(crate) struct TimerQueue {
    heap: RefCell<BinaryHeap<Reverse<Entry>>>,
    last_entry: Cell<u64>,
    stale: Cell<usize>,
}

struct Entry {
    deadline: Duration,
    number: u64,
    timer: Rc<TimerNode>,
}

impl TimerQueue {
    fn push(&self, timer: &Rc<TimerNode>) {
        let number = self.last_entry.get() + 1;
        self.last_entry.set(number);
        timer.entry.set(number);
        let entry = Entry { deadline: timer.deadline.get(), number, timer: Rc::clone(timer) };
        self.heap.borrow_mut().push(Reverse(entry));
    }

    /// Counts an entry that no longer counts, and sweeps such entries before they outnumber the others.
    fn entry_died(&self) {
        let stale = self.stale.get() + 1;
        let mut heap = self.heap.borrow_mut();
        if stale > SWEEP_FLOOR && stale > heap.len() / 2 {
            heap.retain(|Reverse(entry)| entry.is_live());
            self.stale.set(0);
        } else {
            self.stale.set(stale);
        }
    }

    /// The earliest deadline, as [`LoopHandle::now`] counts.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let mut heap = self.heap.borrow_mut();
        while let Some(Reverse(entry)) = heap.peek() {
            if entry.is_live() {
                return Some(entry.deadline);
            }
            heap.pop();
            self.stale.set(self.stale.get() - 1);
        }
        None
    }

    /// Calls every timer that is due at `now`. One started by a callback waits for the next call: its number is
    /// higher, and so it sorts behind everything that is due.
    pub(crate) fn run(&self, now: Duration) {
        let last = self.last_entry.get();
        while let Some(timer) = self.pop_due(now, last) {
            timer.handle.stop();
            let timer = Timer(timer);
            if !timer.repeat().is_zero() {
                timer.arm(timer.repeat());
            }
            timer.0.upcall.call(|upcall| upcall.on_timeout(&timer));
        }
    }

    fn pop_due(&self, now: Duration, last: u64) -> Option<Rc<TimerNode>> {
        self.next_deadline().filter(|deadline| *deadline <= now)?;
        let mut heap = self.heap.borrow_mut();
        if heap.peek().is_some_and(|Reverse(entry)| entry.number > last) {
            return None;
        }
        let Reverse(entry) = heap.pop()?;
        entry.timer.entry.set(0);
        Some(entry.timer)
    }

    pub(crate) fn clear(&self) {
        drop(self.heap.take());
        self.stale.set(0);
    }
}

impl Entry {
    fn is_live(&self) -> bool {
        self.timer.entry.get() == self.number
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.deadline, self.number).cmp(&(other.deadline, other.number))
    }
}
