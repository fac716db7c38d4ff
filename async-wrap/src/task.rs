//! Tasks: futures on the loop, and what to await in them. A task is polled as a microtask, in the context in which it was
//! spawned, as the reactions of a promise run in Node.
//!
//! A pending task does not keep the loop alive, like a pending promise in Node: the operation that it awaits does. What is
//! outside of the loop, such as a thread, does not: see [`Environment::keep_alive`].

use crate::frame::Frames;
use crate::join::{Join, Joined};
use crate::layer::{OnDrop, OnUnwind, Place};
use crate::ticks::Microtask;
use crate::wakers::{Remote, Waking};
use crate::{AsyncContext, AsyncId, Environment, Provider};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

pub use crate::join::{JoinError, JoinHandle, TaskHandle};
pub use crate::keep_alive::KeepAlive;
pub use crate::signal::Signals;
pub use crate::sleep::{Elapsed, Interval, Sleep};
pub use crate::waiter::{Slot, Waiter};
pub use crate::waiters::{Wait, Waiters};
pub use crate::work::WorkError;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Ended tasks kept for others, without their futures: as many as a busy server has tasks that end in one turn. They take
/// 200 KiB at most.
const SPARE_TASKS: usize = 1024;

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
    table: RefCell<Slab<Rc<Task>>>,
    /// For further tasks.
    spare: RefCell<Vec<Rc<Task>>>,
    /// An empty buffer for the inbox.
    pub(crate) woken: Cell<Vec<TaskKey>>,
}

/// A task, which stays where it is while it is polled.
pub(crate) struct Task {
    context: Cell<AsyncContext>,
    spawned_at: Cell<Place>,
    /// Borrowed while it is polled; `None` from its end on.
    future: RefCell<Option<LocalFuture>>,
    pub(crate) waking: Waking,
    /// A poll is queued. Wake-ups until then coalesce.
    is_queued: Cell<bool>,
    /// The task was aborted, perhaps while it was being polled.
    is_aborted: Cell<bool>,
    /// The queued poll came while the task was being polled, by a callback beneath.
    is_missed: Cell<bool>,
}

impl Task {
    /// A task that is not in the table yet.
    fn new(key: TaskKey, remote: &Arc<Remote>) -> Self {
        Self {
            context: Cell::default(),
            spawned_at: Cell::new(Place::caller()),
            future: RefCell::default(),
            waking: Waking::new(key, remote),
            is_queued: Cell::default(),
            is_aborted: Cell::default(),
            is_missed: Cell::default(),
        }
    }

    fn key(&self) -> TaskKey {
        self.waking.state.task()
    }

    /// Whether it is being polled.
    fn is_polled(&self) -> bool {
        self.future.try_borrow_mut().is_err()
    }
}

/// Drops all, whose destructors may panic; passes the first panic on.
pub(crate) fn drop_each<T>(values: impl IntoIterator<Item = T>) {
    let dropped = values.into_iter().map(|value| catch_unwind(AssertUnwindSafe(|| drop(value))));
    let panics: Vec<_> = dropped.filter_map(Result::err).collect();
    if let Some(first) = panics.into_iter().next() {
        resume_unwind(first);
    }
}

impl Tasks {
    /// Drops all tasks, each with its values.
    pub(crate) fn clear(&self, frames: &Frames) {
        let end = |task: Rc<Task>| {
            task.is_aborted.set(true);
            // A task that is being polled is dropped when that poll is over.
            let future = task.future.try_borrow_mut().ok().and_then(|mut future| future.take());
            OnDrop::new(move || {
                let _values = frames.enter(frames.of(task.context.get().async_id()));
                drop(future);
            })
        };
        // All are dropped, even if destructors panic.
        let futures: Vec<_> = self.table.take().into_iter().map(|(_, task)| end(task)).collect();
        drop(self.spare.take());
        drop_each(futures);
    }

    /// Works on a task, unless it has ended.
    pub(crate) fn with<R>(&self, key: TaskKey, work: impl FnOnce(&Rc<Task>) -> R) -> Option<R> {
        let table = self.table.borrow();
        let task = table.get(key.index).filter(|task| task.context.get().async_id() == key.id)?;
        Some(work(task))
    }

    fn remove(&self, key: TaskKey) -> Option<Rc<Task>> {
        let mut table = self.table.borrow_mut();
        let is_there = table.get(key.index).is_some_and(|task| task.context.get().async_id() == key.id);
        if is_there { table.try_remove(key.index) } else { None }
    }

    /// Enters a task as one whose first poll is queued.
    fn add(
        &self,
        context: AsyncContext,
        place: Place,
        future: LocalFuture,
        remote: &Arc<Remote>,
    ) -> Rc<Task> {
        let mut table = self.table.borrow_mut();
        let entry = table.vacant_entry();
        let key = TaskKey { index: entry.key(), id: context.async_id() };
        let spare = self.spare.borrow_mut().pop();
        let task = spare.unwrap_or_else(|| Rc::new(Task::new(key, remote)));
        task.waking.renew(key);
        task.context.set(context);
        task.spawned_at.set(place);
        task.future.replace(Some(future));
        task.is_queued.set(true);
        task.is_aborted.set(false);
        task.is_missed.set(false);
        Rc::clone(entry.insert(task))
    }

