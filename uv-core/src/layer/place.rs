//! Places in the sources of programs, for handles that a layer makes for them: `why_alive` names the program's own line
//! instead of a line in a library. A build without debug assertions keeps no places, and pays nothing for them.

use crate::handle::Handle;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

/// A place in the sources.
///
/// A layer takes it where the program calls. It marks it again where the handle is made, if that is later, or where no
/// `#[track_caller]` reaches: behind a trait object or in a closure.
///
/// ```
/// use uv_core::layer::Place;
/// use uv_core::{Loop, LoopHandle, Timer};
///
/// /// A layer's constructor.
/// #[track_caller]
/// fn make(event_loop: &LoopHandle) -> Timer {
///     let _place = Place::caller().mark();
///     make_elsewhere(event_loop)
/// }
///
/// fn make_elsewhere(event_loop: &LoopHandle) -> Timer {
///     Timer::new(event_loop)
/// }
///
/// let event_loop = Loop::new()?;
/// let timer = make(&event_loop);
/// let line = line!() - 1;
/// assert!(timer.made_at().is_none_or(|place| place.line() == line));
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Place(#[cfg(debug_assertions)] Option<&'static Location<'static>>);

/// While it exists, handles of this thread are made for the marked place. Made by [`Place::mark`].
#[derive(Debug)]
#[must_use]
pub struct PlaceMark {
    /// Set if this mark is the outermost one, which alone counts.
    #[cfg(debug_assertions)]
    is_outermost: bool,
    _this_thread: PhantomData<*const ()>,
}

#[cfg(debug_assertions)]
thread_local! {
    static MARKED: std::cell::Cell<Option<&'static Location<'static>>> = const { std::cell::Cell::new(None) };
}

impl Place {
    /// The place of the caller.
    #[must_use]
    #[track_caller]
    #[inline]
    pub fn caller() -> Self {
        Self(
            #[cfg(debug_assertions)]
            Some(Location::caller()),
        )
    }

    /// The place for which an open handle was made: for handles that belong to it, such as the connections of a listener.
    #[must_use]
    #[inline]
    pub fn of(handle: &Handle) -> Self {
        #[cfg(not(debug_assertions))]
        let _ = handle;
        Self(
            #[cfg(debug_assertions)]
            handle.made_at(),
        )
    }

    /// Has handles of this thread made for this place while the mark exists. Within another mark it changes nothing: the
    /// outermost caller is the program.
    #[inline]
    pub fn mark(self) -> PlaceMark {
        #[cfg(debug_assertions)]
        let is_outermost = MARKED.get().is_none() && self.0.is_some();
        #[cfg(debug_assertions)]
        if is_outermost {
            MARKED.set(self.0);
        }
        PlaceMark {
            #[cfg(debug_assertions)]
            is_outermost,
            _this_thread: PhantomData,
        }
    }

    /// The marked place, or that of the caller: for a handle that is made later.
    #[must_use]
    #[track_caller]
    #[inline]
    pub fn marked() -> Self {
        #[cfg(debug_assertions)]
        if let Some(marked) = MARKED.get() {
            return Self(Some(marked));
        }
        Self::caller()
    }

    /// The place in the sources, in a build with debug assertions.
    #[must_use]
    pub fn location(self) -> Option<&'static Location<'static>> {
        #[cfg(debug_assertions)]
        return self.0;
        #[cfg(not(debug_assertions))]
        None
    }
}

impl Drop for PlaceMark {
    #[inline]
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        if self.is_outermost {
            MARKED.set(None);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.location()).finish()
    }
}
