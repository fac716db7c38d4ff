//! Async ids: the executing resource and its trigger. Mirrors the id counter and the id stack of Node's `AsyncHooks`
//! (`src/env.h`) and `DefaultTriggerAsyncIdScope`.
//!
//! Rust's call stack replaces Node's id stack: a guard keeps the outer ids while a context is entered. So nesting has
//! no bound, nothing is allocated, and contexts cannot be left in the wrong order.

use crate::Provider;
use crate::frame::Frame;
use crate::layer::OnDrop;
use crate::layer::trace::Facts;
use std::cell::Cell;
use std::fmt;
use std::mem::take;

/// The id of an asynchronous resource, unique within its environment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct AsyncId(u64);

impl AsyncId {
    /// No resource: the id outside of every context.
    pub const NONE: Self = Self(0);

    /// The number; 0 for [`NONE`](Self::NONE).
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AsyncId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An asynchronous resource: its id, its trigger's id, its type (Node's `async_context`), and the values that it has of each
/// [`Storage`](crate::Storage). Default: [`NONE`](Self::NONE).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AsyncContext {
    async_id: AsyncId,
    trigger_async_id: AsyncId,
    provider: Provider,
    frame: Frame,
}

impl AsyncContext {
    /// No resource: hooks are not told of it.
    pub const NONE: Self = Self::new(AsyncId::NONE, AsyncId::NONE, Provider::None, Frame::EMPTY);

    pub(crate) const fn new(
        async_id: AsyncId,
        trigger_async_id: AsyncId,
        provider: Provider,
        frame: Frame,
    ) -> Self {
        Self { async_id, trigger_async_id, provider, frame }
    }

    /// The resource's id.
    #[must_use]
    pub const fn async_id(&self) -> AsyncId {
        self.async_id
    }

    /// The id of the resource that caused this one.
    #[must_use]
    pub const fn trigger_async_id(&self) -> AsyncId {
        self.trigger_async_id
    }

    /// The resource's facts for a trace record.
    #[inline]
    #[must_use]
    pub fn facts(&self) -> Facts {
        facts(self.async_id, self.trigger_async_id, self.provider)
    }

    /// The resource's type.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        self.provider
    }

    /// The values of the storages.
    #[inline]
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Makes it the context of another resource, whose frame is empty.
    #[inline]
    pub(crate) fn renew(&mut self, async_id: AsyncId, trigger_async_id: AsyncId, provider: Provider) {
        (self.async_id, self.trigger_async_id, self.provider) = (async_id, trigger_async_id, provider);
        self.drop_values();
    }

    pub(crate) fn set_frame(&mut self, frame: Frame) {
        self.frame = frame;
    }

    /// Drops the values of the storages, of a resource whose record is kept for another.
    #[inline]
    pub fn drop_values(&mut self) {
        if !self.frame.is_empty() {
            self.forget_frame();
        }
    }

    #[cold]
    fn forget_frame(&mut self) {
        self.frame = Frame::EMPTY;
    }
}

/// Takes the context in parts, so that a caller that does not trace need not have it in memory.
#[cold]
fn facts(async_id: AsyncId, trigger: AsyncId, provider: Provider) -> Facts {
    let facts = Facts::within(async_id.get(), trigger.get());
    if provider == Provider::None { facts } else { facts.info(provider) }
}

/// The ids and the values outside of the context that is entered.
pub(crate) struct Outer {
    execution: AsyncId,
    trigger: AsyncId,
    frame: Frame,
}

/// The id counter and the executing ids.
#[derive(Default)]
pub(crate) struct Ids {
    last: Cell<u64>,
    execution: Cell<AsyncId>,
    trigger: Cell<AsyncId>,
    default_trigger: Cell<Option<AsyncId>>,
    /// The values of the storages in the executing context: empty until there is a storage.
    frame: Cell<Frame>,
    /// The number of the newest storage, or 0.
    last_storage: Cell<u64>,
    /// Without storages no frame needs to be looked at.
    has_storages: Cell<bool>,
}

impl Ids {
    pub(crate) fn next(&self) -> AsyncId {
        let next = self.last.get() + 1;
        self.last.set(next);
        AsyncId(next)
    }

    pub(crate) fn execution(&self) -> AsyncId {
        self.execution.get()
    }

    pub(crate) fn trigger(&self) -> AsyncId {
        self.trigger.get()
    }

    /// The trigger of a resource created now.
    pub(crate) fn default_trigger(&self) -> AsyncId {
        self.default_trigger.get().unwrap_or_else(|| self.execution.get())
    }

    /// Enters `context`. Returns what [`leave`](Self::leave) restores.
    #[inline]
    pub(crate) fn enter(&self, context: &AsyncContext) -> Outer {
        let execution = self.execution.replace(context.async_id);
        let trigger = self.trigger.replace(context.trigger_async_id);
        Outer { execution, trigger, frame: Frame::EMPTY }
    }

    /// Enters the frame of a context whose ids are entered.
    pub(crate) fn enter_frame_of(&self, context: &AsyncContext, outer: &mut Outer) {
        outer.frame = self.set_frame(context.frame.clone());
    }

    /// Leaves the context that was entered last.
    pub(crate) fn leave(&self, outer: &mut Outer) {
        self.leave_ids(outer);
        // The last context with a value may be the one that ends here.
        drop(self.set_frame(take(&mut outer.frame)));
    }

    /// Leaves the context that was entered last, where there are no storages.
    #[inline]
    pub(crate) fn leave_ids(&self, outer: &Outer) {
        self.execution.set(outer.execution);
        self.trigger.set(outer.trigger);
    }

    #[inline]
    pub(crate) fn has_storages(&self) -> bool {
        self.has_storages.get()
    }

    /// The values that a resource inherits which is made now.
    #[inline]
    pub(crate) fn inherited(&self) -> Frame {
        if self.has_storages() { self.frame().inherited() } else { Frame::EMPTY }
    }

    /// The values of the storages in the executing context.
    #[inline(never)]
    pub(crate) fn frame(&self) -> Frame {
        let current = self.frame.take();
        let frame = current.clone();
        self.frame.set(current);
        frame
    }

    /// Replaces the values of the executing context. Returns those of before.
    #[inline(never)]
    pub(crate) fn set_frame(&self, frame: Frame) -> Frame {
        self.frame.replace(frame)
    }

    /// Replaces the values of the executing context until the guard is dropped.
    pub(crate) fn enter_frame(&self, frame: Frame) -> OnDrop<impl FnOnce() + use<'_>> {
        let outer = self.frame.replace(frame);
        OnDrop::new(move || drop(self.frame.replace(outer)))
    }

    /// The number of a new storage.
    pub(crate) fn next_storage(&self) -> u64 {
        let next = self.last_storage.get() + 1;
        self.last_storage.set(next);
        self.has_storages.set(true);
        next
    }

    /// Sets the trigger of resources created until the guard is dropped.
    pub(crate) fn set_default_trigger(&self, trigger: AsyncId) -> OnDrop<impl FnOnce() + use<'_>> {
        let outer = self.default_trigger.replace(Some(trigger));
        OnDrop::new(move || self.default_trigger.set(outer))
    }
}
