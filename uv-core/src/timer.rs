//! Timers: never early; equal deadlines fire in the order in which the timers were started. Mirrors libuv's
//! `src/timer.c`.
//!
//! The queue is a heap whose entries are updated lazily. A stopped timer leaves its entry in the heap, and a
//! timer that is started again for a later time reuses its entry: when the entry reaches the top, it is dropped or
//! moved to its new place. So the most frequent operation of servers, postponing a timeout, does not touch the heap.
//! Entries of stopped timers are swept before they outnumber the others.

use crate::handle::{Handle, HandleInner, HandleKind};
use crate::heap::Heap;
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::sys::prefetch::{prefetch, prefetch_begin};
use crate::why::About;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

/// With fewer stale entries than this a sweep is not worth its cost.
const SWEEP_FLOOR: usize = 64;

/// A timer (`uv_timer_t`).
///
/// ```
/// use std::time::Duration;
/// use uv_core::{Loop, RunMode, Timer};
///
/// let event_loop = Loop::new()?;
/// let timer = Timer::new(&event_loop);
/// let (after, every) = (Duration::from_millis(2), Duration::from_millis(1));
/// let mut calls = 0;
/// timer.start(after, every, move |timer: &Timer| {
///     calls += 1;
///     if calls == 3 {
///         timer.close();
///     }
/// })?;
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Timer(Rc<TimerInner>);

type OnTimeout = Box<dyn FnMut(&Timer)>;

struct TimerInner {
    handle: Handle,
    /// In nanoseconds of the loop's clock. A stopped timer keeps its last deadline.
    deadline: Cell<u64>,
    repeat: Cell<Duration>,
    /// The number of the current start; 0 while the timer is stopped.
    start: Cell<u64>,
    /// The number of the start for which this timer's entry in the heap was made; 0 without an entry. Entries with
    /// another number are stale. A started timer has an entry, at or before its deadline.
    entry: Cell<u64>,
    /// Whether the timer was ever started, so that it has an upcall.
    started: Cell<bool>,
    upcall: HandlerCell<OnTimeout>,
}

/// What an error notes of a timer without an upcall.
const NEVER_STARTED: &str = "the timer was never started, or is closing";

impl Timer {
    /// Creates a timer that is not started (`uv_timer_init`).
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self(event_loop.add(HandleKind::Timer, |handle| TimerInner {
            handle,
            deadline: Cell::new(0),
            repeat: Cell::new(Duration::ZERO),
            start: Cell::new(0),
            entry: Cell::new(0),
            started: Cell::new(false),
            upcall: HandlerCell::empty(),
        }))
    }

    /// Calls `upcall` when `timeout` has passed, and then every `repeat` unless that is zero (`uv_timer_start`).
    ///
    /// The time counts from the loop's [`now`](LoopHandle::now). On an active timer this replaces the deadline and the
    /// upcall. A deadline beyond the range of the clock is never reached.
    ///
    /// # Errors
    /// `EINVAL` if the timer is closing.
    pub fn start(
        &self,
        timeout: Duration,
        repeat: Duration,
        upcall: impl FnMut(&Self) + 'static,
    ) -> Result<()> {
        if self.is_closing() {
            return Err(Error::new("timer_start", Errno::EINVAL).noting("the timer is closing"));
        }
        self.0.upcall.set(Box::new(upcall));
        self.0.started.set(true);
        self.0.repeat.set(repeat);
        self.arm(timeout);
        Ok(())
    }

    /// Stops the timer and keeps its upcall for [`again`](Self::again) (`uv_timer_stop`).
    pub fn stop(&self) {
        self.0.disarm();
    }

    /// Restarts the timer with its repeat as the timeout; does nothing without a repeat (`uv_timer_again`).
    ///
    /// # Errors
    /// `EINVAL` if the timer was never started, or is closing.
    pub fn again(&self) -> Result<()> {
        if self.is_closing() || !self.0.started.get() {
            return Err(Error::new("timer_again", Errno::EINVAL).noting(NEVER_STARTED));
        }
        if !self.0.repeat.get().is_zero() {
            self.arm(self.0.repeat.get());
        }
        Ok(())
    }

    /// Restarts the timer with its upcall.
    ///
    /// # Errors
    /// `EINVAL` if the timer was never started, or is closing.
    pub fn restart(&self, timeout: Duration) -> Result<()> {
        if self.is_closing() || !self.0.started.get() {
            return Err(Error::new("timer_restart", Errno::EINVAL).noting(NEVER_STARTED));
        }
        self.arm(timeout);
        Ok(())
    }

    /// Sets the repeat. It applies after the next call; the current deadline stays (`uv_timer_set_repeat`).
    pub fn set_repeat(&self, repeat: Duration) {
        self.0.repeat.set(repeat);
    }

    /// The repeat; zero if there is none (`uv_timer_get_repeat`).
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
        Duration::from_nanos(self.0.deadline.get()).saturating_sub(self.loop_handle().now())
    }

    /// The deadline, or the last deadline of a stopped timer, on the clock of [`now`](LoopHandle::now).
    #[must_use]
    pub fn due_at(&self) -> Duration {
        Duration::from_nanos(self.0.deadline.get())
    }

    fn arm(&self, timeout: Duration) {
        let event_loop = self.loop_handle();
        event_loop.inner().timers.start(&self.0, nanoseconds(event_loop.now().saturating_add(timeout)));
        self.0.handle.start();
    }
}

