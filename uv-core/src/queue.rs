//! A queue that is worked off in batches: a batch ends where it began to be, and a panic loses nothing.

use std::cell::RefCell;
use std::collections::VecDeque;

pub(crate) struct Queue<T> {
    items: RefCell<VecDeque<T>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: RefCell::default() }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
    }

    pub(crate) fn len(&self) -> usize {
        self.items.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    /// Takes out the `count` oldest items, one at a time: nothing is borrowed while `work` runs.
    pub(crate) fn drain_first(&self, count: usize, mut work: impl FnMut(T)) {
        for _ in 0..count {
            let Some(item) = self.items.borrow_mut().pop_front() else { break };
            work(item);
        }
    }

    pub(crate) fn clear(&self) {
        drop(self.items.take());
    }
}
