//! The process's thread pool. Mirrors libuv's `src/threadpool.c`.
//!
//! One queue, which threads shared by all loops serve in order. Jobs that may wait for the network wait in a lane of
//! their own (`slow_io_pending_wq`) and run in half of the threads at most. The threads live as long as the process: a
//! process that ends does not wait for them. An idle thread is woken only if there is a job for which no thread is waking up, and it
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

/// Which threads may run a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Every thread.
    Every,
    /// Half of the threads, rounded up, at the same time: the job may wait for the network (`UV__WORK_SLOW_IO`).
    Slow,
}

/// A job of the pool.
pub(crate) trait Job: Send + Sync {
    /// Does the work, unless it was cancelled. Must not panic.
    fn run(&self);

    /// Cancels the work for this reason. Returns `false` if it has begun or is cancelled already.
    fn fail(&self, reason: Errno) -> bool;

    /// Like [`fail`](Self::fail), also if the work is running: its result is dropped then.
    fn abandon(&self, reason: Errno) -> bool;
}

struct Pool {
    size: usize,
    state: Mutex<State>,
    submitted: Condvar,
}

struct State {
    queue: VecDeque<Arc<dyn Job>>,
    /// How many jobs were taken from `queue`.
    taken: u64,
    slow: VecDeque<SlowJob>,
    /// How many jobs of the slow lane run.
    slow_running: usize,
    threads: usize,
    /// When the system last refused to create a thread.
    refused: Option<Instant>,
    /// The number of threads that wait for a job, including woken threads that have not looked at the queue yet.
    idle: usize,
    /// An idle thread was woken and has not looked at the queue yet.
    waking: bool,
}

/// A job of the slow lane that waits.
struct SlowJob {
    job: Arc<dyn Job>,
    /// How many jobs had been queued in the other lane: those come first, and later ones do not wait for this one.
    behind: u64,
}

impl State {
    fn push(&mut self, job: Arc<dyn Job>, lane: Lane) {
        match lane {
            Lane::Every => self.queue.push_back(job),
            Lane::Slow => {
                let behind = self.taken + self.queue.len() as u64;
                self.slow.push_back(SlowJob { job, behind });
            }
        }
    }

    /// Takes the oldest job that may begin.
    fn take(&mut self) -> Option<(Arc<dyn Job>, Lane)> {
        let taken = self.taken;
        if self.may_begin_slow() && self.slow.front().is_some_and(|slow| slow.behind <= taken) {
            self.slow_running += 1;
            return self.slow.pop_front().map(|slow| (slow.job, Lane::Slow));
        }
        let job = self.queue.pop_front()?;
        self.taken += 1;
        Some((job, Lane::Every))
    }

    /// Whether `take` would return a job. A job of the slow lane is the oldest one once the other lane is empty.
    fn has_job(&self) -> bool {
        !self.queue.is_empty() || self.may_begin_slow()
    }

    fn may_begin_slow(&self) -> bool {
        !self.slow.is_empty() && self.slow_running < self.threads.div_ceil(2)
    }

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
pub(crate) fn submit(job: Arc<dyn Job>, lane: Lane) -> Result<(), Errno> {
    #[cfg(upcall_faults)]
    if let Some(taken) = crate::faults::take_job(&job, lane) {
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
    pool.queue(state, job, lane);
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
        let state = State {
            queue: VecDeque::new(),
            taken: 0,
            slow: VecDeque::new(),
            slow_running: 0,
            threads: 0,
            refused: None,
            idle: 0,
            waking: false,
        };
        Self { size, state: Mutex::new(state), submitted: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut last = Lane::Every;
        loop {
            let (job, lane) = self.next(last);
            last = lane;
            // A result whose loop is dropped is dropped here. A panic of its destructor must not end the thread,
            // because the pool counts its threads.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                job.run();
                drop(job);
            }));
        }
    }

    fn queue(&self, mut state: MutexGuard<'_, State>, job: Arc<dyn Job>, lane: Lane) {
        state.push(job, lane);
        self.wake_one(state);
    }

    /// Waits for a job of this thread, whose last job was of the lane `last`.
    fn next(&self, last: Lane) -> (Arc<dyn Job>, Lane) {
        let mut state = self.lock();
        if last == Lane::Slow {
            state.slow_running -= 1;
        }
        loop {
            if let Some(job) = state.take() {
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

    /// Wakes a thread if there are idle threads and a job that may begin, and no thread is waking up.
    fn wake_one(&self, mut state: MutexGuard<'_, State>) {
        if state.idle == 0 || state.waking || !state.has_job() {
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
