//! What each phase of an iteration does. Mirrors `uv__io_poll`, `uv__run_pending`, `uv__run_closing_handles` and
//! `uv__run_timers`, libuv's `src/unix/core.c` and `src/unix/linux.c`.
//!
//! A panic in an upcall leaves through these functions. Their guards keep what was not yet worked off, so that the next
//! run goes on from there.

use crate::event_loop::{Closing, LoopHandle, LoopInner};
use crate::key::Key;
use crate::layer::trace::Facts;
use crate::poller::{Batch, Readiness, Source};
use crate::{LAYER, Result};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Waits per poll phase while batches come back full: libuv's number, so that timers are not held up by a flood.
const WAITS_PER_POLL: u32 = 48;

/// What is known of the poll phases so far: for those who judge a peer by its silence.
#[derive(Default)]
pub(crate) struct Polls {
    /// Those that ended at their bound, with events left in the kernel.
    cut_short: Cell<u64>,
    /// When the last one began.
    at: Cell<Duration>,
}

impl LoopHandle {
    /// How many poll phases have left events to the next one: their number is bounded, and only a flood reaches it.
    #[must_use]
    pub fn polls_cut_short(&self) -> u64 {
        self.inner().polls.cut_short.get()
    }

    /// What [`now`](Self::now) was when the last poll phase began to wait. In callbacks since then it is later.
    #[must_use]
    pub fn polled_at(&self) -> Duration {
        self.inner().polls.at.get()
    }

    /// Waits for events up to `timeout` and has every handle act on its own; then come those left still ready. Returns
    /// whether anything acted.
    pub(crate) fn poll(&self, timeout: Option<Duration>) -> Result<bool> {
        let inner = self.inner();
        self.resume_if_due();
        // Counted first: what is put back during this phase belongs to the next one.
        let still_ready = inner.still_ready.len();
        let deadline = timeout.map(|timeout| self.now().saturating_add(timeout));
        let mut timeout = timeout;
        let mut acted = still_ready > 0;
        inner.polls.at.set(self.now());
        let is_cut_short = 'waits: {
            for _ in 0..WAITS_PER_POLL {
                let batch = inner.poller.wait(timeout)?;
                self.update_time();
                let events = self.dispatch_all(&batch);
                acted |= events > 0;
                if batch.is_full(events) {
                    timeout = Some(Duration::ZERO);
                    continue;
                }
                // An interrupted wait, or one longer than the system can wait, goes on for the rest of its time.
                match deadline {
                    None if events == 0 => {}
                    Some(deadline) if events == 0 && deadline > self.now() => {
                        timeout = Some(deadline - self.now());
                    }
                    _ => break 'waits false,
                }
            }
            true
        };
        if is_cut_short {
            inner.polls.cut_short.set(inner.polls.cut_short.get() + 1);
        }
        inner.still_ready.drain_first(still_ready, |node| {
            let _turn = LAYER.scope("Node::on_ready", || Facts::of(node.handle()));
            node.on_ready();
        });
        if inner.signalled.replace(false) {
            inner.signals.deliver(self);
            acted = true;
        }
        Ok(acted)
    }

    fn dispatch_all(&self, batch: &Batch<'_>) -> usize {
        let mut events = 0;
        let mut rest = Rest { event_loop: self, sources: batch.iter() };
        for source in rest.sources.by_ref() {
            events += 1;
            match source {
                Source::Wake => self.inner().inbox.deliver(self),
                Source::Signal => self.inner().signalled.set(true),
                Source::Handle { key, readiness } => self.dispatch(key, readiness),
            }
        }
        events
    }

    fn dispatch(&self, key: Key, readiness: Readiness) {
        // An event of a handle closed earlier in this batch finds it closing, or nothing, or the generation of its
        // successor.
        if let Some(node) = self.node(key) {
            let _turn = LAYER.scope("Node::on_event", || Facts::numbered(key.generation).info(readiness));
            node.on_event(readiness);
        }
    }

    /// Reports queued completions. Returns whether there were any.
    pub(crate) fn run_pending(&self) -> bool {
        let pending = self.inner().pending.len();
        self.inner().pending.drain_first(pending, |node| {
            let _turn = LAYER.scope("Node::on_pending", || Facts::of(node.handle()));
            node.on_pending();
        });
        pending > 0
    }

    pub(crate) fn run_timers(&self) {
        self.inner().timers.run(self.now());
    }

    /// Last closed, first served; what is closed meanwhile waits for the next iteration. Returns whether there were any.
    pub(crate) fn run_closing(&self) -> bool {
        if self.inner().closing.borrow().is_empty() {
            return false;
        }
        let mut batch = ClosingBatch { inner: self.inner(), closing: self.inner().closing.take() };
        while let Some((node, on_closed)) = batch.closing.pop() {
            let mut step = ClosingStep { event_loop: self, closing: Some((node, on_closed)) };
            step.take();
        }
        true
    }
}

/// The rest of a batch when a callback panics: edges are reported once, so they are kept as still ready.
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
                Source::Handle { key, readiness } => {
                    if let Some(node) = self.event_loop.node(key)
                        && node.postpone(readiness)
                    {
                        self.event_loop.push_ready(node);
                    }
                }
            }
        }
    }
}

/// The end of one handle. It is closing until its last upcall begins, and is in the table until that ended; if an
/// upcall panics, the next close phase takes what is left of it.
struct ClosingStep<'a> {
    event_loop: &'a LoopHandle,
    closing: Option<Closing>,
}

impl ClosingStep<'_> {
    fn take(&mut self) {
        let Some((node, _)) = &self.closing else { return };
        if !node.handle().is_closed() {
            let _turn = LAYER.scope("Node::finish_close", || Facts::of(node.handle()));
            Rc::clone(node).cancel();
            node.handle().set_closed();
            Rc::clone(node).finish_close();
        }
        // A destructor's panic leaves the rest of this to the next close phase.
        node.drop_tower();
        let Some((node, on_closed)) = self.closing.take() else { return };
        self.event_loop.remove(node.handle());
        if let Some(on_closed) = on_closed {
            on_closed();
        }
    }
}

impl Drop for ClosingStep<'_> {
    fn drop(&mut self) {
        if let Some((node, on_closed)) = self.closing.take() {
            self.event_loop.push_closing(node, on_closed);
        }
    }
}

/// Closes not finished because a callback panicked go back to the queue; otherwise only the buffer does.
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
