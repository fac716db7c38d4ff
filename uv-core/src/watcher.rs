//! Idle, prepare and check watchers: callbacks in a fixed phase of every iteration. Mirrors libuv's
//! `src/unix/loop-watcher.c`.

use crate::handle::{Handle, HandleInner, HandleKind};
use crate::layer::HandlerCell;
use crate::layer::trace::Facts;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// Runs in every iteration before [`Prepare`] watchers, and keeps the loop from blocking (`uv_idle_t`).
///
/// ```
/// use uv_core::{Idle, Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let idle = Idle::new(&event_loop);
/// let mut pieces = 3;
/// idle.start(move |idle: &Idle| {
///     pieces -= 1; // a piece of a long computation in each iteration
///     if pieces == 0 {
///         idle.close();
///     }
/// })?;
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Idle(Rc<Watcher<Self>>);

/// Runs in every iteration right before the loop polls (`uv_prepare_t`).
///
/// ```
/// use uv_core::{Loop, Prepare, RunMode};
///
/// let event_loop = Loop::new()?;
/// let prepare = Prepare::new(&event_loop);
/// prepare.start(|prepare: &Prepare| {
///     println!("right before the poll");
///     prepare.close();
/// })?;
/// assert!(!event_loop.run(RunMode::NoWait)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Prepare(Rc<Watcher<Self>>);

/// Runs in every iteration right after the loop has polled (`uv_check_t`).
///
/// ```
/// use uv_core::{Check, Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let check = Check::new(&event_loop);
/// check.start(|check: &Check| {
///     println!("right after the poll");
///     check.close();
/// })?;
/// assert!(!event_loop.run(RunMode::NoWait)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Check(Rc<Watcher<Self>>);

type OnPhase<H> = Box<dyn FnMut(&H)>;

pub(crate) struct Watcher<H: Phase> {
    handle: Handle,
    /// The number of the current start, or 0. A watcher that is stopped and started again during a phase waits for the
    /// next.
    start: Cell<u64>,
    upcall: HandlerCell<OnPhase<H>>,
}

/// The difference between the three kinds.
pub(crate) trait Phase: Sized + 'static {
    const KIND: HandleKind;
    const START: &'static str;

    fn list(event_loop: &LoopHandle) -> &Watchers<Self>;
    fn wrap(watcher: Rc<Watcher<Self>>) -> Self;
}

impl<H: Phase> Watcher<H> {
    #[track_caller]
    fn create(event_loop: &LoopHandle) -> Rc<Self> {
        event_loop.add(H::KIND, |handle| Self { handle, start: Cell::new(0), upcall: HandlerCell::empty() })
    }

    fn start(self: &Rc<Self>, upcall: impl FnMut(&H) + 'static) -> Result<()> {
        if self.handle.is_closing() {
            return Err(Error::new(H::START, Errno::EINVAL).noting("the watcher is closing"));
        }
        if self.start.get() == 0 {
            self.upcall.set(Box::new(upcall));
            H::list(self.handle.loop_handle()).push(self);
            self.handle.start();
        }
        Ok(())
    }

    fn stop(&self) {
        if self.start.replace(0) != 0 {
            H::list(self.handle.loop_handle()).remove(self);
            self.handle.stop();
        }
    }
}

impl<H: Phase> HandleInner for Watcher<H> {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn begin_close(&self) {
        self.stop();
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
    }
}

/// The started watchers of one kind, in the order in which they were started. They run in reverse order.
pub(crate) struct Watchers<H: Phase> {
    started: RefCell<Vec<Rc<Watcher<H>>>>,
    last_start: Cell<u64>,
    /// The buffer of the current round, kept so that a round allocates nothing.
    round: Cell<Vec<(u64, Rc<Watcher<H>>)>>,
}

impl<H: Phase> Default for Watchers<H> {
    fn default() -> Self {
        Self { started: RefCell::default(), last_start: Cell::new(0), round: Cell::default() }
    }
}

impl<H: Phase> Watchers<H> {
    pub(crate) fn is_empty(&self) -> bool {
        self.started.borrow().is_empty()
    }

