//! Listeners for whose next connection the process has no descriptor, not even a spare one: when they try again. libuv's
//! try in every iteration, which keeps a processor busy until somebody closes something.

use crate::event_loop::LoopHandle;
use crate::handle::Node;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Time between attempts to accept: not long for a peer that waits, and next to nothing for a processor. Nothing tells
/// of the descriptors that the rest of the process closes.
const RETRY: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(crate) struct Starved {
    listeners: RefCell<Vec<Rc<dyn Node>>>,
    /// While there are any.
    retry_at: Cell<Option<Duration>>,
}

impl Starved {
    /// When the listeners try again, as [`LoopHandle::now`] counts.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.retry_at.get()
    }

    pub(crate) fn clear(&self) {
        self.retry_at.set(None);
        drop(self.listeners.take());
    }
}

impl LoopHandle {
    /// Leaves a listener alone until there may be descriptors again.
    pub(crate) fn starve(&self, listener: Rc<dyn Node>) {
        let starved = &self.inner().starved;
        starved.listeners.borrow_mut().push(listener);
        if starved.retry_at.get().is_none() {
            starved.retry_at.set(Some(self.now().saturating_add(RETRY)));
        }
    }

    /// Has the starved listeners try again in this poll phase, if it is time.
    pub(crate) fn retry_if_due(&self) {
        if self.inner().starved.deadline().is_some_and(|deadline| deadline <= self.now()) {
            self.retry_now();
        }
    }

    /// The same in the next poll phase, because a descriptor was closed.
    #[inline]
    pub(crate) fn retry_starved(&self) {
        if self.inner().starved.deadline().is_some() {
            self.retry_now();
        }
    }

    #[cold]
    fn retry_now(&self) {
        let starved = &self.inner().starved;
        starved.retry_at.set(None);
        for listener in starved.listeners.take() {
            if listener.stay_ready() {
                self.push_ready(listener);
            }
        }
    }
}
