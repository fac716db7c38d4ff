//! Work for another thread: it runs in the process's pool, and its result is reported on the loop's thread. Mirrors
//! `uv_queue_work` and `uv_cancel`, libuv's `src/threadpool.c`.
//!
//! The work and its result travel between the threads; the callback stays on the loop's thread, in the loop's table of
//! requests.

use crate::layer::trace::Facts;
use crate::pool::{self, Job, Lane};
use crate::sync::{Mutex, MutexGuard};
use crate::wake::Remote;
use crate::{Errno, Error, LAYER, LoopHandle, Result, traced};
use slab::Slab;
use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;

/// A request for work in the thread pool (`uv_work_t`). Dropping it does not cancel the work.
///
/// ```
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let work = event_loop.queue_work(|| "a long computation", |result| println!("{result:?}"));
/// // Only work that has not begun can be cancelled; `result` is then `ECANCELED`.
/// let _cancelled = work.cancel().is_ok();
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Work(Arc<dyn Job>);

impl LoopHandle {
    /// Runs `work` in the process's thread pool and then `after`, with the result, on the loop's thread, in the poll
    /// phase (`uv_queue_work`). The request keeps the loop alive until `after` has been called.
    ///
    /// All loops of the process share the pool. It is created on first use with `UV_THREADPOOL_SIZE` threads. Default:
    /// 4; at most 1024. The end of the process does not wait for running work. Dropping the loop drops `after`, and
    /// also `work` unless it has begun; a loop that is dropped already drops both immediately.
    ///
    /// `after` gets `ECANCELED` if the request was cancelled, or the system's error, usually `EAGAIN`, if the pool has
    /// no thread and cannot create one. A panic in `work` resumes on the loop's thread, out of [`run`](Self::run);
    /// `after` is not called then.
    ///
    /// ```
    /// use uv_core::{Loop, RunMode};
    ///
    /// let event_loop = Loop::new()?;
    /// event_loop.queue_work(|| (1..=20).product::<u64>(), |product| assert_eq!(product, Ok(2_432_902_008_176_640_000)));
    /// assert!(!event_loop.run(RunMode::Default)?);
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn queue_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        after: impl FnOnce(Result<T>) + 'static,
    ) -> Work {
        self.queue_work_on(Lane::Every, work, after)
    }

    /// Like [`queue_work`](Self::queue_work), in a lane of the pool.
    pub(crate) fn queue_work_on<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> T + Send + 'static,
        after: impl FnOnce(Result<T>) + 'static,
    ) -> Work {
        let work = self.prepare_work(work, after);
        work.submit(lane);
        work
    }

    /// Like [`queue_work`](Self::queue_work), but the work waits until it is [submitted](Work::submit).
    pub(crate) fn prepare_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        after: impl FnOnce(Result<T>) + 'static,
    ) -> Work {
        let stage = Mutex::new(Stage::Queued(work));
        if self.is_gone() {
            // Cancelled from the start, without a callback.
            let work = Work(Arc::new(Task { stage, id: usize::MAX, remote: self.remote() }));
            work.0.fail(Errno::ECANCELED);
            return work;
        }
        self.request(stage, after)
    }

    /// Creates the request, which is not yet in the pool.
    fn request<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        &self,
        stage: Mutex<Stage<W, T>>,
        after: impl FnOnce(Result<T>) + 'static,
    ) -> Work {
        let mut requests = self.inner().works.requests.borrow_mut();
        let entry = requests.vacant_entry();
        let task = Arc::new(Task { stage, id: entry.key(), remote: self.remote() });
        let work = Work(Arc::clone(&task) as Arc<dyn Job>);
        entry.insert(Request { work: work.clone(), finish: Box::new(move || task.finish(after)) });
        drop(requests);
        self.begin_request();
        work
    }
}

impl Work {
    /// Cancels the work if it has not begun (`uv_cancel`). The loop calls its `after` with `ECANCELED` later.
    ///
    /// # Errors
    /// `EBUSY` if the work is running, done or cancelled; nothing changes then.
    pub fn cancel(&self) -> Result<()> {
        if self.0.fail(Errno::ECANCELED) { Ok(()) } else { Err(Error::new("cancel", Errno::EBUSY)) }
    }

