//! Async ids: the executing resource and its trigger. Mirrors the id counter and the id stack of Node's `AsyncHooks`
//! (`src/env.h`) and `DefaultTriggerAsyncIdScope`.
//!
//! Rust's call stack replaces Node's id stack: a guard keeps the outer ids while a context is entered. So nesting has
//! no bound, nothing is allocated, and contexts cannot be left in the wrong order.

use crate::Provider;
use crate::layer::OnDrop;
use crate::layer::trace::Facts;
use std::cell::Cell;
use std::fmt;

/// The id of an asynchronous resource, unique within its environment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct AsyncId(u64);

impl AsyncId {
    /// No resource: the id outside of every context.
    pub const NONE: Self = Self(0);

    pub(crate) const fn of(number: u64) -> Self {
        Self(number)
    }

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

/// An asynchronous resource: its id, its trigger's id, and its type (Node's `async_context`). Default: [`NONE`](Self::NONE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AsyncContext {
    async_id: AsyncId,
    trigger_async_id: AsyncId,
    provider: Provider,
}

impl AsyncContext {
    /// No resource: hooks are not told of it.
    pub const NONE: Self = Self::new(AsyncId::NONE, AsyncId::NONE, Provider::None);

    pub(crate) const fn new(async_id: AsyncId, trigger_async_id: AsyncId, provider: Provider) -> Self {
        Self { async_id, trigger_async_id, provider }
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
}

/// Takes the context in parts, so that a caller that does not trace need not have it in memory.
#[cold]
fn facts(async_id: AsyncId, trigger: AsyncId, provider: Provider) -> Facts {
    let facts = Facts::within(async_id.get(), trigger.get());
    if provider == Provider::None { facts } else { facts.info(provider) }
}

/// The id counter and the executing ids.
#[derive(Default)]
pub(crate) struct Ids {
    last: Cell<u64>,
    execution: Cell<AsyncId>,
    trigger: Cell<AsyncId>,
    default_trigger: Cell<Option<AsyncId>>,
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

    /// Enters `context` until the guard is dropped, also when a panic drops it.
    #[inline]
    pub(crate) fn enter(&self, context: AsyncContext) -> OnDrop<impl FnOnce() + use<'_>> {
        let execution = self.execution.replace(context.async_id);
        let trigger = self.trigger.replace(context.trigger_async_id);
        OnDrop::new(move || {
            self.execution.set(execution);
            self.trigger.set(trigger);
        })
    }

    /// Sets the trigger of resources created until the guard is dropped.
    pub(crate) fn set_default_trigger(&self, trigger: AsyncId) -> OnDrop<impl FnOnce() + use<'_>> {
        let outer = self.default_trigger.replace(Some(trigger));
        OnDrop::new(move || self.default_trigger.set(outer))
    }
}
