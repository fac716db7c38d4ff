//! A cell for rare state: state that most handles never need costs them one pointer.

use std::cell::Cell;
use std::fmt;

/// State in a box that is allocated on first use. It is used through shared references; nothing is borrowed between two
/// calls.
///
/// ```
/// use uv_core::layer::ColdCell;
///
/// let names = ColdCell::<Vec<&str>>::empty();
/// assert_eq!(names.peek(|names| names.len()), None);
/// names.with(|names| names.push("one"));
/// assert_eq!(names.peek(|names| names.len()), Some(1));
/// ```
pub struct ColdCell<T>(Cell<Option<Box<T>>>);

impl<T> ColdCell<T> {
    /// A cell without a box.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Cell::new(None))
    }

    /// Calls `work` with the state, which is created if there is none. `work` must not use the cell.
    #[inline]
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        let mut state = self.take().unwrap_or_default();
        let result = work(&mut state);
        self.put(state);
        result
    }

    /// Calls `work` with the state if there is any. `work` must not use the cell.
    #[inline]
    pub fn peek<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut state = self.take()?;
        let result = work(&mut state);
        self.put(state);
        Some(result)
    }

    /// Takes the box out.
    #[inline]
    pub fn take(&self) -> Option<Box<T>> {
        self.0.take()
    }

    /// Puts a box in.
    #[inline]
    pub fn put(&self, state: Box<T>) {
        self.0.set(Some(state));
    }
}

impl<T> fmt::Debug for ColdCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdCell").finish_non_exhaustive()
    }
}

impl<T> Default for ColdCell<T> {
    fn default() -> Self {
        Self::empty()
    }
}
