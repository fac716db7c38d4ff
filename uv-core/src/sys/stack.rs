//! The stack of a child until it executes the program, and the word that reports its error. glibc's `posix_spawn` has a
//! stack like this.

use super::fd::check;
use crate::Errno;
use std::ptr;
use std::sync::atomic::AtomicI32;

/// Size in bytes of the guard below the stack: a child that overflows its stack faults there and changes no memory of
/// this process.
const GUARD: usize = 64 * 1024;

/// Size in bytes of the area above the stack, in which the child stores its error. It keeps the stack aligned.
const WORD: usize = 64;

/// A memory mapping: a guard, a stack, and a word. Unmapped on drop.
pub(super) struct Stack {
    start: *mut libc::c_void,
    len: usize,
}

impl Stack {
    /// Maps a stack of at least `size` bytes. Both processes see what is written there, even if they share no other
    /// memory.
    pub(super) fn new(size: usize) -> Result<Self, Errno> {
        let len = GUARD + (size + WORD).next_multiple_of(GUARD);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, at an address of the kernel's choice, touches no memory that is in use.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(super::fd::last_errno());
        }
        let stack = Self { start, len };
        // SAFETY: the first part of the new mapping, which is not in use.
        check(unsafe { libc::mprotect(start, GUARD, libc::PROT_NONE) })?;
        Ok(stack)
    }

    /// The top of the stack, which grows down.
    pub(super) fn top(&self) -> *mut libc::c_void {
        // SAFETY: inside of the mapping.
        unsafe { self.start.byte_add(self.len - WORD) }
    }

    /// The error that ended the child, or 0. Async-signal-safe.
    pub(super) fn word(&self) -> &AtomicI32 {
        // SAFETY: the end of the mapping, which is readable, writable, aligned, initially zero, and not a part of the
        // stack.
        unsafe { &*self.top().cast::<AtomicI32>() }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value. A child that used it as its stack has ended or executed a program.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    /// The mapping of this process at an address, as in `/proc/self/maps`.
    fn mapping(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings");
        let has = |line: &&str| {
            let (range, _) = line.split_once(' ').expect("a range");
            let (from, to) = range.split_once('-').expect("two addresses");
            let number = |text| usize::from_str_radix(text, 16).expect("a hexadecimal number");
            (number(from)..number(to)).contains(&address)
        };
        maps.lines().find(has).unwrap_or_default().to_owned()
    }

    #[test]
    fn there_is_a_guard_beneath_the_stack_of_a_child() {
        let size = 32 * 1024;
        let stack = Stack::new(size).expect("memory");
        let top = stack.top() as usize;
        assert_eq!(top % 16, 0);
        let lowest = top - size;
        assert!(mapping(lowest).contains(" rw-s "), "{}", mapping(lowest));
        let beneath = stack.start as usize + GUARD - 1;
        assert!(mapping(beneath).contains(" ---s ") && beneath < lowest, "{}", mapping(beneath));
        assert_eq!(stack.word().load(Ordering::Relaxed), 0);
    }
}
