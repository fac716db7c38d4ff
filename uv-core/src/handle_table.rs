//! The handles of a loop by their keys. A key's generation tells its handle from earlier handles at the same index, so
//! that an event of a closed handle never reaches a later one. Mirrors `loop->handle_queue` and `loop->watchers`.

use crate::handle::HandleInner;
use crate::key::Key;
use crate::layer::Place;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

pub(crate) struct HandleTable {
    entries: RefCell<Slab<Entry>>,
    next_generation: Cell<u32>,
}

struct Entry {
    generation: u32,
    handle: Rc<dyn HandleInner>,
    made_at: Place,
}

impl Default for HandleTable {
    fn default() -> Self {
        Self { entries: RefCell::new(Slab::new()), next_generation: Cell::new(1) }
    }
}

impl HandleTable {
    /// Adds the handle that `make` creates for its key. `make` must not use the loop.
    #[track_caller]
    pub(crate) fn add<N: HandleInner + 'static>(&self, make: impl FnOnce(Key) -> N) -> Rc<N> {
        let generation = self.next_generation.get();
        self.next_generation.set(Key::generation_after(generation));
        let mut entries = self.entries.borrow_mut();
        let entry = entries.vacant_entry();
        let inner = Rc::new(make(Key { index: entry.key() as u32, generation }));
        let handle = Rc::clone(&inner) as Rc<dyn HandleInner>;
        entry.insert(Entry { generation, handle, made_at: Place::marked() });
        inner
    }

    pub(crate) fn find(&self, key: Key) -> Option<Rc<dyn HandleInner>> {
        let entries = self.entries.borrow();
        let entry = entries.get(key.index as usize).filter(|entry| entry.generation == key.generation)?;
        Some(Rc::clone(&entry.handle))
    }

    pub(crate) fn made_at(&self, key: Key) -> Option<&'static Location<'static>> {
        let entries = self.entries.borrow();
        let entry = entries.get(key.index as usize).filter(|entry| entry.generation == key.generation)?;
        entry.made_at.location()
    }

    pub(crate) fn remove(&self, key: Key) {
        let removed = {
            let mut entries = self.entries.borrow_mut();
            let index = key.index as usize;
            let same = entries.get(index).is_some_and(|entry| entry.generation == key.generation);
            same.then(|| entries.remove(index))
        };
        // Dropped last: the destructor of a handle's state may use the table.
        drop(removed);
    }

    /// The open handles, including closing ones.
    pub(crate) fn open(&self) -> Vec<Rc<dyn HandleInner>> {
        self.entries.borrow().iter().map(|(_, entry)| Rc::clone(&entry.handle)).collect()
    }

    /// Empties the table and returns its handles.
    pub(crate) fn take(&self) -> Vec<Rc<dyn HandleInner>> {
        self.entries.take().into_iter().map(|(_, entry)| entry.handle).collect()
    }
}
