//! Resources that are gone and of which hooks were not told yet. Mirrors `AsyncWrap::EmitDestroy` and
//! `DestroyAsyncIdsCallback`, Node's `src/async_wrap.cc`.
//!
//! `destroy` is told later than it happens, in the check phase of the loop, so that it never interrupts anybody, and
//! does not keep the loop alive.

use crate::environment::EnvironmentInner;
use crate::layer::OnDrop;
use crate::ticks::Microtask;
use crate::{AsyncId, Environment};
use std::cell::RefCell;
use std::collections::VecDeque;

/// So many untold resources do not wait for the loop any more but only for the end of the callback: Node's number.
const TELL_AT: usize = 16384;

#[derive(Default)]
pub(crate) struct Destroyed {
    ids: RefCell<VecDeque<AsyncId>>,
}

impl Destroyed {
    /// Returns how many wait now.
    fn push(&self, id: AsyncId) -> usize {
        let mut ids = self.ids.borrow_mut();
        ids.push_back(id);
        ids.len()
    }

    fn pop(&self) -> Option<AsyncId> {
        self.ids.borrow_mut().pop_front()
    }

    pub(crate) fn clear(&self) {
        drop(self.ids.take());
    }
}

impl Environment {
    /// Says that a resource is gone. Hooks are told later; without hooks nothing happens.
    #[inline]
    pub fn emit_destroy(&self, id: AsyncId) {
        if self.inner().hooks.any() {
            self.note_destroyed(id);
        }
    }

    #[cold]
    fn note_destroyed(&self, id: AsyncId) {
        let inner = self.inner();
        if id == AsyncId::NONE {
            return;
        }
        let waiting = inner.destroyed.push(id);
        inner.driver.start_check(self);
        if waiting == TELL_AT {
            self.push_microtask(Microtask::TellDestroyed);
        }
    }

    /// Says it when the guard is dropped.
    pub(crate) fn destroy_at_end(&self, id: AsyncId) -> OnDrop<impl FnOnce() + use<'_>> {
        OnDrop::new(move || self.emit_destroy(id))
    }
}

impl EnvironmentInner {
    /// Tells the hooks. One at a time: if one panics the others are told in the next check phase.
    pub(crate) fn tell_destroyed(&self) {
        while let Some(id) = self.destroyed.pop() {
            self.hooks.emit_destroy(id);
        }
    }
}
