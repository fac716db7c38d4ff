//! A section that arrives in pieces: the only bytes that a decoder ever copies. Mirrors what Node's `StringPtr::Save` does
//! for the parts of a head.

use super::error::ParseError;
use super::section::{Bounds, Cursor};

/// The bytes so far of a section that arrives in pieces. It owns no memory while there are none.
#[derive(Debug, Default)]
pub(super) struct Partial(Option<Box<Pieces>>);

#[derive(Debug)]
struct Pieces {
    bytes: Vec<u8>,
    /// How far `bytes` are checked.
    cursor: Cursor,
}

impl Partial {
    /// Whether no memory is held.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes are held.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |pieces| pieces.bytes.len())
    }

    /// Releases the memory.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Takes the section that `input` starts or continues. Returns it once it is complete: lent from `input` if it came at
    /// once, else from here.
    pub(super) fn gather<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        bounds: &Bounds,
    ) -> Result<Option<&'a [u8]>, ParseError> {
        match &mut self.0 {
            Some(pieces) => pieces.add(input, bounds),
            None if input.is_empty() => Ok(None),
            empty => {
                let window = bounds.window(input);
                let mut cursor = Cursor::new(bounds);
                if let Some(end) = cursor.advance(window, bounds)? {
                    let (section, rest) = input.split_at(end);
                    *input = rest;
                    return Ok(Some(section));
                }
                // An incomplete section within its bounds is all of the input.
                *empty = Some(Box::new(Pieces { bytes: window.to_vec(), cursor }));
                *input = &[];
                Ok(None)
            }
        }
    }
}

impl Pieces {
    fn add(&mut self, input: &mut &[u8], bounds: &Bounds) -> Result<Option<&[u8]>, ParseError> {
        let held = self.bytes.len();
        let room = (bounds.size + 1).saturating_sub(held);
        self.bytes.extend_from_slice(&input[..input.len().min(room)]);
        let Some(end) = self.cursor.advance(&self.bytes, bounds)? else {
            *input = &[];
            return Ok(None);
        };
        *input = &input[end.saturating_sub(held)..];
        self.bytes.truncate(end);
        Ok(Some(&self.bytes))
    }
}
