//! The process's thread pool. Mirrors libuv's `src/threadpool.c`.
//!
//! One queue, which threads shared by all loops serve in order. The threads live as long as the process: a process that
//! ends does not wait for them. An idle thread is woken only if there is a job for which no thread is waking up, and it
//! wakes the next thread: short jobs keep few threads busy, and long jobs get a thread each.

use crate::Errno;
use crate::failure::Call;
use crate::sync::{Condvar, Mutex, MutexGuard, thread};
use crate::sys::fork::PerProcess;
use std::collections::VecDeque;
use std::env;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The number of threads without `UV_THREADPOOL_SIZE`.
const DEFAULT_THREADS: usize = 4;

/// The most threads, libuv's number: more are a mistake.
const MAX_THREADS: usize = 1024;

/// Stack size of each thread in bytes, libuv's number: what a main thread may use.
const STACK_SIZE: usize = 8 << 20;

/// The time between attempts to create a thread after one failed, while there are other threads: each attempt maps a
/// stack.
const PAUSE: Duration = Duration::from_millis(100);

/// A job of the pool.
pub(crate) trait Job: Send + Sync {
    /// Does the work, unless it was cancelled. Must not panic.
    fn run(&self);

    /// Cancels the work for this reason. Returns `false` if it has begun or is cancelled already.
    fn fail(&self, reason: Errno) -> bool;
}

struct Pool {
    size: usize,
    state: Mutex<State>,
    submitted: Condvar,
}

struct State {
    queue: VecDeque<Arc<dyn Job>>,
    threads: usize,
    /// When the system last refused to create a thread.
    refused: Option<Instant>,
    /// The number of threads that wait for a job, including woken threads that have not looked at the queue yet.
    idle: usize,
    /// An idle thread was woken and has not looked at the queue yet.
    waking: bool,
}

impl State {
    /// Whether it is too early to try to create another thread.
    #[cold]
    fn pauses(&self) -> bool {
        self.refused.is_some_and(|refused| refused.elapsed() < PAUSE)
    }

    /// Continues with fewer threads; a later job tries to create more.
    #[cold]
    fn refuse(&mut self, errno: Errno) {
        if self.refused.replace(Instant::now()).is_none() {
            let threads = self.threads;
            log::warn!(target: "uv_core", "{}: {errno}: the pool continues with {threads} threads", Call::Spawn);
        }
    }
}

static POOL: PerProcess<Pool> = PerProcess::new();

/// Queues a job. The first job creates the threads.
///
/// # Errors
/// The error of creating a thread, if there is no thread at all.
pub(crate) fn submit(job: Arc<dyn Job>) -> Result<(), Errno> {
    #[cfg(upcall_faults)]
    if let Some(taken) = crate::faults::take_job(&job) {
        return taken;
    }
    let pool = POOL.get(|| Pool::new(configured_size(env::var("UV_THREADPOOL_SIZE").ok().as_deref())));
    let mut state = pool.lock();
    while state.threads < pool.size && !state.pauses() {
        match start_thread(pool) {
            Ok(()) => state.threads += 1,
            Err(errno) if state.threads > 0 => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::PoolWithFewer);
                state.refuse(errno);
            }
            Err(errno) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::PoolWithout);
                return Err(errno);
            }
        }
    }
    pool.queue(state, job);
    Ok(())
}

fn start_thread(pool: &'static Pool) -> Result<(), Errno> {
    let thread = thread::Builder::new().name("uv-worker".to_owned()).stack_size(STACK_SIZE);
    Ok(thread.spawn(|| pool.serve()).map(drop)?)
}

/// The number of threads for a value of `UV_THREADPOOL_SIZE`.
fn configured_size(value: Option<&str>) -> usize {
    let Some(value) = value else { return DEFAULT_THREADS };
    value.parse::<NonZeroUsize>().map_or(1, |threads| threads.get().min(MAX_THREADS))
}

impl Pool {
    fn new(size: usize) -> Self {
        let state = State { queue: VecDeque::new(), threads: 0, refused: None, idle: 0, waking: false };
        Self { size, state: Mutex::new(state), submitted: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let job = self.next();
            // A result whose loop is dropped is dropped here. A panic of its destructor must not end the thread,
            // because the pool counts its threads.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                job.run();
                drop(job);
            }));
        }
    }

    fn queue(&self, mut state: MutexGuard<'_, State>, job: Arc<dyn Job>) {
        state.queue.push_back(job);
        self.wake_one(state);
    }

    fn next(&self) -> Arc<dyn Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                self.wake_one(state);
                return job;
            }
            state.idle += 1;
            state = self.submitted.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            // If this thread woke spuriously, the flag is another thread's; then this thread sees the jobs in its
            // place.
            state.waking = false;
        }
    }

    /// Wakes a thread if there are jobs and idle threads, and no thread is waking up.
    fn wake_one(&self, mut state: MutexGuard<'_, State>) {
        if state.queue.is_empty() || state.idle == 0 || state.waking {
            return;
        }
        state.waking = true;
        drop(state);
        self.submitted.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::configured_size;

    #[test]
    fn the_pool_has_four_threads_unless_configured_to_between_1_and_1024() {
        assert_eq!(configured_size(None), 4);
        assert_eq!(configured_size(Some("7")), 7);
        assert_eq!(configured_size(Some("0")), 1);
        assert_eq!(configured_size(Some("-3")), 1);
        assert_eq!(configured_size(Some("many")), 1);
        assert_eq!(configured_size(Some("")), 1);
        assert_eq!(configured_size(Some("1025")), 1024);
    }
}

#[cfg(all(test, upcall_models))]
#[path = "models/pool.rs"]
mod models;