    /// Cancels the work, also while it runs: it goes on in its thread, where its result is dropped. The loop calls its `after` with
    /// `ECANCELED` later, without waiting for the thread. libuv has no counterpart.
    ///
    /// # Errors
    /// `EBUSY` if the work has ended or is cancelled; nothing changes then.
    pub fn abandon(&self) -> Result<()> {
        if self.0.abandon(Errno::ECANCELED) { Ok(()) } else { Err(Error::new("cancel", Errno::EBUSY)) }
    }

    /// Gives work to the pool that was [prepared](LoopHandle::prepare_work). Work that was cancelled does nothing there.
    pub(crate) fn submit(&self, lane: Lane) {
        if let Err(reason) = pool::submit(Arc::clone(&self.0), lane) {
            self.0.fail(reason);
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// The part of a request that the threads share.
struct Task<W, T> {
    stage: Mutex<Stage<W, T>>,
    /// The key of the loop's part of the request.
    id: usize,
    remote: Remote,
}

enum Stage<W, T> {
    Queued(W),
    Running,
    Done(thread::Result<T>),
    Failed(Errno),
    /// The loop has been told, and its part of the request is over.
    Told,
}

impl<W, T> Task<W, T> {
    fn stage(&self) -> MutexGuard<'_, Stage<W, T>> {
        // No user code runs under this lock, so a poisoned lock guards a valid value.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the work, if no thread has begun or cancelled it.
    fn begin(&self) -> Option<W> {
        let mut stage = self.stage();
        match mem::replace(&mut *stage, Stage::Running) {
            Stage::Queued(work) => Some(work),
            other => {
                *stage = other;
                None
            }
        }
    }

    /// Tells the loop how running work has ended. Only the first call for a request does anything: the thread that runs
    /// abandoned work comes too late, and the key may be that of another request by then.
    fn end(&self, ended: Stage<W, T>) -> bool {
        {
            let mut stage = self.stage();
            if !matches!(*stage, Stage::Running) {
                return false;
            }
            *stage = ended;
        }
        self.remote.post_work(self.id);
        true
    }

    /// Reports the result, on the loop's thread.
    fn finish(&self, after: impl FnOnce(Result<T>)) {
        let stage = mem::replace(&mut *self.stage(), Stage::Told);
        match stage {
            Stage::Done(Ok(value)) => after(Ok(value)),
            Stage::Done(Err(panic)) => resume_unwind(panic),
            Stage::Failed(reason) => {
                #[cfg(upcall_faults)]
                crate::faults::reached(crate::faults::Branch::WorkFails);
                after(Err(Error::new("queue_work", reason)));
            }
            // The loop is told only when the work has ended.
            Stage::Queued(_) | Stage::Running | Stage::Told => {}
        }
    }
}

impl<W, T> Job for Task<W, T>
where
    W: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self) {
        if let Some(work) = self.begin() {
            // The work's own state is dropped with it, and state that it shares is the program's responsibility.
            self.end(Stage::Done(catch_unwind(AssertUnwindSafe(work))));
        }
    }

    fn fail(&self, reason: Errno) -> bool {
        let work = self.begin();
        work.is_some() && self.end(Stage::Failed(reason))
    }

    fn abandon(&self, reason: Errno) -> bool {
        self.fail(reason) || self.end(Stage::Failed(reason))
    }
}

/// The unfinished requests of a loop.
#[derive(Default)]
pub(crate) struct Works {
    requests: RefCell<Slab<Request>>,
}

pub(crate) struct Request {
    work: Work,
    finish: Box<dyn FnOnce()>,
}

impl Request {
    /// Drops the work if it has not begun.
    pub(crate) fn give_up(&self) {
        self.work.0.fail(Errno::ECANCELED);
    }
}

impl Works {
    pub(crate) fn finish(&self, event_loop: &LoopHandle, id: usize) {
        let request = self.requests.borrow_mut().try_remove(id);
        if let Some(request) = request {
            event_loop.end_request();
            let _up = LAYER.up(traced::AFTER_WORK, Facts::default);
            (request.finish)();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.borrow().len()
    }

    /// Takes all requests; their callbacks are never called.
    pub(crate) fn take(&self) -> Vec<Request> {
        self.requests.take().into_iter().map(|(_, request)| request).collect()
    }
}

#[cfg(all(test, upcall_models))]
#[path = "models/work.rs"]
mod models;
