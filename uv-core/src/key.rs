//! A handle's key in its loop's table: an index, and a generation that tells the handles of one index apart. mio's
//! token for the handle's descriptor is made of both.

pub(crate) use mio::Token;

/// Half of a pointer: a token has the index in its lower half and the generation in its upper half, without the highest
/// bit, so that no handle has a token of the loop itself. On a 32-bit machine a generation has 15 bits, which is still
/// one for each reuse of an index within a batch of events.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;
const GENERATION_MASK: u32 = (INDEX_MASK >> 1) as u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// The key of a handle that is not in the table.
    pub(crate) const NONE: Self = Self { index: u32::MAX, generation: 0 };

    pub(crate) const fn generation_after(generation: u32) -> u32 {
        (generation + 1) & GENERATION_MASK
    }

    #[inline]
    pub(crate) const fn to_token(self) -> Token {
        Token(((self.generation as usize) << INDEX_BITS) | self.index as usize)
    }

    #[inline]
    pub(crate) const fn from_token(token: Token) -> Self {
        Self { index: (token.0 & INDEX_MASK) as u32, generation: (token.0 >> INDEX_BITS) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_key_and_back() {
        for (index, generation) in [(0, 1), (7, GENERATION_MASK), (0xffff, 3)] {
            let key = Key { index, generation };
            assert_eq!(Key::from_token(key.to_token()), key);
            assert!(key.to_token().0 < usize::MAX - 2);
        }
        assert_eq!(Key::generation_after(GENERATION_MASK), 0);
    }
}
