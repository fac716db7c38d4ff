//! Hints about memory that is used soon.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Lets the processor load `value` while the program does something else. Affects nothing but the time.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    for offset in (0..size_of::<T>()).step_by(LINE) {
        prefetch_line(start.wrapping_add(offset));
    }
}

/// Like [`prefetch`], for the beginning of a value of any size.
#[inline]
pub(crate) fn prefetch_begin<T: ?Sized>(value: &T) {
    prefetch_line(std::ptr::from_ref(value).cast());
}

#[inline]
fn prefetch_line(start: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: it reads nothing that the program could see, and does not fault. Each x86_64 has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.cast()) };
    }
    // The other architectures have no such function in stable Rust.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = start;
}
