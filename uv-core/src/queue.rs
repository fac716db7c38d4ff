//! A queue that is drained in batches: a batch has the items that were queued when it began, and a panic loses only its
//! own item.

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

    /// Takes out the `count` oldest items, one at a time. Nothing is borrowed while `work` runs.
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