impl TimerInner {
    fn disarm(&self) {
        if self.start.replace(0) != 0 {
            self.handle.loop_handle().inner().timers.entry_died();
            self.handle.stop();
        }
    }
}

impl HandleInner for TimerInner {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn begin_close(&self) {
        self.disarm();
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
    }

    fn about(&self) -> About {
        if !self.handle.is_active() {
            return About::default();
        }
        let due = Duration::from_nanos(self.deadline.get()).saturating_sub(self.handle.loop_handle().now());
        let repeat = self.repeat.get();
        let repeats = if repeat.is_zero() { String::new() } else { format!(", repeats every {repeat:?}") };
        About::saying(format!("due in {due:?}{repeats}"))
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

/// The timers of a loop, ordered by deadline and then by start.
#[derive(Default)]
pub(crate) struct TimerQueue {
    heap: RefCell<Heap<Entry>>,
    last_start: Cell<u64>,
    /// The number of entries of stopped timers, and of entries that their timers have replaced.
    stale: Cell<usize>,
}

struct Entry {
    deadline: u64,
    /// The number of the start for which it was made.
    start: u64,
    timer: Rc<TimerInner>,
}

impl TimerQueue {
    fn start(&self, timer: &Rc<TimerInner>, deadline: u64) {
        let start = self.last_start.get() + 1;
        self.last_start.set(start);
        let was_stopped = timer.start.replace(start) == 0;
        let is_later = deadline >= timer.deadline.replace(deadline);
        if timer.entry.get() != 0 && is_later {
            self.stale.set(self.stale.get() - usize::from(was_stopped));
            return;
        }
        let had_entry = timer.entry.replace(start) != 0;
        self.heap.borrow_mut().push(Entry { deadline, start, timer: Rc::clone(timer) });
        if had_entry && !was_stopped {
            self.entry_died();
        }
    }

    /// Counts a stale entry, and sweeps such entries before they outnumber the others.
    fn entry_died(&self) {
        let stale = self.stale.get() + 1;
        self.stale.set(stale);
        if stale <= SWEEP_FLOOR {
            return;
        }
        let mut heap = self.heap.borrow_mut();
        if stale > heap.len() / 2 {
            heap.retain(Entry::is_live);
            self.stale.set(0);
        }
    }

    /// The earliest deadline, in nanoseconds.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let mut heap = self.heap.borrow_mut();
        if heap.is_empty() { None } else { self.first(&mut heap).map(|entry| entry.deadline) }
    }

    /// Whether a timer is due by `time`, in nanoseconds.
    #[inline]
    pub(crate) fn is_due_before(&self, time: u64) -> bool {
        let mut heap = self.heap.borrow_mut();
        !heap.is_empty() && self.first(&mut heap).is_some_and(|entry| entry.deadline <= time)
    }

    /// Calls every timer that is due at `now`. A timer started by a callback waits for the next call: its number is
    /// higher, so it sorts behind everything that is due.
    pub(crate) fn run(&self, now: u64) {
        let last = self.last_start.get();
        while let Some(timer) = self.pop_due(now, last) {
            timer.handle.stop();
            let timer = Timer(timer);
            if !timer.repeat().is_zero() {
                timer.arm(timer.repeat());
            }
            let _up = LAYER.up("TimerQueue::run", || Facts::of(&timer));
            timer.0.upcall.call(|upcall| upcall(&timer));
        }
    }

    fn pop_due(&self, now: u64, last: u64) -> Option<Rc<TimerInner>> {
        let mut heap = self.heap.borrow_mut();
        let first = self.first(&mut heap)?;
        if first.deadline > now || first.start > last {
            return None;
        }
        // Timers that were started long ago are in no cache: the processor gets this one's closure while the heap changes, and
        // the next timers while this one is called.
        first.timer.upcall.peek(|upcall| prefetch_begin(&**upcall));
        let Entry { timer, .. } = heap.pop()?;
        for next in heap.first_few() {
            prefetch(&*next.timer);
        }
        timer.entry.set(0);
        timer.start.set(0);
        Some(timer)
    }

    /// The entry of the timer that is due first. Stale entries before it are dropped, and entries of postponed timers
    /// moved to their new places.
    fn first<'a>(&self, heap: &'a mut Heap<Entry>) -> Option<&'a Entry> {
        while let Some(first) = heap.first() {
            let timer = &first.timer;
            let (deadline, start) = (timer.deadline.get(), timer.start.get());
            if first.start == start {
                break;
            }
            if first.is_live() {
                timer.entry.set(start);
                heap.change_first(|first| (first.deadline, first.start) = (deadline, start));
            } else {
                drop(heap.pop());
                self.stale.set(self.stale.get() - 1);
            }
        }
        heap.first()
    }

    pub(crate) fn clear(&self) {
        drop(self.heap.take());
        self.stale.set(0);
    }
}

