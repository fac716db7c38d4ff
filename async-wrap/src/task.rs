//! Futures on the loop: a task is polled as a microtask, in the context in which it was spawned.
//!
//! A wake-up on the loop's own thread queues the microtask directly; a wake-up from another thread wakes the loop. A
//! pending task does not keep the loop alive, like a pending promise in Node.

use crate::environment::EnvironmentInner;
use crate::layer::OnUnwind;
use crate::ticks::Microtask;
use crate::{AsyncContext, AsyncId, Environment, Provider};
use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use uv_core::threads::AsyncSender;

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The unfinished tasks of an environment.
#[derive(Default)]
pub(crate) struct Tasks {
    by_id: RefCell<HashMap<AsyncId, Task>>,
}

struct Task {
    context: AsyncContext,
    /// `None` while the task is being polled.
    future: Option<LocalFuture>,
    waker: Arc<TaskWaker>,
}

impl Tasks {
    pub(crate) fn clear(&self) {
        drop(self.by_id.take());
    }
}

impl Environment {
    /// Runs `future` on the loop. It is polled for the first time as a microtask of the executing callback.
    ///
    /// A pending task does not keep the loop alive: the operation that it awaits does. It is dropped with the loop, or
    /// by [`close`](Self::close). A future that panics is dropped, and its panic passes out of `run`.
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
    /// env.spawn_local(async { assert_eq!(1 + 1, 2) });
    /// env.run(RunMode::Default)?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn spawn_local(&self, future: impl Future<Output = ()> + 'static) {
        let inner = self.inner();
        if !inner.takes_work() {
            return;
        }
        let context = self.new_context(Provider::Promise);
        let task = context.async_id();
        let waker = Arc::new(TaskWaker {
            task,
            queued: AtomicBool::new(true),
            remote: Arc::clone(inner.driver.remote()),
        });
        let future: LocalFuture = Box::pin(future);
        inner.tasks.by_id.borrow_mut().insert(task, Task { context, future: Some(future), waker });
        self.push_microtask(Microtask::Poll(task));
    }

    pub(crate) fn poll_task(&self, id: AsyncId) {
        let tasks = &self.inner().tasks;
        let found = tasks
            .by_id
            .borrow_mut()
            .get_mut(&id)
            .and_then(|task| Some((task.context, task.future.take()?, Arc::clone(&task.waker))));
        // Not found if it was woken again after its end.
        let Some((context, mut future, waker)) = found else { return };
        // Cleared before the poll, so that a wake-up during the poll causes another poll.
        waker.queued.store(false, Ordering::SeqCst);
        let waker = Waker::from(waker);
        // A task that panics is removed like a task that has ended.
        let forget = OnUnwind::new(|| self.forget_task(id));
        self.run_in_context(context, || {
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                if let Some(task) = tasks.by_id.borrow_mut().get_mut(&id) {
                    task.future = Some(future);
                }
                forget.disarm();
            } else {
                drop(future);
                drop(forget);
            }
        });
    }

    fn forget_task(&self, id: AsyncId) {
        let task = self.inner().tasks.by_id.borrow_mut().remove(&id);
        // The future's destructor may use the table.
        drop(task);
        self.emit_destroy(id);
    }

    /// Queues the tasks that other threads have woken.
    pub(crate) fn take_woken(&self) {
        for task in self.inner().driver.remote().take() {
            self.push_microtask(Microtask::Poll(task));
        }
    }

    /// Lets wake-ups on this thread find the environment.
    pub(crate) fn register_here(&self) {
        // During the thread's exit the list is destroyed. Wake-ups then go through the loop, as from other threads.
        let _ = ENVIRONMENTS.try_with(|here| here.borrow_mut().push(Rc::downgrade(self.rc())));
    }
}

thread_local! {
    /// The environments of this thread. A `Waker` must be `Send`, so it cannot hold an environment.
    static ENVIRONMENTS: RefCell<Vec<Weak<EnvironmentInner>>> = const { RefCell::new(Vec::new()) };
}

/// The environment of `remote`, if it lives on this thread.
fn environment_here(remote: &Arc<Remote>) -> Option<Environment> {
    // During the thread's exit the list is destroyed, and no environment is found.
    let found = ENVIRONMENTS.try_with(|here| {
        let here = here.borrow();
        here.iter().filter_map(Weak::upgrade).find(|env| Arc::ptr_eq(env.driver.remote(), remote))
    });
    found.ok().flatten().map(Environment::from_rc)
}

impl Drop for EnvironmentInner {
    fn drop(&mut self) {
        let _ = ENVIRONMENTS.try_with(|here| here.borrow_mut().retain(|env| env.strong_count() > 0));
    }
}

/// The part of an environment that other threads use.
pub(crate) struct Remote {
    woken: Mutex<Vec<AsyncId>>,
    sender: AsyncSender,
}

impl Remote {
    pub(crate) fn new(sender: AsyncSender) -> Self {
        Self { woken: Mutex::default(), sender }
    }

    /// Wakes the loop, which calls the environment.
    pub(crate) fn wake(&self) {
        self.sender.send();
    }

    fn woken(&self) -> MutexGuard<'_, Vec<AsyncId>> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: AsyncId) {
        self.woken().push(task);
        self.wake();
    }

    fn take(&self) -> Vec<AsyncId> {
        std::mem::take(&mut *self.woken())
    }
}

struct TaskWaker {
    task: AsyncId,
    /// Whether a poll is queued. Wake-ups until then coalesce.
    queued: AtomicBool,
    remote: Arc<Remote>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::SeqCst) {
            return;
        }
        match environment_here(&self.remote) {
            Some(env) if env.inner().takes_work() => env.push_microtask(Microtask::Poll(self.task)),
            Some(_) => {}
            None => self.remote.push(self.task),
        }
    }
}
