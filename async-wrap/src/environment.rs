//! The environment: the state that all callbacks of a loop share. Mirrors async ids, hooks and queues of Node's
//! `Environment` (`src/env.h`), and `SpinEventLoop`.

use crate::destroyed::Destroyed;
use crate::driver::{Driver, EnvironmentSlot};
use crate::frame::{Frame, Frames};
use crate::hooks::Hooks;
use crate::ids::Ids;
use crate::immediate::Immediates;
use crate::layer::{OnDrop, OnUnwind};
use crate::task::{Tasks, drop_each};
use crate::ticks::Queues;
use crate::upcall::AsyncHook;
use crate::{AsyncContext, AsyncId, Hook, Provider};
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use uv_core::{Errno, Error, Loop, LoopHandle, Result, RunMode};

/// The environment of a loop. Clones share it and stay on its thread.
///
/// It lives in its loop: queued work is dropped with the loop, or by [`close`](Self::close).
///
/// ```
/// use async_wrap::Environment;
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let env = Environment::new(&event_loop);
/// let ticking = env.clone();
/// env.next_tick(move || ticking.queue_microtask(|| println!("after the tick")));
/// assert!(!env.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Environment(Rc<EnvironmentInner>);

pub(crate) struct EnvironmentInner {
    event_loop: LoopHandle,
    pub(crate) ids: Ids,
    pub(crate) frames: Frames,
    pub(crate) hooks: Hooks,
    pub(crate) queues: Queues,
    /// The number of open callback scopes. The scope at depth 1 runs the queues when it ends.
    pub(crate) depth: Cell<u32>,
    pub(crate) tasks: Tasks,
    pub(crate) immediates: Immediates,
    pub(crate) destroyed: Destroyed,
    pub(crate) driver: Driver,
}

