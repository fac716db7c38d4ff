//! The environment: what all callbacks of one loop share. Mirrors Node's `Environment` (`src/env.h`), as far as async
//! ids, hooks and queues go, and `SpinEventLoop`.

use crate::destroyed::Destroyed;
use crate::driver::{Driver, EnvironmentSlot};
use crate::hooks::Hooks;
use crate::ids::Ids;
use crate::immediate::Immediates;
use crate::task::Tasks;
use crate::ticks::Queues;
use crate::upcall::AsyncHook;
use crate::{AsyncContext, AsyncId, Hook, Provider, Result};
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use uv_core::{Loop, LoopHandle, RunMode};

/// The environment of a loop. A cheap clone, which stays on its thread.
///
/// It lives in its loop: what is queued in it is dropped with the loop, or by [`close`](Self::close).
#[derive(Clone)]
pub struct Environment(Rc<EnvironmentInner>);

pub(crate) struct EnvironmentInner {
    event_loop: LoopHandle,
    pub(crate) ids: Ids,
    pub(crate) hooks: Hooks,
    pub(crate) queues: Queues,
    /// Open callback scopes; the one at depth 1 lets the queues run.
    pub(crate) depth: Cell<u32>,
    pub(crate) tasks: Tasks,
    pub(crate) immediates: Immediates,
    pub(crate) destroyed: Destroyed,
    pub(crate) driver: Driver,
}

impl Environment {
    /// An environment for `event_loop`, in which it keeps a few handles. None of them keeps the loop alive by itself.
    #[must_use]
    pub fn new(event_loop: &LoopHandle) -> Self {
        let slot = EnvironmentSlot::default();
        let env = Self(Rc::new(EnvironmentInner {
            event_loop: event_loop.clone(),
            ids: Ids::default(),
            hooks: Hooks::default(),
            queues: Queues::default(),
            depth: Cell::new(0),
            tasks: Tasks::default(),
            immediates: Immediates::default(),
            destroyed: Destroyed::default(),
            driver: Driver::new(event_loop, &slot),
        }));
        env.register_here();
        slot.get_or_init(|| env).clone()
    }

    /// An environment with a loop of its own, which ends with what is returned: all that most programs need.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// env.set_timeout(Duration::ZERO, || println!("hello"));
    /// env.run_to_end()?;
    /// # Ok::<(), async_wrap::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the system says when it refuses the loop its descriptors.
    pub fn with_new_loop() -> Result<OwnedEnvironment> {
        let event_loop = Loop::new()?;
        Ok(OwnedEnvironment { env: Self::new(&event_loop), event_loop })
    }

