//! The environment's own handles in the loop: an `Async` that wakes the loop, a `Check` for its check phase, an `Idle` that
//! keeps it from blocking, and another that polls the tasks that a turn has left. Mirrors `task_queues_async_`, `immediate_check_handle_` and
//! `immediate_idle_handle_` of Node's `src/env.h`.

use crate::Environment;
use crate::wakers::Remote;
use std::cell::{Cell, OnceCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use uv_core::{Async, Check, Idle, LoopHandle};

/// The handles exist before the environment that owns them, so their callbacks find it through this cell.
pub(crate) type EnvironmentSlot = Rc<OnceCell<Environment>>;

pub(crate) struct Driver {
    wake: Async,
    check: Check,
    idle: Idle,
    /// Active while tasks are deferred.
    deferred: Idle,
    slot: Weak<OnceCell<Environment>>,
    remote: Arc<Remote>,
    /// The loop was woken to run the queues and has not run them yet.
    scheduled: Cell<bool>,
    /// The number of guards that keep the loop alive.
    keepers: Cell<usize>,
    ended: Cell<bool>,
}

impl Driver {
    /// Creates the handles of the environment that `slot` will hold.
    pub(crate) fn new(event_loop: &LoopHandle, slot: &EnvironmentSlot) -> Self {
        let anchor = Anchor(Rc::clone(slot));
        let wake = Async::new(event_loop, move |_| anchor.run_queues());
        wake.unref();
        let check = Check::new(event_loop);
        check.unref();
        let remote = Arc::new(Remote::new(wake.sender()));
        let (idle, deferred) = (Idle::new(event_loop), Idle::new(event_loop));
        let slot = Rc::downgrade(slot);
        // A dropped loop creates closed handles, whose anchor is dropped already.
        let ended = Cell::new(wake.is_closing());
        let (scheduled, keepers) = (Cell::new(false), Cell::new(0));
        Self { wake, check, idle, deferred, slot, remote, scheduled, keepers, ended }
    }

    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Makes the loop run the queues in its next turn, and keeps it alive until then, so that work queued outside of a
    /// scope is not lost.
    pub(crate) fn schedule(&self) {
        if !self.scheduled.replace(true) {
            self.wake.ref_();
            self.remote.wake();
        }
    }

    pub(crate) fn unschedule(&self) {
        self.scheduled.set(false);
        self.unref_if_unneeded();
    }

    /// Polls the deferred tasks in the loop's next turn, and keeps it alive until then. Nothing has to be woken, since the loop
    /// is at work.
    pub(crate) fn poll_deferred_later(&self) {
        if !self.deferred.is_active() {
            let slot = Weak::clone(&self.slot);
            // Fails only on a closing handle, whose environment drops the tasks.
            let _ = self.deferred.start(move |_| {
                if let Some(env) = slot.upgrade().as_deref().and_then(OnceCell::get) {
                    env.poll_deferred();
                }
            });
        }
    }

    pub(crate) fn stop_deferred(&self) {
        self.deferred.stop();
    }

    /// Keeps the loop alive until [`remove_keeper`](Self::remove_keeper).
    pub(crate) fn add_keeper(&self) {
        self.keepers.set(self.keepers.get() + 1);
        self.wake.ref_();
    }

    pub(crate) fn remove_keeper(&self) {
        self.keepers.set(self.keepers.get().saturating_sub(1));
        self.unref_if_unneeded();
    }

    fn unref_if_unneeded(&self) {
        if self.keepers.get() == 0 && !self.scheduled.get() {
            self.wake.unref();
        }
    }

    /// Runs destroy events and immediates in every check phase from now on. This does not keep the loop alive.
    pub(crate) fn start_check(&self, env: &Environment) {
        if !self.check.is_active() {
            // `start` fails only on a closing handle, which has no more calls to make.
            let env = env.clone();
            // Destroy events come before immediates.
            let _ = self.check.start(move |_| {
                env.inner().tell_destroyed();
                env.run_immediates();
            });
        }
    }

    /// With `on`, keeps the loop from blocking and from ending.
    pub(crate) fn keep_turning(&self, on: bool) {
        if on {
            let _ = self.idle.start(|_| {});
        } else {
            self.idle.stop();
        }
    }

    pub(crate) fn close(&self) {
        self.wake.close();
        self.check.close();
        self.idle.close();
        self.deferred.close();
    }

    /// Whether the handles are closed or the loop is dropped.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }
}

/// Ties the environment's end to the loop's. It is the tower of `wake`, so it is dropped when the handle has closed or
/// the loop is dropped.
struct Anchor(EnvironmentSlot);

impl Anchor {
    fn run_queues(&self) {
        if let Some(env) = self.0.get() {
            env.take_woken();
            env.run_queued_outside();
        }
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        if let Some(env) = self.0.get() {
            env.inner().driver.ended.set(true);
            env.inner().end();
        }
    }
}