impl Entry {
    /// The order of the entries, as one number, so that comparing takes no branch.
    #[inline]
    fn key(&self) -> u128 {
        u128::from(self.deadline) << 64 | u128::from(self.start)
    }

    /// Whether the entry is its timer's current one. A stopped timer forgets its entry.
    fn is_live(&self) -> bool {
        let is_own = self.timer.entry.get() == self.start;
        let is_started = self.timer.start.get() != 0;
        if is_own && !is_started {
            self.timer.entry.set(0);
        }
        is_own && is_started
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn lt(&self, other: &Self) -> bool {
        self.key() < other.key()
    }

    #[inline]
    fn le(&self, other: &Self) -> bool {
        self.key() <= other.key()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Converts a time of the loop's clock, which lasts 584 years.
#[inline]
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "models/timer.rs"]
mod model;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Loop;

    #[test]
    fn every_started_timer_has_one_entry_and_stale_ones_never_outnumber_them_for_long() {
        let event_loop = Loop::new().expect("a loop");
        let queue = &event_loop.inner().timers;
        let timers: Vec<Timer> = (0..100).map(|_| Timer::new(&event_loop)).collect();
        // Pseudo-random numbers, the same in every run.
        let mut dice = 1_u64;
        for _ in 0..50_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (timer, after) = (&timers[(dice >> 33) as usize % timers.len()], dice >> 40 & 0xffff);
            match dice >> 60 {
                0..5 => timer.stop(),
                5 => assert!(queue.next_deadline() != Some(0)),
                _ => {
                    timer.start(Duration::from_secs(after), Duration::ZERO, |_: &Timer| {}).expect("a timer")
                }
            }
            let heap = queue.heap.borrow();
            let goes_by = |entry: &&Entry| {
                let timer = &entry.timer;
                assert!(
                    timer.start.get() == 0
                        || timer.entry.get() != entry.start
                        || entry.deadline <= timer.deadline.get()
                );
                timer.start.get() != 0 && timer.entry.get() == entry.start
            };
            let live = heap.iter().filter(goes_by).count();
            assert_eq!(live, timers.iter().filter(|timer| timer.is_active()).count());
            assert_eq!(heap.len(), live + queue.stale.get());
            assert!(queue.stale.get() <= SWEEP_FLOOR.max(live + 1));
        }
        timers.iter().for_each(|timer| timer.close());
        assert!(queue.heap.borrow().len() <= SWEEP_FLOOR);
    }
}
