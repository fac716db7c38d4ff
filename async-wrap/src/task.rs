//! Tasks: futures on the loop, and what to await in them. A task is polled as a microtask, in the context in which it was
//! spawned, as the reactions of a promise run in Node.
//!
//! A pending task does not keep the loop alive, like a pending promise in Node: the operation that it awaits does. What is
//! outside of the loop, such as a thread, does not: see [`Environment::keep_alive`].

use crate::join::{Join, Joined};
use crate::layer::{OnDrop, OnUnwind, Place};
use crate::ticks::Microtask;
use crate::wakers::{TaskWaker, Waking};
use crate::{AsyncContext, AsyncId, Environment, Provider};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::mem::{replace, take};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

pub use crate::join::{JoinError, JoinHandle, TaskHandle};
pub use crate::keep_alive::KeepAlive;
pub use crate::signal::Signals;
pub use crate::sleep::{Elapsed, Interval, Sleep};
pub use crate::work::WorkError;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Wakers kept for further tasks: as many as a busy server has tasks that end in one turn. They take 80 KiB at most.
const SPARE_WAKERS: usize = 1024;

/// A task: its place in the table, and its id, which no other task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskKey {
    index: usize,
    id: AsyncId,
}

impl TaskKey {
    /// No task.
    pub(crate) const NONE: Self = Self { index: usize::MAX, id: AsyncId::NONE };

    pub(crate) fn of(index: usize, id: u64) -> Self {
        Self { index, id: AsyncId::of(id) }
    }

    pub(crate) fn index(self) -> usize {
        self.index
    }

    pub(crate) fn id(self) -> AsyncId {
        self.id
    }
}

/// The unfinished tasks of an environment.
#[derive(Default)]
pub(crate) struct Tasks {
    table: RefCell<Slab<Task>>,
    spare_wakers: RefCell<Vec<Waking>>,
    /// An empty buffer for the inbox.
    pub(crate) woken: Cell<Vec<TaskKey>>,
}

pub(crate) struct Task {
    context: AsyncContext,
    spawned_at: Place,
    /// `None` while the task is being polled.
    body: Option<Body>,
    /// What the waker holds.
    pub(crate) state: Arc<TaskWaker>,
    /// A poll is queued. Wake-ups until then coalesce.
    is_queued: bool,
    /// The task was aborted while it was being polled.
    is_aborted: bool,
    /// The queued poll came while the task was being polled, by a callback beneath.
    is_missed: bool,
}

struct Body {
    future: LocalFuture,
    waker: Waker,
}

impl Tasks {
    pub(crate) fn clear(&self) {
        drop(self.table.take());
        drop(self.spare_wakers.take());
    }

    /// Works on a task, unless it has ended.
    pub(crate) fn with<R>(&self, key: TaskKey, work: impl FnOnce(&mut Task) -> R) -> Option<R> {
        let mut table = self.table.borrow_mut();
        let task = table.get_mut(key.index).filter(|task| task.context.async_id() == key.id)?;
        Some(work(task))
    }

    fn remove(&self, key: TaskKey) -> Option<Task> {
        let mut table = self.table.borrow_mut();
        let is_there = table.get(key.index).is_some_and(|task| task.context.async_id() == key.id);
        if is_there { table.try_remove(key.index) } else { None }
    }

    fn waker(&self, key: TaskKey, env: &Environment) -> Waking {
        if let Some(spare) = self.spare_wakers.borrow_mut().pop() {
            spare.renew(key);
            return spare;
        }
        Waking::new(key, env.inner().driver.remote())
    }

    /// Keeps the waker of a task that has ended, if the task has left it nowhere.
    fn recycle(&self, waking: Waking) {
        let mut spare = self.spare_wakers.borrow_mut();
        if spare.len() < SPARE_WAKERS && waking.is_unique() {
            spare.push(waking);
        }
    }
}

