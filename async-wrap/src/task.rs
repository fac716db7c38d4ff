//! Tasks: futures on the loop, and what to await in them. A task is polled as a microtask, in the context in which it was
//! spawned, as the reactions of a promise run in Node.
//!
//! A pending task does not keep the loop alive, like a pending promise in Node: the operation that it awaits does. What is
//! outside of the loop, such as a thread, does not: see [`Environment::keep_alive`].

use crate::join::{Join, Joined};
use crate::layer::OnUnwind;
use crate::ticks::Microtask;
use crate::wakers::TaskWaker;
use crate::{AsyncContext, AsyncId, Environment, Provider};
use slab::Slab;
use std::cell::RefCell;
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

/// Wakers kept for further tasks: as many as a busy server has tasks that end in one turn.
const SPARE_WAKERS: usize = 64;

/// A task: its place in the table, and its id, which no other task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskKey {
    index: usize,
    id: AsyncId,
}

impl TaskKey {
    /// No task.
    pub(crate) const NONE: Self = Self { index: usize::MAX, id: AsyncId::NONE };
}

/// The unfinished tasks of an environment.
#[derive(Default)]
pub(crate) struct Tasks {
    table: RefCell<Slab<Task>>,
    spare_wakers: RefCell<Vec<Arc<TaskWaker>>>,
}

struct Task {
    context: AsyncContext,
    /// `None` while the task is being polled.
    body: Option<Body>,
    /// The task was aborted while it was being polled.
    is_aborted: bool,
}

struct Body {
    future: LocalFuture,
    waker: Waker,
    /// What `waker` holds.
    state: Arc<TaskWaker>,
}

impl Tasks {
    pub(crate) fn clear(&self) {
        drop(self.table.take());
        drop(self.spare_wakers.take());
    }

    /// Works on a task, unless it has ended.
    fn with<R>(&self, key: TaskKey, work: impl FnOnce(&mut Task) -> R) -> Option<R> {
        let mut table = self.table.borrow_mut();
        let task = table.get_mut(key.index).filter(|task| task.context.async_id() == key.id)?;
        Some(work(task))
    }

    fn remove(&self, key: TaskKey) -> Option<Task> {
        self.with(key, |_| {})?;
        self.table.borrow_mut().try_remove(key.index)
    }

    fn waker(&self, key: TaskKey, env: &Environment) -> Arc<TaskWaker> {
        if let Some(mut spare) = self.spare_wakers.borrow_mut().pop()
            && let Some(waker) = Arc::get_mut(&mut spare)
        {
            waker.renew(key);
            return spare;
        }
        Arc::new(TaskWaker::new(key, env.inner().driver.remote()))
    }

    /// Keeps the waker of a task that has ended, if the task has left it nowhere.
    fn recycle(&self, waker: Waker, mut state: Arc<TaskWaker>) {
        drop(waker);
        let mut spare = self.spare_wakers.borrow_mut();
        if spare.len() < SPARE_WAKERS && Arc::get_mut(&mut state).is_some() {
            spare.push(state);
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
    pub fn spawn_local<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        let join = Rc::new(Join::default());
        // If the environment takes no work, this drops the future, which ends the join.
        let key = self.spawn(Joined::new(future, Rc::clone(&join)));
        JoinHandle::new(self, key, join)
    }

    /// Like [`spawn_local`](Self::spawn_local), for a future without a value that nothing waits for. It costs one allocation,
    /// and a panic passes out of `run`.
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
    pub fn start_detached(&self, future: impl Future<Output = ()> + 'static) -> Option<TaskHandle> {
        let key = self.add_task(future)?;
        self.poll_task(key);
        self.inner().tasks.with(key, |_| TaskHandle { env: self.clone(), task: key })
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) -> TaskKey {
        let Some(key) = self.add_task(future) else { return TaskKey::NONE };
        self.push_microtask(Microtask::Poll(key));
        key
    }

    /// Enters a task, as one whose first poll is queued, unless the environment takes no work.
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
        let state = inner.tasks.waker(key, self);
        let waker = Waker::from(Arc::clone(&state));
        entry.insert(Task { context, body: Some(Body { future, waker, state }), is_aborted: false });
        Some(key)
    }

    pub(crate) fn poll_task(&self, key: TaskKey) {
        let tasks = &self.inner().tasks;
        let found = tasks.with(key, |task| Some((task.context, task.body.take()?)));
        // Not found if it was woken again after its end.
        let Some((context, mut body)) = found.flatten() else { return };
        // Before the poll, so that a wake-up during the poll causes another poll.
        body.state.begin_poll();
        // A task that panics is removed like a task that has ended.
        let forget = OnUnwind::new(|| self.forget_task(key));
        self.run_in_context(context, || {
            if body.future.as_mut().poll(&mut Context::from_waker(&body.waker)).is_pending() {
                forget.disarm();
                self.put_back(key, body);
                return;
            }
            let Body { future, waker, state } = body;
            drop(future);
            drop(forget);
            tasks.recycle(waker, state);
        });
    }

    /// Returns the body of a task whose poll was not its last.
    fn put_back(&self, key: TaskKey, body: Body) {
        let mut body = Some(body);
        let is_aborted = self.inner().tasks.with(key, |task| {
            if !task.is_aborted {
                task.body = body.take();
                // What the task has entered stays behind its `.await`.
                self.keep_values(key.id);
            }
            task.is_aborted
        });
        // Else the table was cleared meanwhile.
        drop(body);
        if is_aborted == Some(true) {
            self.forget_task(key);
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

    fn forget_task(&self, key: TaskKey) {
        let Some(task) = self.inner().tasks.remove(key) else { return };
        // The future's destructor may use the table.
        drop(task);
        self.inner().hooks.emit_settled(key.id);
        self.emit_destroy(key.id);
    }
}
