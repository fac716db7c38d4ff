//! Where a handle keeps its tower, and the one way in which a tower is called.
//!
//! The tower is out of its slot during its own call, so nothing is borrowed while user code runs: the call may close
//! the handle, start it again, or put another tower into the slot, which then takes over. A panic in the call puts the
//! tower back before it unwinds further, so the loop stays usable.

use std::cell::Cell;

pub(crate) struct Slot<T> {
    tower: Cell<Option<T>>,
}

impl<T> Slot<T> {
    pub(crate) const fn empty() -> Self {
        Self { tower: Cell::new(None) }
    }

    pub(crate) fn set(&self, tower: T) {
        self.tower.set(Some(tower));
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.tower.take()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let tower = self.tower.take();
        let empty = tower.is_none();
        self.tower.set(tower);
        empty
    }

    /// Calls the tower, if there is one. It is back in its slot when this returns, unless it was replaced meanwhile.
    pub(crate) fn call(&self, call: impl FnOnce(&mut T)) {
        if let Some(tower) = self.tower.take() {
            let mut lent = Lent { slot: self, tower: Some(tower) };
            if let Some(tower) = &mut lent.tower {
                call(tower);
            }
        }
    }
}

struct Lent<'a, T> {
    slot: &'a Slot<T>,
    tower: Option<T>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let lent = self.tower.take();
        match self.slot.tower.take() {
            None => self.slot.tower.set(lent),
            // Dropping the old tower last: its own `Drop` may use the slot.
            newer => {
                self.slot.tower.set(newer);
                drop(lent);
            }
        }
    }
}
