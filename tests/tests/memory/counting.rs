//! An allocator that knows how many bytes one thread, the server's, has allocated and not freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts what this thread allocates and frees from now on.
pub(crate) fn count_this_thread() {
    LIVE.store(0, Ordering::Relaxed);
    COUNTED.set(true);
}

/// Bytes allocated and not freed; what was allocated by another thread and freed by the counted one counts as negative.
pub(crate) fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// The most that [`live`] was since [`reset_peak`].
pub(crate) fn peak() -> isize {
    PEAK.load(Ordering::Relaxed)
}

pub(crate) fn reset_peak() {
    PEAK.store(live(), Ordering::Relaxed);
}

fn count(change: isize) {
    // Refused to a thread that is ending.
    if COUNTED.try_with(Cell::get) == Ok(true) {
        let live = LIVE.fetch_add(change, Ordering::Relaxed) + change;
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
}

#[allow(unsafe_code, reason = "an allocator cannot be without")]
// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
