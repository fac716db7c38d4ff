//! Async ids: who is executing, and who caused it. Mirrors the id counter and the id stack of Node's `AsyncHooks`
//! (`src/env.h`) and `DefaultTriggerAsyncIdScope`.
//!
//! The stack of Node is Rust's own stack here: whoever enters a context keeps the outer ids in a guard. So nesting has no
//! bound, nothing is allocated, and contexts cannot be left in a wrong order.

use crate::Provider;
use crate::layer::OnDrop;
use crate::layer::trace::Facts;
use std::cell::Cell;
use std::fmt;

/// The number of one asynchronous resource, unique within its environment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default)]
pub struct AsyncId(u64);

impl AsyncId {
    /// No resource: what executes outside of every context.
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

/// One asynchronous resource: its own id, the id of what caused it, and what it is (Node's `async_context`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncContext {
    async_id: AsyncId,
    trigger_async_id: AsyncId,
    provider: Provider,
}

impl AsyncContext {
    /// No resource: hooks are told nothing of it.
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

    /// What a trace says of the resource.
    #[inline]
    #[must_use]
    pub fn facts(&self) -> Facts {
        facts(self.async_id, self.trigger_async_id, self.provider)
    }

    /// What the resource is.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        self.provider
    }
}

/// Takes a context in parts: whoever says nothing of it need not have it in memory.
#[cold]
fn facts(async_id: AsyncId, trigger: AsyncId, provider: Provider) -> Facts {
    let facts = Facts::within(async_id.get(), trigger.get());
    if provider == Provider::None { facts } else { facts.info(provider) }
}

/// The counter, and the ids of what executes now.
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

    /// The trigger of a resource that is made now.
    pub(crate) fn default_trigger(&self) -> AsyncId {
        self.default_trigger.get().unwrap_or_else(|| self.execution.get())
    }

    /// Makes `context` the executing one until the guard is dropped, also by a panic.
    #[inline]
    pub(crate) fn enter(&self, context: AsyncContext) -> OnDrop<impl FnOnce() + use<'_>> {
        let execution = self.execution.replace(context.async_id);
        let trigger = self.trigger.replace(context.trigger_async_id);
        OnDrop::new(move || {
            self.execution.set(execution);
            self.trigger.set(trigger);
        })
    }

    /// Sets the trigger of resources made until the guard is dropped.
    pub(crate) fn set_default_trigger(&self, trigger: AsyncId) -> OnDrop<impl FnOnce() + use<'_>> {
        let outer = self.default_trigger.replace(Some(trigger));
        OnDrop::new(move || self.default_trigger.set(outer))
    }
}
