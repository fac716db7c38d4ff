//! Async hooks: observers of every resource's life. Mirrors Node's `lib/internal/async_hooks.js`.
//!
//! The list of active hooks is immutable and replaced as a whole: an event goes to the hooks that were active when it
//! began, even if a hook enables or disables hooks meanwhile. Without an active hook an event costs the test of one
//! flag.

use crate::layer::trace;
use crate::upcall::AsyncHook;
use crate::{AsyncContext, AsyncId, Environment, LAYER, Provider};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// A hook is borrowed only during its own call.
type Shared = Rc<RefCell<dyn AsyncHook>>;

/// A hook of an environment, inactive until it is enabled (`async_hooks.createHook`). Clones share the hook.
#[derive(Clone)]
pub struct Hook {
    env: Environment,
    hook: Shared,
}

impl Hook {
    pub(crate) fn new(env: Environment, hook: impl AsyncHook + 'static) -> Self {
        Self { env, hook: Rc::new(RefCell::new(hook)) }
    }

    /// Activates the hook from the next event on. Idempotent. An active hook stays active when its `Hook` is dropped.
    /// Does nothing in a closed environment.
    pub fn enable(&self) {
        if !self.env.inner().driver.has_ended() {
            self.env.hooks().enable(&self.hook);
        }
    }

    /// Deactivates the hook from the next event on. Idempotent.
    pub fn disable(&self) {
        self.env.hooks().disable(&self.hook);
    }

    /// Whether the hook is active.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.env.hooks().contains(&self.hook)
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("enabled", &self.is_enabled()).finish_non_exhaustive()
    }
}

/// The active hooks of an environment, in the order in which they were enabled.
#[derive(Default)]
pub(crate) struct Hooks {
    any: Cell<bool>,
    /// Whether there are hooks or storages: all that a context tests.
    is_watched: Cell<bool>,
    has_storages: Cell<bool>,
    active: RefCell<Rc<[Shared]>>,
}

impl Hooks {
    /// Whether any hook is active.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.get()
    }

    /// Whether hooks or tracing are enabled. One branch for both.
    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.any.get() | trace::is_on()
    }

    /// Whether hooks, tracing or storages follow the contexts. One branch for all.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.get() | trace::is_on()
    }

    /// Whether hooks or storages follow resources to their ends.
    pub(crate) fn follow_resources(&self) -> bool {
        self.is_watched.get()
    }

    /// From now on storages follow the contexts.
    pub(crate) fn watch_for_storages(&self) {
        self.has_storages.set(true);
        self.is_watched.set(true);
    }

    fn enable(&self, hook: &Shared) {
        if !self.contains(hook) {
            let active = self.active.borrow().iter().chain([hook]).cloned().collect();
            self.replace(active);
        }
    }

    fn disable(&self, hook: &Shared) {
        let active = self.active.borrow().iter().filter(|other| !Rc::ptr_eq(other, hook)).cloned().collect();
        self.replace(active);
    }

    fn contains(&self, hook: &Shared) -> bool {
        self.active.borrow().iter().any(|other| Rc::ptr_eq(other, hook))
    }

    pub(crate) fn clear(&self) {
        self.replace(Rc::default());
    }

    fn replace(&self, active: Rc<[Shared]>) {
        self.any.set(!active.is_empty());
        self.is_watched.set(!active.is_empty() | self.has_storages.get());
        // The old list may own the last reference to a hook, whose destructor must find nothing borrowed.
        drop(self.active.replace(active));
    }

    #[inline]
    #[track_caller]
    pub(crate) fn emit_init(&self, id: AsyncId, trigger: AsyncId, provider: Provider) {
        LAYER.note("Environment::new_context", || AsyncContext::new(id, trigger, provider).facts());
        self.tell(|hook| hook.on_init(id, provider, trigger));
    }

    #[inline(always)] // 20 instructions of tcp/echo-64 with hooks
    #[track_caller]
    pub(crate) fn emit_before(&self, id: AsyncId, trigger: AsyncId, provider: Provider) {
        if id == AsyncId::NONE {
            return;
        }
        LAYER.begins("Environment::run_in_context", || AsyncContext::new(id, trigger, provider).facts());
        self.tell(|hook| hook.on_before(id));
    }

    #[inline(always)] // 20 instructions of tcp/echo-64 with hooks
    #[track_caller]
    pub(crate) fn emit_after(&self, id: AsyncId) {
        if id == AsyncId::NONE {
            return;
        }
        self.tell(|hook| hook.on_after(id));
        LAYER.ends("Environment::run_in_context");
    }

    /// A task has ended.
    #[inline]
    pub(crate) fn emit_settled(&self, id: AsyncId) {
        if self.any() {
            self.tell(|hook| hook.on_settled(id));
        }
    }

    pub(crate) fn emit_destroy(&self, id: AsyncId) {
        self.tell(|hook| hook.on_destroy(id));
    }

    fn tell(&self, event: impl Fn(&mut dyn AsyncHook)) {
        let active = Rc::clone(&self.active.borrow());
        for hook in &*active {
            // The borrow fails only for a hook that is executing and caused this event itself.
            if let Ok(mut hook) = hook.try_borrow_mut() {
                event(&mut *hook);
            }
        }
    }
}
