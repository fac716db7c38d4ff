//! Guards: work to do at the end of a scope, and work to do only if a panic ends the scope.

use std::fmt;
use std::mem;

/// Calls a closure when it is dropped, by a return or by a panic.
///
/// ```
/// use std::cell::Cell;
/// use uv_core::layer::OnDrop;
///
/// let is_running = Cell::new(true);
/// {
///     let _running = OnDrop::new(|| is_running.set(false));
/// }
/// assert!(!is_running.get());
/// ```
#[must_use = "the closure is called when this is dropped"]
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    /// A guard that calls `work` when it is dropped.
    #[inline]
    pub const fn new(work: F) -> Self {
        Self(Some(work))
    }

    /// A call that ends with the guard. If it is dropped instead of called, so is the guard.
    ///
    /// ```
    /// use uv_core::layer::OnDrop;
    ///
    /// let call = OnDrop::new(|| println!("over")).around(|| println!("called"));
    /// drop(call); // Prints "over" only.
    /// ```
    #[inline]
    pub fn around<R>(self, call: impl FnOnce() -> R) -> impl FnOnce() -> R {
        move || {
            let _guard = self;
            call()
        }
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    #[inline]
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

/// Calls a closure on drop unless it is disarmed: a panic then schedules the rest of the interrupted work.
///
/// ```
/// use std::panic::catch_unwind;
/// use uv_core::layer::OnUnwind;
///
/// let work = |panics: bool| {
///     let again = OnUnwind::new(|| println!("interrupted"));
///     assert!(!panics, "prints it");
///     again.disarm();
/// };
/// # std::panic::set_hook(Box::new(|_| {}));
/// work(false);
/// assert!(catch_unwind(|| work(true)).is_err());
/// ```
#[must_use = "the closure is called when this is dropped"]
pub struct OnUnwind<F: FnOnce()>(OnDrop<F>);

impl<F: FnOnce()> OnUnwind<F> {
    /// A guard that calls `work` when it is dropped before [`disarm`](Self::disarm).
    #[inline]
    pub const fn new(work: F) -> Self {
        Self(OnDrop::new(work))
    }

    /// Drops the closure without calling it.
    #[inline]
    pub fn disarm(mut self) {
        let work = self.0.0.take();
        // The closure has been moved out, so the destructor must not run.
        mem::forget(self);
        drop(work);
    }
}

impl<F: FnOnce()> fmt::Debug for OnDrop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDrop").finish_non_exhaustive()
    }
}

impl<F: FnOnce()> fmt::Debug for OnUnwind<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnUnwind").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::rc::Rc;

    /// Unwinds without the message of a panic.
    fn unwinding(work: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(|| {
            work();
            resume_unwind(Box::new(()));
        }))
        .is_err()
    }

    #[test]
    fn on_drop_calls_once_by_return_and_by_panic() {
        let calls = Cell::new(0);
        drop(OnDrop::new(|| calls.set(calls.get() + 1)));
        assert_eq!(calls.get(), 1);
        let mut kept = None;
        assert!(unwinding(|| kept = Some(OnDrop::new(|| calls.set(calls.get() + 1)))));
        assert_eq!(calls.get(), 1, "it is not dropped yet");
        drop(kept);
        assert_eq!(calls.get(), 2);
        let around = || OnDrop::new(|| calls.set(calls.get() + 1)).around(|| calls.get());
        assert_eq!((around()(), calls.get()), (2, 3), "the guard is dropped behind the call");
        drop(around());
        assert_eq!(calls.get(), 4);
    }

    #[test]
    fn on_unwind_calls_by_panic_only_and_a_disarmed_closure_is_dropped() {
        let shared = Rc::new(Cell::new(0));
        let guard = |shared: &Rc<Cell<i32>>| {
            let shared = Rc::clone(shared);
            OnUnwind::new(move || shared.set(shared.get() + 1))
        };
        guard(&shared).disarm();
        assert_eq!((shared.get(), Rc::strong_count(&shared)), (0, 1));
        let interrupted = catch_unwind(AssertUnwindSafe(|| {
            let _guard = guard(&shared);
            resume_unwind(Box::new(()));
        }));
        assert!(interrupted.is_err());
        assert_eq!((shared.get(), Rc::strong_count(&shared)), (1, 1));
    }
}