    /// Keeps a task that has ended, if neither a queue nor a waker has it.
    fn recycle(&self, task: Rc<Task>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_TASKS && Rc::strong_count(&task) == 1 && task.waking.is_unique() {
            spare.push(task);
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
    #[doc(alias = "spawn")]
    #[track_caller]
    pub fn spawn_local<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        let join = Rc::new(Join::default());
        // If the environment takes no work, this drops the future, which ends the join.
        let key = self.queue_task(Joined::new(future, Rc::clone(&join)));
        JoinHandle::new(self, key, join)
    }

    /// Like [`spawn_local`](Self::spawn_local), for a future without a value that nothing waits for. It costs one allocation,
    /// and a panic passes out of `run`.
    #[track_caller]
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        self.queue_task(future);
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
        let task = self.add_task(future)?;
        let key = task.key();
        self.poll_task(task);
        self.inner().tasks.with(key, |_| TaskHandle { env: self.clone(), task: key })
    }

    #[track_caller]
    fn queue_task(&self, future: impl Future<Output = ()> + 'static) -> TaskKey {
        let Some(task) = self.add_task(future) else { return TaskKey::NONE };
        let key = task.key();
        self.push_microtask(Microtask::Poll(task));
        key
    }

    /// Enters a task, unless the environment takes no work.
    #[track_caller]
    fn add_task(&self, future: impl Future<Output = ()> + 'static) -> Option<Rc<Task>> {
        let inner = self.inner();
        if !inner.takes_work() {
            return None;
        }
        let context = self.new_context(Provider::Promise);
        Some(inner.tasks.add(context, Place::caller(), Box::pin(future), inner.driver.remote()))
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
            let state = if task.is_queued.get() { ", to be polled" } else { "" };
            let place = task.spawned_at.get().location().map(|place| format!(", spawned at {place}"));
            let line =
                format_args!("task {}{state}{}\n", task.context.get().async_id(), place.unwrap_or_default());
            // Writing to a string does not fail.
            let _ = lines.write_fmt(line);
        }
        if lines.is_empty() { "no task is pending".to_owned() } else { lines.trim_end().to_owned() }
    }

    /// Queues a poll of a task, unless one is queued or the task has ended.
    pub(crate) fn wake_task(&self, key: TaskKey) {
        let inner = self.inner();
        let woken = inner.tasks.with(key, |task| (!task.is_queued.replace(true)).then(|| Rc::clone(task)));
        if let Some(Some(task)) = woken
            && inner.takes_work()
        {
            self.push_microtask(Microtask::Poll(task));
        }
    }

    pub(crate) fn poll_task(&self, task: Rc<Task>) {
        if task.is_polled() {
            task.is_missed.set(true);
            return;
        }
        // Before the poll, so that a wake-up during the poll causes another poll.
        task.is_queued.set(false);
        if task.is_aborted.get() {
            return;
        }
        // A task that panics is removed like a task that has ended, as is one whose poll a hook has refused by a panic.
        let forget = OnUnwind::new(|| {
            // A second panic, of the future's destructor, would end the process.
            let _second = catch_unwind(AssertUnwindSafe(|| self.forget_task(&task)));
        });
        let has_ended = self.run_in_context(task.context.get(), || {
            let is_pending = task.future.borrow_mut().as_mut().is_some_and(|future| {
                let mut context = Context::from_waker(&task.waking.waker);
                future.as_mut().poll(&mut context).is_pending()
            });
            if is_pending {
                self.leave_pending(&task);
            } else {
                let future = task.future.take();
                drop(future);
                self.forget_task(&task);
            }
            forget.disarm();
            !is_pending
        });
        if has_ended {
            self.inner().tasks.recycle(task);
        }
    }

    /// A poll was not the last one.
    fn leave_pending(&self, task: &Rc<Task>) {
        if task.is_aborted.get() {
            // The future is dropped before hooks are told, and also if the environment has ended meanwhile.
            let future = task.future.take();
            drop(future);
            self.forget_task(task);
            return;
        }
        // What the task has entered stays behind its `.await`.
        self.keep_values(task.context.get().async_id());
        if task.is_missed.take() {
            self.push_microtask(Microtask::Poll(Rc::clone(task)));
        }
    }

    /// Drops a task's future now; at the end of its poll, if the task aborts itself.
    pub(crate) fn abort_task(&self, key: TaskKey) {
        let Some(task) = self.inner().tasks.with(key, Rc::clone) else { return };
        task.is_aborted.set(true);
        if !task.is_polled() {
            // Destructors find the values of their task, not those of who aborts it.
            let frames = &self.inner().frames;
            let _values = frames.enter(frames.of(key.id));
            self.forget_task(&task);
        }
    }

    /// Removes a task, unless that was done, and drops its future.
    fn forget_task(&self, task: &Task) {
        let key = task.key();
        if self.inner().tasks.remove(key).is_some() {
            task.is_aborted.set(true);
            // Also if the future's destructor panics, which may use the table.
            let _told = OnDrop::new(|| {
                self.inner().hooks.emit_settled(key.id);
                self.emit_destroy(key.id);
            });
            let future = task.future.take();
            drop(future);
        }
    }
}
