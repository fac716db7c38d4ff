//! What the request decoders of a server share: the fields of the head that was read last, and what they mean.

use super::framing_fields::FramingFields;
use crate::proto::Fields;
use crate::proto::fields::SectionTable;

/// A table of field positions for request decoders: one for all connections of a server, so that a request allocates
/// nothing once the table has grown to the size of most heads.
///
/// It remembers the field section of the last head, so that an equal one needs only to be compared.
#[derive(Debug, Default)]
pub struct FieldTable {
    sections: SectionTable,
    /// What the fields of the last head mean.
    framing: FramingFields,
}

impl FieldTable {
    /// An empty table; it allocates at the first request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The length of the field section at the start of `bytes`, if it is the one of the last head.
    #[inline]
    pub(super) fn repeated_len(&self, bytes: &[u8], max_fields: usize) -> Option<usize> {
        self.sections.repeated_len(bytes, max_fields)
    }

    /// Reads the field section of a head at the start of `bytes`; returns its length if it is complete and valid.
    pub(super) fn read_head(&mut self, bytes: &[u8], max_fields: usize) -> Option<usize> {
        self.repeated_len(bytes, max_fields).or_else(|| self.read_new_head(bytes, max_fields))
    }

    fn read_new_head(&mut self, bytes: &[u8], max_fields: usize) -> Option<usize> {
        let mut framing = FramingFields::default();
        let len =
            self.sections.read_head(bytes, max_fields, |name, value, span| framing.add(name, value, span))?;
        framing.complete(bytes);
        self.framing = framing;
        Some(len)
    }

    /// What the fields of the head mean that was read last.
    #[inline]
    pub(super) fn framing(&self) -> &FramingFields {
        &self.framing
    }

    /// The fields of the head that was read last, and whose field section `section` starts with.
    #[inline]
    pub(super) fn fields<'a>(&'a self, section: &'a [u8]) -> Fields<'a> {
        self.sections.fields(section)
    }

    /// The positions alone, for a body's trailers.
    pub(super) fn sections(&mut self) -> &mut SectionTable {
        &mut self.sections
    }
}