    /// Calls every watcher that was started before this round and is not stopped during it, the latest first. Returns
    /// whether there were any.
    pub(crate) fn run(&self) -> bool {
        let only = match &self.started.borrow()[..] {
            [] => return false,
            [only] => Some(Rc::clone(only)),
            _ => None,
        };
        match only {
            Some(only) => Self::call(only),
            None => self.run_several(),
        }
        true
    }

    fn run_several(&self) {
        let mut round = self.round.take();
        round.clear();
        round.extend(self.started.borrow().iter().map(|watcher| (watcher.start.get(), Rc::clone(watcher))));
        while let Some((start, watcher)) = round.pop() {
            if watcher.start.get() == start {
                Self::call(watcher);
            }
        }
        self.round.set(round);
    }

    fn call(watcher: Rc<Watcher<H>>) {
        let handle = H::wrap(Rc::clone(&watcher));
        let _up = LAYER.up("Watchers::run", || Facts::of(&watcher.handle));
        watcher.upcall.call(|upcall| upcall(&handle));
    }

    fn push(&self, watcher: &Rc<Watcher<H>>) {
        let start = self.last_start.get() + 1;
        self.last_start.set(start);
        watcher.start.set(start);
        self.started.borrow_mut().push(Rc::clone(watcher));
    }

    fn remove(&self, watcher: &Watcher<H>) {
        let mut started = self.started.borrow_mut();
        if let Some(index) = started.iter().rposition(|other| std::ptr::eq(Rc::as_ptr(other), watcher)) {
            started.remove(index);
        }
    }

    pub(crate) fn clear(&self) {
        drop(self.started.take());
        drop(self.round.take());
    }
}

impl Phase for Idle {
    const KIND: HandleKind = HandleKind::Idle;
    const START: &'static str = "idle_start";

    fn list(event_loop: &LoopHandle) -> &Watchers<Self> {
        &event_loop.inner().idle
    }

    fn wrap(watcher: Rc<Watcher<Self>>) -> Self {
        Self(watcher)
    }
}

impl Phase for Prepare {
    const KIND: HandleKind = HandleKind::Prepare;
    const START: &'static str = "prepare_start";

    fn list(event_loop: &LoopHandle) -> &Watchers<Self> {
        &event_loop.inner().prepare
    }

    fn wrap(watcher: Rc<Watcher<Self>>) -> Self {
        Self(watcher)
    }
}

impl Phase for Check {
    const KIND: HandleKind = HandleKind::Check;
    const START: &'static str = "check_start";

    fn list(event_loop: &LoopHandle) -> &Watchers<Self> {
        &event_loop.inner().check
    }

    fn wrap(watcher: Rc<Watcher<Self>>) -> Self {
        Self(watcher)
    }
}

/// Defines the public methods that the three kinds share.
macro_rules! watcher {
    ($name:ident, $lower:literal) => {
        impl $name {
            #[doc = concat!("A watcher that is not started (`uv_", $lower, "_init`).")]
            #[must_use]
            #[track_caller]
            pub fn new(event_loop: &LoopHandle) -> Self {
                Self(Watcher::create(event_loop))
            }

            #[doc = concat!("Calls `upcall` in every iteration (`uv_", $lower, "_start`).")]
            ///
            /// On a started watcher this does nothing: the old upcall stays.
            ///
            /// # Errors
            /// `EINVAL` if the watcher is closing.
            pub fn start(&self, upcall: impl FnMut(&Self) + 'static) -> Result<()> {
                self.0.start(upcall)
            }

            #[doc = concat!("Stops the calls (`uv_", $lower, "_stop`). Idempotent.")]
            pub fn stop(&self) {
                self.0.stop();
            }
        }

        impl Deref for $name {
            type Target = Handle;

            fn deref(&self) -> &Handle {
                &self.0.handle
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0.handle).finish()
            }
        }
    };
}

watcher!(Idle, "idle");
watcher!(Prepare, "prepare");
watcher!(Check, "check");
