//! The phases of an iteration. Mirrors `uv__io_poll`, `uv__run_pending`, `uv__run_closing_handles` and
//! `uv__run_timers`, libuv's `src/unix/core.c` and `src/unix/linux.c`.
//!
//! A panic in an upcall unwinds through these functions. Their guards keep the unfinished work, so that the next run
//! continues it.

use crate::event_loop::{Closing, LoopHandle, LoopInner};
use crate::key::Key;
use crate::layer::trace::Facts;
use crate::metrics::Meter;
use crate::poller::{Batch, Readiness, Source};
use crate::{Errno, Error, LAYER, Result, Signal};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Waits per poll phase while batches are full, libuv's number, so that a flood does not delay timers.
const WAITS_PER_POLL: u32 = 48;

/// Facts about past poll phases, for timeouts that judge a peer by its silence.
#[derive(Default)]
pub(crate) struct Polls {
    /// The number of poll phases that reached their bound with events left in the kernel.
    cut_short: Cell<u64>,
    /// When the last poll phase began, in nanoseconds.
    at: Cell<u64>,
}

impl LoopHandle {
    /// The number of poll phases that left events in the kernel for the next phase. Only a flood of events reaches the
    /// bound of a phase.
    #[must_use]
    pub fn polls_cut_short(&self) -> u64 {
        self.inner().polls.cut_short.get()
    }

    /// The value of [`now`](Self::now) when the last poll phase began to wait. In callbacks since then it is later.
    #[must_use]
    pub fn polled_at(&self) -> Duration {
        Duration::from_nanos(self.inner().polls.at.get())
    }

    /// Blocks a profiler's `SIGPROF` while the loop waits (`uv_loop_configure` with `UV_LOOP_BLOCK_SIGNAL`), so that it
    /// does not wake an idle loop: a signal that comes meanwhile is delivered after the wait. This costs two system calls
    /// for each wait.
    ///
    /// # Errors
    /// `EINVAL` for any other signal, as in libuv.
    pub fn block_signal(&self, signum: i32) -> Result<()> {
        if signum != Signal::SIGPROF {
            return Err(Error::new("loop_configure", Errno::EINVAL));
        }
        self.inner().poller.withhold(signum);
        Ok(())
    }

    /// Waits for events until `deadline`, in nanoseconds, and gives each handle with an event its turn, then each handle of the
    /// still-ready set. Returns whether there was any turn.
    pub(crate) fn poll(&self, deadline: Option<u64>) -> Result<bool> {
        let inner = self.inner();
        inner.cork.begin_turn();
        self.resume_if_due();
        // Counted first: handles added during this phase belong to the next one.
        let still_ready = inner.still_ready.len();
        let mut timeout = match deadline {
            Some(deadline) if deadline > self.nanoseconds() => self.rest_until(deadline),
            deadline => deadline.map(|_| Duration::ZERO),
        };
        let mut acted = still_ready > 0;
        inner.polls.at.set(self.nanoseconds());
        let meter = inner.meter.get();
        if let Some(meter) = meter {
            meter.begin_turn(still_ready);
        }
        let is_cut_short = 'waits: {
            for _ in 0..WAITS_PER_POLL {
                let batch = match meter {
                    None => self.wait(timeout)?,
                    Some(meter) => self.wait_measured(meter, timeout)?,
                };
                self.update_time();
                let events = self.dispatch_all(&batch);
                acted |= events > 0;
                if batch.is_full(events) {
                    timeout = Some(Duration::ZERO);
                    continue;
                }
                // An interrupted wait, or a wait longer than the system supports, continues for the rest of its time.
                match deadline {
                    None if events == 0 => {}
                    Some(deadline) if events == 0 && deadline > self.nanoseconds() => {
                        timeout = Some(Duration::from_nanos(deadline - self.nanoseconds()));
                    }
                    _ => break 'waits false,
                }
            }
            true
        };
        if is_cut_short {
            inner.polls.cut_short.set(inner.polls.cut_short.get() + 1);
        }
        inner.still_ready.drain_first(still_ready, |handle| {
            let _turn = LAYER.scope("HandleInner::on_ready", || Facts::of(handle.base()));
            handle.on_ready();
            inner.cork.release();
        });
        if inner.signalled.replace(false) {
            inner.signals.deliver(self);
            acted = true;
        }
        Ok(acted)
    }

    /// The timeout of a wait that ends at `deadline`: none, if an event comes then.
    #[inline]
    fn rest_until(&self, deadline: u64) -> Option<Duration> {
        let LoopInner { alarm, origin, poller, .. } = self.inner();
        if alarm.covers(deadline, *origin, poller) {
            return None;
        }
        self.catch_up();
        Some(Duration::from_nanos(deadline.saturating_sub(self.nanoseconds())))
    }

    #[inline]
    fn wait(&self, timeout: Option<Duration>) -> Result<Batch<'_>> {
        #[cfg(upcall_faults)]
        return crate::faults::wait(&self.inner().poller, timeout);
        #[cfg(not(upcall_faults))]
        self.inner().poller.wait(timeout)
    }

    /// Apart, so that a loop that is not measured has its wait inline.
    #[cold]
    #[inline(never)]
    fn wait_measured(&self, meter: &Meter, timeout: Option<Duration>) -> Result<Batch<'_>> {
        meter.wait(timeout, |timeout| self.wait(timeout))
    }

    fn dispatch_all(&self, batch: &Batch<'_>) -> usize {
        let mut events = 0;
        if batch.is_empty() {
            return events;
        }
        let mut rest = Rest { event_loop: self, sources: batch.iter() };
        for source in rest.sources.by_ref() {
            // The alarm only ends a wait, perhaps that of an earlier deadline.
            events += usize::from(!matches!(source, Source::Alarm));
            match source {
                Source::Wake => self.inner().inbox.deliver(self),
                Source::Signal => self.inner().signalled.set(true),
                // The timers phase looks at the clock.
                Source::Alarm => {}
                Source::Handle { key, readiness } => self.dispatch(key, readiness),
            }
            self.inner().cork.release();
        }
        events
    }

    fn dispatch(&self, key: Key, readiness: Readiness) {
        // The key of a handle that was closed earlier in this batch finds the closing handle, or no handle, or a handle
        // of a later generation.
        if let Some(handle) = self.handle(key) {
            let _turn =
                LAYER.scope("HandleInner::on_event", || Facts::numbered(key.generation).info(readiness));
            handle.on_event(readiness);
        }
    }

    /// Reports queued completions. Returns whether there were any.
    #[inline]
    pub(crate) fn run_pending(&self) -> bool {
        let pending = self.inner().pending.len();
        if pending > 0 {
            self.report(pending);
        }
        pending > 0
    }

    fn report(&self, pending: usize) {
        self.inner().pending.drain_first(pending, |handle| {
            let _turn = LAYER.scope("HandleInner::on_pending", || Facts::of(handle.base()));
            handle.on_pending();
            self.inner().cork.release();
        });
    }

    pub(crate) fn run_timers(&self) {
        self.inner().timers.run(self.nanoseconds());
    }

    /// Finishes the closing handles, the last closed first. Handles closed meanwhile wait for the next iteration.
    /// Returns whether there were any.
    pub(crate) fn run_closing(&self) -> bool {
        if self.inner().closing.borrow().is_empty() {
            return false;
        }
        let mut batch = ClosingBatch { inner: self.inner(), closing: self.inner().closing.take() };
        while let Some((handle, on_closed)) = batch.closing.pop() {
            let mut step = ClosingStep { event_loop: self, closing: Some((handle, on_closed)) };
            step.take();
        }
        true
    }
}

