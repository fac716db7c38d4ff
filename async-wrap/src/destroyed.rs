//! Destroyed resources that hooks have not been told of yet. Mirrors `AsyncWrap::EmitDestroy` and
//! `DestroyAsyncIdsCallback`, Node's `src/async_wrap.cc`.
//!
//! Hooks get `destroy` later than it happens, in the check phase of the loop, so that a hook never runs in the middle
//! of other code. Pending `destroy` events do not keep the loop alive.

use crate::environment::EnvironmentInner;
use crate::layer::OnDrop;
use crate::ticks::Microtask;
use crate::{AsyncId, Environment};
use std::cell::RefCell;
use std::collections::VecDeque;

/// With this many pending `destroy` events hooks are told at the end of the current callback instead of in the check
/// phase. The number is Node's.
const TELL_AT: usize = 16384;

#[derive(Default)]
pub(crate) struct Destroyed {
    ids: RefCell<VecDeque<AsyncId>>,
}

impl Destroyed {
    /// Returns the number of pending ids.
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
    /// Records that the resource `id` is destroyed: it has no values any more, and active hooks are told later. Without hooks
    /// and storages this does nothing.
    #[inline]
    pub fn emit_destroy(&self, id: AsyncId) {
        if self.inner().hooks.is_watched() {
            self.note_destroyed(id);
        }
    }

    #[cold]
    fn note_destroyed(&self, id: AsyncId) {
        let inner = self.inner();
        if inner.frames.has_storages() {
            inner.frames.forget(id);
        }
        if id == AsyncId::NONE || !inner.hooks.any() {
            return;
        }
        let waiting = inner.destroyed.push(id);
        inner.driver.start_check(self);
        if waiting == TELL_AT {
            self.push_microtask(Microtask::TellDestroyed);
        }
    }

    /// Returns a guard that calls [`emit_destroy`](Self::emit_destroy) when it is dropped. It lies [around](OnDrop::around) the
    /// resource's last call, which hooks may refuse by a panic.
    pub(crate) fn destroy_at_end(&self, id: AsyncId) -> OnDrop<impl FnOnce() + use<'_>> {
        OnDrop::new(move || self.emit_destroy(id))
    }
}

impl EnvironmentInner {
    /// Tells the hooks of the destroyed resources, one resource at a time: if a hook panics, the next check phase
    /// continues.
    pub(crate) fn tell_destroyed(&self) {
        while let Some(id) = self.destroyed.pop() {
            self.hooks.emit_destroy(id);
        }
    }
}
