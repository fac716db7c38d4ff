//! Wakers of tasks. On the loop's thread a wake-up queues a poll; on another thread it goes through the loop's inbox.

use crate::Environment;
use crate::environment::EnvironmentInner;
use crate::task::TaskKey;
use crate::ticks::Microtask;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use uv_core::threads::AsyncSender;

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

impl Environment {
    /// Lets wake-ups on this thread find the environment.
    pub(crate) fn register_here(&self) {
        // During the thread's exit the list is destroyed. Wake-ups then go through the loop, as from other threads.
        let _ = ENVIRONMENTS.try_with(|here| here.borrow_mut().push(Rc::downgrade(self.rc())));
    }

    /// Queues the tasks that other threads have woken.
    pub(crate) fn take_woken(&self) {
        for task in self.inner().driver.remote().take() {
            self.push_microtask(Microtask::Poll(task));
        }
    }
}

impl Drop for EnvironmentInner {
    fn drop(&mut self) {
        let _ = ENVIRONMENTS.try_with(|here| here.borrow_mut().retain(|env| env.strong_count() > 0));
    }
}

/// The part of an environment that other threads use.
pub(crate) struct Remote {
    woken: Mutex<Vec<TaskKey>>,
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

    fn woken(&self) -> MutexGuard<'_, Vec<TaskKey>> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: TaskKey) {
        self.woken().push(task);
        self.wake();
    }

    fn take(&self) -> Vec<TaskKey> {
        std::mem::take(&mut *self.woken())
    }
}

/// What a task's `Waker` holds.
pub(crate) struct TaskWaker {
    task: TaskKey,
    /// Whether a poll is queued. Wake-ups until then coalesce.
    queued: AtomicBool,
    remote: Arc<Remote>,
}

impl TaskWaker {
    /// Of a task whose first poll is queued.
    pub(crate) fn new(task: TaskKey, remote: &Arc<Remote>) -> Self {
        Self { task, queued: AtomicBool::new(true), remote: Arc::clone(remote) }
    }

    /// From now on a wake-up causes another poll.
    pub(crate) fn begin_poll(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }

    /// The waker of another task whose first poll is queued, in place of a waker with no other holder.
    pub(crate) fn renew(&mut self, task: TaskKey) {
        self.task = task;
        *self.queued.get_mut() = true;
    }
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