/// The rest of a batch when a callback panics. An edge is reported only once, so the handles join the still-ready set.
struct Rest<'a, I: Iterator<Item = Source>> {
    event_loop: &'a LoopHandle,
    sources: I,
}

impl<I: Iterator<Item = Source>> Drop for Rest<'_, I> {
    fn drop(&mut self) {
        for source in self.sources.by_ref() {
            match source {
                Source::Wake => self.event_loop.inner().inbox.wake_again(),
                Source::Signal => self.event_loop.inner().signalled.set(true),
                Source::Alarm => {}
                Source::Handle { key, readiness } => {
                    if let Some(handle) = self.event_loop.handle(key)
                        && handle.postpone(readiness)
                    {
                        self.event_loop.push_ready(handle);
                    }
                }
            }
        }
    }
}

/// The end of one handle. The handle is closing until its last upcall begins, and is in the table until that upcall has
/// returned; if an upcall panics, the next close phase continues.
struct ClosingStep<'a> {
    event_loop: &'a LoopHandle,
    closing: Option<Closing>,
}

impl ClosingStep<'_> {
    fn take(&mut self) {
        let Some((handle, _)) = &self.closing else { return };
        if !handle.base().is_closed() {
            let _turn = LAYER.scope("HandleInner::finish_close", || Facts::of(handle.base()));
            Rc::clone(handle).cancel();
            handle.base().set_closed();
            Rc::clone(handle).finish_close();
        }
        // If a destructor panics, the next close phase continues here.
        handle.drop_tower();
        let Some((handle, on_closed)) = self.closing.take() else { return };
        self.event_loop.remove(handle.base());
        if let Some(on_closed) = on_closed {
            on_closed();
        }
    }
}

impl Drop for ClosingStep<'_> {
    fn drop(&mut self) {
        if let Some((handle, on_closed)) = self.closing.take() {
            self.event_loop.push_closing(handle, on_closed);
        }
    }
}

/// Returns unfinished closes to the queue when a callback panics, and otherwise only their buffer.
struct ClosingBatch<'a> {
    inner: &'a LoopInner,
    closing: Vec<Closing>,
}

impl Drop for ClosingBatch<'_> {
    fn drop(&mut self) {
        self.closing.append(&mut self.inner.closing.borrow_mut());
        self.inner.closing.replace(std::mem::take(&mut self.closing));
    }
}