impl Environment {
    /// Creates an environment for `event_loop`, with a few handles in that loop. They do not keep the loop alive.
    #[must_use]
    pub fn new(event_loop: &LoopHandle) -> Self {
        let slot = EnvironmentSlot::default();
        let env = Self(Rc::new(EnvironmentInner {
            event_loop: event_loop.clone(),
            ids: Ids::default(),
            frames: Frames::default(),
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

    /// Creates an environment with a loop of its own, which is dropped with the returned value: all that most programs
    /// need.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// env.set_timeout(Duration::ZERO, || println!("hello"));
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Any error of creating the loop's descriptors.
    pub fn with_new_loop() -> Result<OwnedEnvironment> {
        let event_loop = Loop::new()?;
        Ok(OwnedEnvironment { env: Self::new(&event_loop), event_loop })
    }

    /// The loop.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        &self.0.event_loop
    }

    /// Runs the queues, for work queued outside of any scope, then the loop (`SpinEventLoop`). Returns whether anything
    /// is still alive. If nothing is, hooks are first told of the resources that were destroyed last.
    ///
    /// # Errors
    /// `EBUSY` if called from a callback of the same loop; any error of polling.
    ///
    /// # Panics
    /// Passes on a callback's panic. Loop and environment are usable afterwards.
    pub fn run(&self, mode: RunMode) -> Result<bool> {
        // A callback is executing, which `run` may call before the loop: the queues would not run.
        if self.0.depth.get() > 0 {
            return Err(Error::new("run", Errno::EBUSY));
        }
        loop {
            self.run_queued_outside();
            if self.0.event_loop.run(mode)? {
                return Ok(true);
            }
            self.0.tell_destroyed();
            // A hook may have started something.
            if mode != RunMode::Default || !self.0.event_loop.is_alive() {
                return Ok(self.0.event_loop.is_alive());
            }
        }
    }

    pub(crate) fn run_queued_outside(&self) {
        self.0.driver.unschedule();
        self.make_callback(AsyncContext::NONE, || {});
    }

    /// Closes the environment's own handles, so that only the program's handles are left in the loop. Once they have
    /// closed, queued work is dropped, hooks get no more events, and work can be queued only inside of a callback
    /// scope. Timeouts are handles of their own: clear them.
    ///
    /// Needed only where the loop continues without the environment, or is to be closed with `Loop::close`.
    pub fn close(&self) {
        self.0.driver.close();
    }

    /// Creates a new id (`newAsyncId`) without telling hooks.
    #[must_use]
    pub fn new_async_id(&self) -> AsyncId {
        self.0.ids.next()
    }

    /// The resource whose callback is executing; [`AsyncId::NONE`] outside of every callback.
    #[must_use]
    pub fn execution_async_id(&self) -> AsyncId {
        self.0.ids.execution()
    }

    /// The resource that caused the executing callback.
    #[must_use]
    pub fn trigger_async_id(&self) -> AsyncId {
        self.0.ids.trigger()
    }

    /// Calls `work` with `trigger` as the trigger of the resources created in it (`DefaultTriggerAsyncIdScope`).
    pub fn with_default_trigger<R>(&self, trigger: AsyncId, work: impl FnOnce() -> R) -> R {
        let _outer = self.0.ids.set_default_trigger(trigger);
        work()
    }

    /// Creates a resource and tells hooks of it. Its trigger is the one set by the innermost
    /// [`with_default_trigger`](Self::with_default_trigger), otherwise the executing resource.
    #[inline]
    #[must_use]
    pub fn new_context(&self, provider: Provider) -> AsyncContext {
        self.new_context_with_trigger(provider, self.0.ids.default_trigger())
    }

    /// Creates a resource with the given trigger and tells hooks of it.
    #[inline]
    #[must_use]
    pub fn new_context_with_trigger(&self, provider: Provider, trigger: AsyncId) -> AsyncContext {
        let context = AsyncContext::new(self.0.ids.next(), trigger, provider);
        if self.0.hooks.is_watched() {
            self.0.note_new(context, || self.0.frames.inherited());
        }
        context
    }

    /// Creates a resource that the resource `cause` has caused, although another may be executing, and tells hooks of it: it
    /// has the values of its cause.
    #[must_use]
    pub fn new_context_of(&self, provider: Provider, cause: AsyncId) -> AsyncContext {
        let context = AsyncContext::new(self.0.ids.next(), cause, provider);
        if self.0.hooks.is_watched() {
            self.0.note_new(context, || self.0.frames.of(cause).inherited());
        }
        context
    }

    /// Creates a hook, which is inactive until it is enabled.
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
    /// A resource was created: hooks are told, and it has the values that it inherits.
    #[cold]
    fn note_new(&self, context: AsyncContext, values: impl FnOnce() -> Frame) {
        if self.frames.has_storages() {
            self.frames.set(context.async_id(), values());
        }
        if self.hooks.is_told() {
            // Where a hook panics there is no resource, which nothing would destroy.
            let forget = OnUnwind::new(|| self.frames.forget(context.async_id()));
            self.hooks.emit_init(context.async_id(), context.trigger_async_id(), context.provider());
            forget.disarm();
        }
    }

    /// Whether work can be queued: inside of a scope always, since its end runs the queues; outside until the
    /// environment has ended.
    pub(crate) fn takes_work(&self) -> bool {
        self.depth.get() > 0 || !self.driver.has_ended()
    }

    /// Makes the loop run the queues although no scope is open. If the loop is dropped, so is the queued work.
    #[cold]
    pub(crate) fn schedule(&self) {
        if self.driver.has_ended() {
            self.queues.clear();
            self.tasks.clear(&self.frames);
        } else {
            self.driver.schedule();
        }
    }

    /// Makes the loop poll the deferred tasks in its next turn. If the loop is dropped, so are they.
    pub(crate) fn poll_deferred_later(&self) {
        if self.driver.has_ended() {
            self.queues.clear();
            self.tasks.clear(&self.frames);
        } else {
            self.driver.poll_deferred_later();
        }
    }

    /// Drops everything that the environment holds, because it may hold the environment in turn; all of it, also if a
    /// destructor panics.
    pub(crate) fn end(&self) {
        let parts: [&dyn Fn(); 5] = [
            &|| self.hooks.clear(),
            &|| self.queues.clear(),
            &|| self.immediates.clear(),
            &|| self.tasks.clear(&self.frames),
            &|| self.frames.end_all(),
        ];
        self.destroyed.clear();
        drop_each(parts.map(OnDrop::new));
    }
}

/// An environment that owns its loop: see [`Environment::with_new_loop`]. Dropping it drops the loop with its handles.
/// It dereferences to [`Environment`], and its `clone()` is one: what tasks and functions get.
///
/// ```
/// use async_wrap::Environment;
///
/// let env = Environment::with_new_loop()?;
/// env.spawn_local(async { println!("a future, polled as a microtask") });
/// env.run_to_end()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Debug)]
pub struct OwnedEnvironment {
    env: Environment,
    event_loop: Loop,
}

impl OwnedEnvironment {
    /// Runs until no handle, request or queued work keeps the loop alive.
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
