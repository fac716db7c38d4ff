//! Frames: the values of all storages in one context. Mirrors `AsyncContextFrame`, Node's
//! `lib/internal/async_context_frame.js`.
//!
//! A frame is immutable and shared; a new value makes a new frame. Frames lie beside the contexts, in a table by async id
//! that has only the contexts with values: a context without values has no byte for them, and stays a plain copy.

use crate::AsyncId;
use crate::layer::OnDrop;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem::take;
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

    /// This frame with an entry in place of the entry of its storage.
    pub(crate) fn with(&self, new: Entry) -> Self {
        let mut entries = self.others(new.storage);
        entries.push(new);
        Self::of(entries)
    }

    /// This frame with the entry that `other` has for a storage, or with none.
    pub(crate) fn with_that_of(&self, storage: u64, other: &Self) -> Self {
        let mut entries = self.others(storage);
        entries.extend(other.entry(storage).cloned());
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

/// The frame of the executing context, and those of all resources with values.
#[derive(Default)]
pub(crate) struct Frames {
    current: Cell<Frame>,
    /// The frames around the executing context, the innermost last: one for each scope that began since there are storages.
    outer: RefCell<Vec<Frame>>,
    of: RefCell<HashMap<AsyncId, Frame, BuildHasherDefault<IdHasher>>>,
    /// The number of the newest storage, or 0.
    last_storage: Cell<u64>,
    /// The environment has ended: nothing is kept any more, since nothing would drop it.
    has_ended: Cell<bool>,
}

impl Frames {
    /// The frame of the executing context.
    pub(crate) fn current(&self) -> Frame {
        let current = self.current.take();
        let frame = current.clone();
        self.current.set(current);
        frame
    }

    /// Replaces the frame of the executing context for the rest of it. The values of the frame of before may do anything when
    /// they are dropped.
    pub(crate) fn stay(&self, frame: Frame) {
        if !self.has_ended.get() {
            drop(self.current.replace(frame));
        }
    }

    /// Replaces the frame of the executing context until the guard is dropped, which restores the frame of before.
    pub(crate) fn enter(&self, frame: Frame) -> OnDrop<impl FnOnce() + use<'_>> {
        self.enter_until(frame, |outer| outer)
    }

    /// Like [`enter`](Self::enter), with what `restored` makes of the frame of before.
    pub(crate) fn enter_until<'a>(
        &'a self,
        frame: Frame,
        restored: impl FnOnce(Frame) -> Frame + 'a,
    ) -> OnDrop<impl FnOnce() + 'a> {
        let (outer, had_ended) = (self.current.replace(frame), self.has_ended.get());
        OnDrop::new(move || {
            // What was there before the end would be there for good.
            let is_over = self.has_ended.get() && !had_ended;
            drop(self.current.replace(if is_over { Frame::EMPTY } else { restored(outer) }));
        })
    }

    /// Enters the context of a resource.
    pub(crate) fn begin(&self, id: AsyncId) {
        let outer = self.current.replace(self.of(id));
        self.outer.borrow_mut().push(outer);
    }

    /// Leaves the context that was entered last. A context that was entered before the first storage has no value around it.
    pub(crate) fn end(&self) {
        let outer = self.outer.borrow_mut().pop().unwrap_or_default();
        // The resource that ends here may be the last with a value.
        drop(self.current.replace(outer));
    }

    /// The frame of a resource that is created now.
    pub(crate) fn inherited(&self) -> Frame {
        self.current().inherited()
    }

    /// The frame of a resource.
    pub(crate) fn of(&self, id: AsyncId) -> Frame {
        let of = self.of.borrow();
        if of.is_empty() { Frame::EMPTY } else { of.get(&id).cloned().unwrap_or_default() }
    }

    /// Gives a resource a frame. The resource must be destroyed later.
    pub(crate) fn set(&self, id: AsyncId, frame: Frame) {
        if self.has_ended.get() {
            return;
        }
        // The values of the frame of before may do anything when they are dropped.
        let before = if frame.is_empty() { self.take(id) } else { self.of.borrow_mut().insert(id, frame) };
        drop(before);
    }

    fn take(&self, id: AsyncId) -> Option<Frame> {
        let mut of = self.of.borrow_mut();
        if of.is_empty() { None } else { of.remove(&id) }
    }

    /// Drops the frame of a resource that is destroyed.
    pub(crate) fn forget(&self, id: AsyncId) {
        drop(self.take(id));
    }

    /// The number of a new storage.
    pub(crate) fn next_storage(&self) -> u64 {
        let next = self.last_storage.get() + 1;
        self.last_storage.set(next);
        next
    }

    /// Whether there has been a storage: without one no frame needs to be looked at.
    pub(crate) fn has_storages(&self) -> bool {
        self.last_storage.get() > 0
    }

    /// Drops all frames, also those around the executing context, which are entered again later. From now on a value is there
    /// within a guard of [`enter`](Self::enter) only.
    pub(crate) fn end_all(&self) {
        self.has_ended.set(true);
        let outer: Vec<_> = self.outer.borrow_mut().iter_mut().map(take).collect();
        drop((self.of.take(), self.current.take(), outer));
    }
}

/// Spreads ids, which count up, over the table.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio (Knuth's multiplicative hashing).
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        // The table looks at the lowest bits, and the product's highest depend on all of the id.
        self.0.rotate_left(26)
    }
}
