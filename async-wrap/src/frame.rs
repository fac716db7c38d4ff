//! Frames: the values of all storages in one context. Mirrors `AsyncContextFrame`, Node's
//! `lib/internal/async_context_frame.js`.
//!
//! A frame is immutable and shared: a context has one pointer, which is null without values. A new value makes a new
//! frame.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

/// The values in a context.
#[derive(Clone, Default)]
pub(crate) struct Frame(Option<Rc<Values>>);

struct Values {
    /// At most one for each storage, of which a program has few.
    entries: Vec<Entry>,
    /// What a resource inherits that is made in this frame, if that is not all.
    inherited: Option<Frame>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    /// The number of the storage.
    pub(crate) storage: u64,
    /// `None`: the storage has no value here, not even its default.
    pub(crate) value: Option<Rc<dyn Any>>,
    pub(crate) is_inherited: bool,
}

impl Frame {
    /// No values.
    pub(crate) const EMPTY: Self = Self(None);

    fn of(entries: Vec<Entry>) -> Self {
        if entries.is_empty() {
            return Self::EMPTY;
        }
        let inherited: Vec<Entry> = entries.iter().filter(|entry| entry.is_inherited).cloned().collect();
        let inherited = (inherited.len() < entries.len()).then(|| Self::of(inherited));
        Self(Some(Rc::new(Values { entries, inherited })))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The frame of a resource that is made in this one.
    #[inline]
    pub(crate) fn inherited(&self) -> Self {
        match &self.0 {
            None => Self::EMPTY,
            Some(values) => values.inherited.as_ref().unwrap_or(self).clone(),
        }
    }

    /// What is set for a storage, if anything is.
    pub(crate) fn entry(&self, storage: u64) -> Option<&Entry> {
        self.0.as_ref()?.entries.iter().find(|entry| entry.storage == storage)
    }

    /// This frame with an entry in place of the one that the storage has.
    pub(crate) fn with(&self, new: Entry) -> Self {
        let mut entries = self.others(new.storage);
        entries.push(new);
        Self::of(entries)
    }

    fn others(&self, storage: u64) -> Vec<Entry> {
        let Some(values) = &self.0 else { return Vec::new() };
        values.entries.iter().filter(|entry| entry.storage != storage).cloned().collect()
    }
}

/// Equal if they are the same frame.
impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(another)) => Rc::ptr_eq(one, another),
            (one, another) => one.is_none() && another.is_none(),
        }
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("values", &self.0.as_ref().map_or(0, |values| values.entries.len()))
            .finish()
    }
}
