//! Where a handle keeps its tower, and the one way in which a tower is called.
//!
//! The tower is out of its cell during its own call, so nothing is borrowed while user code runs: the call may close
//! the handle, start it again, or put another tower into the cell, which then takes over. A panic in the call puts the
//! tower back before it unwinds further, so the loop stays usable.

use std::cell::Cell;
use std::fmt;

/// A place for a tower or a handler, called through shared references without a borrow.
///
/// Every layer that keeps a handler outside of the loop's own towers keeps it in one of these, so that the law of
/// upcalls (out of its cell during its own call, back afterwards unless replaced) is written once.
///
/// ```
/// use uv_core::layer::HandlerCell;
///
/// let cell = HandlerCell::empty();
/// cell.set(1);
/// cell.call(|value: &mut i32| {
///     *value += 1;
///     assert!(cell.is_empty(), "out of its cell during its own call");
/// });
/// assert_eq!(cell.take(), Some(2));
/// ```
pub struct HandlerCell<T> {
    tower: Cell<Option<T>>,
}

impl<T> Default for HandlerCell<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> fmt::Debug for HandlerCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerCell").field("empty", &self.is_empty()).finish()
    }
}

impl<T> HandlerCell<T> {
    /// A cell with nothing in it.
    #[must_use]
    pub const fn empty() -> Self {
        Self { tower: Cell::new(None) }
    }

    /// Puts a tower in; the one that was there is dropped. One put in during a call takes over after it.
    pub fn set(&self, tower: T) {
        self.tower.set(Some(tower));
    }

    /// Takes the tower out; nothing while it is being called.
    pub fn take(&self) -> Option<T> {
        self.tower.take()
    }

    /// Whether there is no tower: none was set, or it is being called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let tower = self.tower.take();
        let empty = tower.is_none();
        self.tower.set(tower);
        empty
    }

    /// Calls the tower, if there is one. It is back in its cell when this returns, unless it was replaced meanwhile.
    #[inline]
    pub fn call(&self, call: impl FnOnce(&mut T)) {
        if let Some(tower) = self.tower.take() {
            let mut lent = Lent { cell: self, tower: Some(tower) };
            if let Some(tower) = &mut lent.tower {
                call(tower);
            }
            // The guard is for panics.
            let tower = lent.tower.take();
            std::mem::forget(lent);
            self.put_back(tower);
        }
    }

    #[inline]
    fn put_back(&self, tower: Option<T>) {
        match self.tower.take() {
            None => self.tower.set(tower),
            // Dropping the old tower last: its own `Drop` may use the cell.
            newer => {
                self.tower.set(newer);
                drop(tower);
            }
        }
    }
}

struct Lent<'a, T> {
    cell: &'a HandlerCell<T>,
    tower: Option<T>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        self.cell.put_back(self.tower.take());
    }
}
