//! The cell in which a handle keeps its tower, and the only way to call a tower.
//!
//! The tower is outside of its cell during its own call, so nothing is borrowed while user code runs: the call may
//! close the handle, start it again, or set another tower, which is called from then on. If the call panics, the tower
//! returns to its cell before the panic unwinds further, so the loop stays usable.

use std::cell::Cell;
use std::fmt;

/// A cell for a tower or a handler, which is called through shared references without a borrow.
///
/// Every layer keeps its handlers in such cells, so that the law of upcalls (outside of its cell during its own call,
/// back afterwards unless replaced) is written once.
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

    /// Sets a tower and drops the old one. During a call the change takes effect when the call returns.
    pub fn set(&self, tower: T) {
        self.tower.set(Some(tower));
    }

    /// Takes the tower; `None` while it is being called.
    pub fn take(&self) -> Option<T> {
        self.tower.take()
    }

    /// Whether the cell has no tower: none was set, or it is being called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let tower = self.tower.take();
        let empty = tower.is_none();
        self.tower.set(tower);
        empty
    }

    /// Looks at the tower without a call; `None` if there is none, or it is being called. `look` must not use the cell.
    #[inline]
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        let tower = self.tower.take()?;
        let seen = look(&tower);
        self.tower.set(Some(tower));
        Some(seen)
    }

    /// Calls the tower, if there is one. When this returns, the tower is back in its cell unless it was replaced.
    #[inline]
    pub fn call(&self, call: impl FnOnce(&mut T)) {
        if let Some(tower) = self.tower.take() {
            let mut lent = Lent { cell: self, tower: Some(tower) };
            if let Some(tower) = &mut lent.tower {
                call(tower);
            }
            // The guard returns the tower to its cell if the call panics.
            let tower = lent.tower.take();
            std::mem::forget(lent);
            self.put_back(tower);
        }
    }

    #[inline]
    fn put_back(&self, tower: Option<T>) {
        match self.tower.take() {
            None => self.tower.set(tower),
            // The old tower is dropped last, because its destructor may use the cell.
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