    /// The loop.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        &self.0.event_loop
    }

    /// Runs what was queued outside of any scope, then the loop (`SpinEventLoop`). Returns whether anything is still
    /// alive. When nothing is, hooks are told of the last destroyed resources.
    ///
    /// # Errors
    /// `EBUSY` when called from a callback of the same loop; what the system says when it refuses to poll.
    ///
    /// # Panics
    /// Only with a callback's own panic, which passes through. Loop and environment are usable afterwards.
    pub fn run(&self, mode: RunMode) -> Result<bool> {
        loop {
            if self.0.depth.get() == 0 {
                self.run_queued_outside();
            }
            if self.0.event_loop.run(mode)? {
                return Ok(true);
            }
            self.0.tell_destroyed();
            // A hook may have begun something.
            if mode != RunMode::Default || !self.0.event_loop.is_alive() {
                return Ok(self.0.event_loop.is_alive());
            }
        }
    }

    pub(crate) fn run_queued_outside(&self) {
        self.0.driver.unschedule();
        self.0.queues.take_deferred();
        self.make_callback(AsyncContext::NONE, || {});
    }

    /// Closes the environment's own handles, so that nothing but the program's handles is left in the loop. Once they
    /// are closed, what is still queued is dropped, hooks are told nothing more, and nothing can be queued any more
    /// except inside of a callback scope. Timeouts are handles of their own: clear them.
    ///
    /// Needed only where the loop goes on without the environment, or is to be closed with `Loop::close`.
    pub fn close(&self) {
        self.0.driver.close();
    }

    /// A new id (`newAsyncId`). Hooks are told nothing.
    #[must_use]
    pub fn new_async_id(&self) -> AsyncId {
        self.0.ids.next()
    }

    /// The resource whose callback executes now; [`AsyncId::NONE`] outside of every callback.
    #[must_use]
    pub fn execution_async_id(&self) -> AsyncId {
        self.0.ids.execution()
    }

    /// The resource that caused the executing callback.
    #[must_use]
    pub fn trigger_async_id(&self) -> AsyncId {
        self.0.ids.trigger()
    }

    /// Makes `trigger` the cause of the resources made inside of `work` (`DefaultTriggerAsyncIdScope`).
    pub fn with_default_trigger<R>(&self, trigger: AsyncId, work: impl FnOnce() -> R) -> R {
        let _outer = self.0.ids.set_default_trigger(trigger);
        work()
    }

    /// A new resource; hooks are told of it. Its trigger is that of the innermost
    /// [`with_default_trigger`](Self::with_default_trigger), else what executes now.
    #[inline]
    #[must_use]
    pub fn new_context(&self, provider: Provider) -> AsyncContext {
        self.new_context_with_trigger(provider, self.0.ids.default_trigger())
    }

    /// A new resource with a cause of its own; hooks are told of it.
    #[inline]
    #[must_use]
    pub fn new_context_with_trigger(&self, provider: Provider, trigger: AsyncId) -> AsyncContext {
        let context = AsyncContext::new(self.0.ids.next(), trigger, provider);
        if self.0.hooks.is_told() {
            self.0.hooks.emit_init(context.async_id(), trigger, provider);
        }
        context
    }

    /// A hook, which is to be enabled.
    #[must_use]
    pub fn hook(&self, hook: impl AsyncHook + 'static) -> Hook {
        Hook::new(self.clone(), hook)
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.0.hooks
    }

    pub(crate) fn inner(&self) -> &EnvironmentInner {
        &self.0
    }

    pub(crate) fn rc(&self) -> &Rc<EnvironmentInner> {
        &self.0
    }

    pub(crate) fn from_rc(inner: Rc<EnvironmentInner>) -> Self {
        Self(inner)
    }
}

impl EnvironmentInner {
    /// Whether something may be queued: always inside of a scope, whose end will run it, else until the end.
    pub(crate) fn takes_work(&self) -> bool {
        self.depth.get() > 0 || !self.driver.has_ended()
    }

    /// Has the loop run what is queued although no scope is open. Without a loop it is dropped.
    #[cold]
    pub(crate) fn schedule(&self) {
        if self.driver.has_ended() {
            self.queues.clear();
            self.tasks.clear();
        } else {
            self.driver.schedule();
        }
    }

    /// Lets go of everything that is held: it may hold the environment in turn.
    pub(crate) fn end(&self) {
        self.hooks.clear();
        self.destroyed.clear();
        self.queues.clear();
        self.immediates.clear();
        self.tasks.clear();
    }
}

/// An environment and the loop that it lives in: see [`Environment::with_new_loop`]. Dropped, it drops the loop with all
/// that is in it. It dereferences to [`Environment`].
#[derive(Debug)]
pub struct OwnedEnvironment {
    env: Environment,
    event_loop: Loop,
}

impl OwnedEnvironment {
    /// Runs until nothing is left alive.
    ///
    /// # Errors
    /// As for [`Environment::run`].
    ///
    /// # Panics
    /// As for [`Environment::run`].
    pub fn run_to_end(&self) -> Result<()> {
        self.env.run(RunMode::Default).map(drop)
    }

    /// The loop.
    #[must_use]
    pub fn event_loop(&self) -> &Loop {
        &self.event_loop
    }
}

impl Deref for OwnedEnvironment {
    type Target = Environment;

    fn deref(&self) -> &Environment {
        &self.env
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("loop", &self.0.event_loop)
            .field("execution_async_id", &self.0.ids.execution())
            .field("hooks", &self.0.hooks.any())
            .finish_non_exhaustive()
    }
}