impl Environment {
    /// Runs `future` on the loop. It is polled for the first time as a microtask of the executing callback. Its value is for the
    /// handle, which may be dropped: the task goes on.
    ///
    /// A pending task does not keep the loop alive: the operation that it awaits does. It is dropped with the loop, or by
    /// [`close`](Self::close). If `future` panics, the handle gets the panic; without a handle it passes out of `run`.
    ///
    /// A task that wakes itself and returns `Pending` is polled again soon, after other microtasks. The end of one
    /// callback polls at most 64 times; then timers and I/O run, so that the task does not starve them.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use uv_core::{Loop, RunMode};
    ///
    /// let event_loop = Loop::new()?;
    /// let env = Environment::new(&event_loop);
    /// let sum = env.spawn_local(async { 1 + 1 });
    /// env.spawn_local(async move { assert_eq!(sum.await.expect("it does not panic"), 2) });
    /// env.run(RunMode::Default)?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn_local<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        let join = Rc::new(Join::default());
        // If the environment takes no work, this drops the future, which ends the join.
        let key = self.spawn(Joined::new(future, Rc::clone(&join)));
        JoinHandle::new(self, key, join)
    }

    /// Like [`spawn_local`](Self::spawn_local), for a future without a value that nothing waits for. It costs one allocation,
    /// and a panic passes out of `run`.
    #[track_caller]
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        self.spawn(future);
    }

    /// Like [`spawn_detached`](Self::spawn_detached), but polls the future now for the first time, as the call of an async
    /// function runs up to its first `await` in Node. Returns the task, if it has not ended with that.
    ///
    /// The future must not wait for a callback that is executing. A panic of the first poll passes out of this call.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// assert!(env.start_detached(async { println!("done before the call returns") }).is_none());
    /// let sleep = env.sleep(Duration::MAX);
    /// let task = env.start_detached(sleep).expect("it waits");
    /// task.abort();
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[track_caller]
    pub fn start_detached(&self, future: impl Future<Output = ()> + 'static) -> Option<TaskHandle> {
        let key = self.add_task(future)?;
        self.poll_task(key);
        self.inner().tasks.with(key, |_| TaskHandle { env: self.clone(), task: key })
    }

    #[track_caller]
    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> TaskKey {
        let Some(key) = self.add_task(future) else { return TaskKey::NONE };
        self.push_microtask(Microtask::Poll(key));
        key
    }

    /// Enters a task, as one whose first poll is queued, unless the environment takes no work.
    #[track_caller]
    fn add_task(&self, future: impl Future<Output = ()> + 'static) -> Option<TaskKey> {
        let inner = self.inner();
        if !inner.takes_work() {
            return None;
        }
        let context = self.new_context(Provider::Promise);
        let future: LocalFuture = Box::pin(future);
        let mut table = inner.tasks.table.borrow_mut();
        let entry = table.vacant_entry();
        let key = TaskKey { index: entry.key(), id: context.async_id() };
        let Waking { waker, state } = inner.tasks.waker(key, self);
        entry.insert(Task {
            context,
            spawned_at: Place::caller(),
            body: Some(Body { future, waker }),
            state,
            is_queued: true,
            is_aborted: false,
            is_missed: false,
        });
        Some(key)
    }

    /// The number of tasks that have not ended. Those that are left when nothing keeps the loop alive wait for what never comes:
    /// see [`why_pending`](Self::why_pending).
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.inner().tasks.table.borrow().len()
    }

    /// The tasks that have not ended, a line for each, with the place in the sources where each was spawned, in a build with
    /// debug assertions. For a test that holds that none is left, and for a log: the words are for people and may change.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use std::future::pending;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let task = env.spawn_local(pending::<()>());
    /// env.run_to_end()?;
    /// assert_eq!(env.tasks(), 1);
    /// assert!(env.why_pending().starts_with("task 1"), "{}", env.why_pending());
    /// task.abort();
    /// assert_eq!(env.why_pending(), "no task is pending");
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[must_use]
    pub fn why_pending(&self) -> String {
        let mut lines = String::new();
        for (_, task) in &*self.inner().tasks.table.borrow() {
            let state = if task.is_queued { ", to be polled" } else { "" };
            let place = task.spawned_at.location().map(|place| format!(", spawned at {place}"));
            let line = format_args!("task {}{state}{}\n", task.context.async_id(), place.unwrap_or_default());
            // Writing to a string does not fail.
            let _ = lines.write_fmt(line);
        }
        if lines.is_empty() { "no task is pending".to_owned() } else { lines.trim_end().to_owned() }
    }

    /// Queues a poll of a task, unless one is queued or the task has ended.
    pub(crate) fn wake_task(&self, key: TaskKey) {
        let inner = self.inner();
        let was_queued = inner.tasks.with(key, |task| replace(&mut task.is_queued, true));
        if was_queued == Some(false) && inner.takes_work() {
            self.push_microtask(Microtask::Poll(key));
        }
    }

    pub(crate) fn poll_task(&self, key: TaskKey) {
        let tasks = &self.inner().tasks;
        let found = tasks.with(key, |task| {
            task.is_missed = task.body.is_none();
            let body = task.body.take()?;
            // Before the poll, so that a wake-up during the poll causes another poll.
            task.is_queued = false;
            Some((task.context, body))
        });
        // Not found if it was aborted.
        let Some((context, mut body)) = found.flatten() else { return };
        // A task that panics is removed like a task that has ended.
        let forget = OnUnwind::new(|| drop(self.forget_task(key)));
        self.run_in_context(context, || {
            if body.future.as_mut().poll(&mut Context::from_waker(&body.waker)).is_pending() {
                self.put_back(key, body);
                forget.disarm();
                return;
            }
            let Body { future, waker } = body;
            drop(future);
            forget.disarm();
            if let Some(state) = self.forget_task(key) {
                tasks.recycle(Waking { waker, state });
            }
        });
    }

    /// Returns the body of a task whose poll was not its last.
    fn put_back(&self, key: TaskKey, body: Body) {
        let mut body = Some(body);
        let found = self.inner().tasks.with(key, |task| {
            if !task.is_aborted {
                task.body = body.take();
            }
            (task.is_aborted, take(&mut task.is_missed))
        });
        match found {
            Some((false, is_missed)) => {
                // What the task has entered stays behind its `.await`.
                self.keep_values(key.id);
                if is_missed {
                    self.push_microtask(Microtask::Poll(key));
                }
            }
            Some((true, _)) => {
                // The future is dropped before hooks are told.
                drop(body);
                self.forget_task(key);
            }
            // The table was cleared meanwhile.
            None => {}
        }
    }

    /// Drops a task's future now; at the end of its poll, if the task aborts itself.
    pub(crate) fn abort_task(&self, key: TaskKey) {
        let tasks = &self.inner().tasks;
        let is_polled = tasks.with(key, |task| {
            task.is_aborted = true;
            task.body.is_none()
        });
        if is_polled == Some(false) {
            self.forget_task(key);
        }
    }

    /// Removes a task. Returns what its waker holds.
    fn forget_task(&self, key: TaskKey) -> Option<Arc<TaskWaker>> {
        let Task { body, state, .. } = self.inner().tasks.remove(key)?;
        // Also if the future's destructor panics, which may use the table.
        let _told = OnDrop::new(|| {
            self.inner().hooks.emit_settled(key.id);
            self.emit_destroy(key.id);
        });
        drop(body);
        Some(state)
    }
}
