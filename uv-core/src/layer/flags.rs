//! Typed sets of flags: mixing flags of two kinds does not compile.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::BitOr;

/// The kind of a set of flags, which determines the width of its cell.
pub trait FlagKind: Copy + fmt::Debug {
    /// The integer that a [`FlagCell`] holds.
    type Bits: FlagBits;
}

/// An integer that holds flags.
pub trait FlagBits: Copy + fmt::Debug {
    /// Keeps the lowest bits of `word`. No higher bit is set.
    fn narrow(word: u32) -> Self;

    /// Returns the bits as a word.
    fn widen(self) -> u32;
}

macro_rules! flag_bits {
    ($($bits:ty)*) => {$(
        impl FlagBits for $bits {
            #[inline]
            fn narrow(word: u32) -> Self {
                word as Self
            }

            #[inline]
            fn widen(self) -> u32 {
                self.into()
            }
        }
    )*};
}

flag_bits!(u8 u16 u32);

/// A set of flags of one kind.
///
/// ```
/// use uv_core::layer::{FlagCell, FlagKind, Flags};
///
/// #[derive(Clone, Copy, Debug)]
/// struct Door;
///
/// impl FlagKind for Door {
///     type Bits = u8;
/// }
///
/// const OPEN: Flags<Door> = Flags::bit(0);
/// const LOCKED: Flags<Door> = Flags::bit(1);
///
/// let door = FlagCell::new(LOCKED);
/// assert!(door.has(OPEN | LOCKED) && door.take(LOCKED) && !door.has(LOCKED));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Flags<K>(u32, PhantomData<K>);

impl<K: FlagKind> Flags<K> {
    /// The empty set.
    pub const NONE: Self = Self(0, PhantomData);

    /// The set with the flag of this number, counted from 0.
    ///
    /// # Panics
    /// If a cell of this kind has no such bit; for a constant this happens at compile time.
    #[must_use]
    pub const fn bit(number: u32) -> Self {
        assert!((number as usize) < 8 * size_of::<K::Bits>());
        Self(1 << number, PhantomData)
    }

    /// This set if `condition` is true, otherwise the empty set.
    #[inline]
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// Whether the sets have a flag in common.
    #[inline]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl<K> BitOr for Flags<K> {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }
}

/// A set of flags that can be changed through a shared reference.
#[derive(Debug)]
pub struct FlagCell<K: FlagKind>(Cell<K::Bits>);

impl<K: FlagKind> FlagCell<K> {
    /// A cell with these flags.
    #[inline]
    #[must_use]
    pub fn new(flags: Flags<K>) -> Self {
        Self(Cell::new(K::Bits::narrow(flags.0)))
    }

    #[inline]
    fn get(&self) -> Flags<K> {
        Flags(self.0.get().widen(), PhantomData)
    }

    #[inline]
    fn put(&self, word: u32) {
        self.0.set(K::Bits::narrow(word));
    }

    /// Whether any of `flags` is set.
    #[inline]
    #[must_use]
    pub fn has(&self, flags: Flags<K>) -> bool {
        self.get().has(flags)
    }

    /// Sets `flags`.
    #[inline]
    pub fn set(&self, flags: Flags<K>) {
        self.put(self.get().0 | flags.0);
    }

    /// Clears `flags`.
    #[inline]
    pub fn clear(&self, flags: Flags<K>) {
        self.put(self.get().0 & !flags.0);
    }

    /// Clears `flags`. Returns whether any of them was set.
    #[inline]
    pub fn take(&self, flags: Flags<K>) -> bool {
        let had = self.has(flags);
        self.clear(flags);
        had
    }
}
