//! The process's thread pool. Mirrors libuv's `src/threadpool.c`.
//!
//! One queue, served in order by threads that all loops share and that live as long as the process: a process that
//! ends does not wait for them. A thread that waits is woken only if there is a job that nobody is on the way to, and it
//! wakes the next one: jobs that are done at once keep few threads busy, and those that take long get a thread each.

use crate::Errno;
use crate::failure::Call;
use crate::sys::fork::PerProcess;
use std::collections::VecDeque;
use std::env;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Threads unless `UV_THREADPOOL_SIZE` says otherwise.
const DEFAULT_THREADS: usize = 4;

/// More threads than this are a mistake: libuv's number.
const MAX_THREADS: usize = 1024;

/// Bytes of stack of each thread: libuv's number, enough for what a main thread may do.
const STACK_SIZE: usize = 8 << 20;

/// Time between attempts to make a thread, after one was refused and while there are others: each costs a stack.
const PAUSE: Duration = Duration::from_millis(100);

/// What the pool runs.
pub(crate) trait Job: Send + Sync {
    /// Does the work, unless there is none left to do. Does not panic.
    fn run(&self);

    /// Gives the work up for this reason. `false` if it has begun, or was given up before.
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
    /// When the system last refused a thread.
    refused: Option<Instant>,
    /// Threads that wait for a job, those that were woken and have not looked yet included.
    idle: usize,
    /// One of the idle threads was woken and has not looked yet.
    waking: bool,
}

impl State {
    /// Whether it is too early to ask for another thread.
    #[cold]
    fn pauses(&self) -> bool {
        self.refused.is_some_and(|refused| refused.elapsed() < PAUSE)
    }

    /// Fewer threads do the same work; a later job tries for more.
    #[cold]
    fn refuse(&mut self, errno: Errno) {
        if self.refused.replace(Instant::now()).is_none() {
            let threads = self.threads;
            log::warn!(target: "uv_core", "{}: {errno}: the pool goes on with {threads} threads", Call::Spawn);
        }
    }
}

static POOL: PerProcess<Pool> = PerProcess::new();

/// Queues a job. The first one starts all threads.
///
/// # Errors
/// The system's refusal of even one thread.
pub(crate) fn submit(job: Arc<dyn Job>) -> Result<(), Errno> {
    let pool = POOL.get(|| Pool {
        size: configured_size(env::var("UV_THREADPOOL_SIZE").ok().as_deref()),
        state: Mutex::new(State {
            queue: VecDeque::new(),
            threads: 0,
            refused: None,
            idle: 0,
            waking: false,
        }),
        submitted: Condvar::new(),
    });
    let mut state = pool.lock();
    while state.threads < pool.size && !state.pauses() {
        match start_thread(pool) {
            Ok(()) => state.threads += 1,
            Err(errno) if state.threads > 0 => state.refuse(errno),
            Err(errno) => return Err(errno),
        }
    }
    state.queue.push_back(job);
    pool.wake_one(state);
    Ok(())
}

fn start_thread(pool: &'static Pool) -> Result<(), Errno> {
    let thread = thread::Builder::new().name("uv-worker".to_owned()).stack_size(STACK_SIZE);
    Ok(thread.spawn(|| pool.serve()).map(drop)?)
}

/// The number of threads that a value of `UV_THREADPOOL_SIZE` asks for.
fn configured_size(value: Option<&str>) -> usize {
    let Some(value) = value else { return DEFAULT_THREADS };
    value.parse::<NonZeroUsize>().map_or(1, |threads| threads.get().min(MAX_THREADS))
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let job = self.next();
            // A result whose loop is gone is dropped here. A destructor that panics must not end the thread: the pool
            // counts on it.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                job.run();
                drop(job);
            }));
        }
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
            // Or another one's, if this one woke by itself: then the jobs that are there are this one's to see.
            state.waking = false;
        }
    }

    /// Wakes a thread if there are jobs, threads that wait, and none on its way already.
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
