//! Wakers of tasks. On the loop's thread a wake-up queues a poll; on another thread it goes through the loop's inbox.
//! Mirrors what `uv_async_send` is for (`src/unix/async.c`), for futures.
//!
//! On the loop's thread nothing is atomic: the table of tasks knows which polls are queued. Other threads share one flag of
//! the waker with the loop, which says that the task is in the inbox.

use crate::Environment;
use crate::environment::EnvironmentInner;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, thread_local};
use crate::task::TaskKey;
use std::cell::RefCell;
use std::mem;
use std::rc::{Rc, Weak};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};
use uv_core::threads::AsyncSender;

thread_local! {
    /// The environments of this thread, with the addresses of their remote parts, which tell them apart. A `Waker` must
    /// be `Send`, so it cannot hold an environment.
    static ENVIRONMENTS: RefCell<Vec<(usize, Weak<EnvironmentInner>)>> = RefCell::default()
}

/// The environment of `remote`, if it lives on this thread.
fn environment_here(remote: &Arc<Remote>) -> Option<Environment> {
    // During the thread's exit the list is destroyed, and no environment is found.
    let found = ENVIRONMENTS.try_with(|here| {
        let here = here.borrow();
        let (_, env) = here.iter().find(|(address, _)| *address == remote.address())?;
        env.upgrade()
    });
    found.ok().flatten().map(Environment::from_rc)
}

impl Environment {
    /// Lets wake-ups on this thread find the environment.
    pub(crate) fn register_here(&self) {
        let known = (self.inner().driver.remote().address(), Rc::downgrade(self.rc()));
        // During the thread's exit the list is destroyed. Wake-ups then go through the loop, as from other threads.
        let _ = ENVIRONMENTS.try_with(|here| here.borrow_mut().push(known));
    }

    /// Queues the tasks that other threads have woken.
    pub(crate) fn take_woken(&self) {
        let (tasks, remote) = (&self.inner().tasks, self.inner().driver.remote());
        let mut woken = tasks.woken.take();
        remote.take(&mut woken);
        for task in woken.drain(..) {
            // Before the poll, so that a wake-up during the poll causes another poll. Not found if it has ended.
            if tasks.with(task, |task| task.waking.state.receive()).is_some() {
                self.wake_task(task);
            }
        }
        tasks.woken.set(woken);
    }
}

impl Drop for EnvironmentInner {
    fn drop(&mut self) {
        let _ = ENVIRONMENTS.try_with(|here| here.borrow_mut().retain(|(_, env)| env.strong_count() > 0));
    }
}

/// The part of an environment that other threads use.
pub(crate) struct Remote {
    woken: Mutex<Vec<TaskKey>>,
    sender: AsyncSender,
}

impl Remote {
    pub(crate) fn new(sender: AsyncSender) -> Self {
        Self { woken: Mutex::new(Vec::new()), sender }
    }

    /// No other environment has the same while this exists, and an environment has it to its end.
    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Wakes the loop, which calls the environment.
    pub(crate) fn wake(&self) {
        self.sender.send();
    }

    fn woken(&self) -> MutexGuard<'_, Vec<TaskKey>> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: TaskKey) {
        self.woken().push(task);
        self.wake();
    }

    /// Takes all into an empty buffer, and leaves that buffer in their place.
    fn take(&self, buffer: &mut Vec<TaskKey>) {
        mem::swap(buffer, &mut *self.woken());
    }
}

/// What a task's `Waker` holds.
pub(crate) struct TaskWaker {
    /// The key of the task. It changes only while no thread and no program has the waker.
    index: AtomicUsize,
    id: AtomicU64,
    /// Whether the task is in the inbox. Wake-ups of other threads coalesce until the loop has taken it.
    is_sent: AtomicBool,
    remote: Arc<Remote>,
}

impl TaskWaker {
    pub(crate) fn task(&self) -> TaskKey {
        TaskKey::of(self.index.load(Ordering::Relaxed), self.id.load(Ordering::Relaxed))
    }

    /// The loop has taken the task out of the inbox. A swap, because the poll must see what the threads wrote before the
    /// wake-ups that it stands for: a store would not be ordered after them.
    fn receive(&self) {
        self.is_sent.swap(false, Ordering::AcqRel);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match environment_here(&self.remote) {
            Some(env) => env.wake_task(self.task()),
            None if self.is_sent.swap(true, Ordering::AcqRel) => {}
            None => self.remote.push(self.task()),
        }
    }
}

/// A task's waker, in both forms: a `Waker` does not tell what it holds.
pub(crate) struct Waking {
    pub(crate) waker: Waker,
    pub(crate) state: Arc<TaskWaker>,
}

impl Waking {
    pub(crate) fn new(task: TaskKey, remote: &Arc<Remote>) -> Self {
        let state = Arc::new(TaskWaker {
            index: AtomicUsize::new(task.index()),
            id: AtomicU64::new(task.id().get()),
            is_sent: AtomicBool::new(false),
            remote: Arc::clone(remote),
        });
        Self { waker: Waker::from(Arc::clone(&state)), state }
    }

    /// Whether neither a program nor a thread has the waker.
    pub(crate) fn is_unique(&self) -> bool {
        Arc::strong_count(&self.state) == 2
    }

    /// Becomes the waker of another task, if it is unique. What is left of the last task in the inbox is not found there.
    pub(crate) fn renew(&self, task: TaskKey) {
        // A swap, so that this comes after the last wake-up of any thread.
        self.state.is_sent.swap(false, Ordering::AcqRel);
        self.state.index.store(task.index(), Ordering::Relaxed);
        self.state.id.store(task.id().get(), Ordering::Relaxed);
    }
}

#[cfg(all(test, upcall_models))]
#[path = "models/wakers.rs"]
mod models;
