//! Into the loop from other threads: [`Async`] wakes it, [`Remote`] posts closures to it. Mirrors libuv's
//! `src/unix/async.c`, but a wake-up does not scan all async handles: sent handles are queued by their key.

use crate::handle::{Handle, HandleInner, HandleKind};
use crate::key::Key;
use crate::layer::trace::Facts;
use crate::layer::{HandlerCell, OnDrop};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard, Waker};
use crate::sys::fork::Process;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

/// Posts per poll phase; the next phase takes more, so that a flood of posts does not starve other handles.
const POSTS_PER_TURN: usize = 1024;

/// A message of another thread to the loop.
pub(crate) enum Post {
    Closure(Box<dyn FnOnce(&LoopHandle) + Send>),
    /// An async handle was sent to.
    Async(Key),
    /// The request with this number has ended in the thread pool.
    Work(usize),
}

/// The part of a loop that other threads hold.
struct Shared {
    posts: Mutex<Posts>,
    waker: Arc<Waker>,
    /// The process that may post: a forked child would wake its parent, which has nothing to do.
    process: Process,
}

struct Posts {
    queue: VecDeque<Post>,
    /// The loop is dropped: nothing will be delivered.
    shut: bool,
}

impl Shared {
    fn posts(&self) -> MutexGuard<'_, Posts> {
        // Code that runs under this lock does not panic, so a poisoned lock guards a valid value.
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, post: Post) -> Result<(), Post> {
        if !self.process.is_current() {
            return Err(post);
        }
        let first = {
            let mut posts = self.posts();
            if posts.shut {
                return Err(post);
            }
            posts.queue.push_back(post);
            posts.queue.len() == 1
        };
        // Only the first post wakes the loop, which takes all posts at once.
        if first {
            self.wake();
        }
        Ok(())
    }

    fn wake(&self) {
        // An eventfd refuses only when its counter is full, and then it is readable already.
        let _ = self.waker.wake();
    }
}

/// A way into a loop for other threads, to run closures on it. `Send`; clones are cheap.
///
/// It does not keep the loop alive: keep an [`Async`] open if the loop has to wait for a thread's answer.
///
/// ```
/// use uv_core::{Async, Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let answer = Async::new(&event_loop, |_: &Async| {});
/// let remote = event_loop.remote();
/// let thread = std::thread::spawn(move || remote.post(|event_loop| event_loop.close_all()));
/// event_loop.run(RunMode::Default)?;
/// thread.join().expect("the thread does not panic")?;
/// assert!(answer.is_closing());
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Remote(Arc<Shared>);

impl Remote {
    /// Runs `work` on the loop's thread, in its poll phase. Closures posted by one thread run in order.
    ///
    /// # Errors
    /// `ECANCELED` if the loop is dropped or belongs to another process; `work` is then dropped on this thread.
    pub fn post(&self, work: impl FnOnce(&LoopHandle) + Send + 'static) -> Result<()> {
        self.0.push(Post::Closure(Box::new(work))).map_err(|_| Error::new("post", Errno::ECANCELED))
    }

    /// Tells the loop that work has ended.
    pub(crate) fn post_work(&self, id: usize) {
        // Refused only by a dropped loop, which calls no callback.
        let _ = self.0.push(Post::Work(id));
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The loop's end of [`Remote`] and of every [`AsyncSender`].
pub(crate) struct Inbox {
    shared: Arc<Shared>,
    /// Posts taken from the shared queue and not delivered yet.
    taken: RefCell<VecDeque<Post>>,
}

impl Inbox {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        let posts = Mutex::new(Posts { queue: VecDeque::new(), shut: false });
        Self {
            shared: Arc::new(Shared { posts, waker, process: Process::current() }),
            taken: RefCell::default(),
        }
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote(Arc::clone(&self.shared))
    }

    pub(crate) fn wake_again(&self) {
        self.shared.wake();
    }

    /// Runs the posts made before this call, one at a time, so that a panic loses only its own post.
    pub(crate) fn deliver(&self, event_loop: &LoopHandle) {
        // Wakes the loop again if posts are left, because of the bound or of a panic.
        let _rest = OnDrop::new(|| {
            if !self.taken.borrow().is_empty() {
                self.shared.wake();
            }
        });
        let count = self.take_over().min(POSTS_PER_TURN);
        if let Some(meter) = event_loop.inner().meter.get() {
            // The wake-up is counted already.
            meter.add_events(count.saturating_sub(1));
        }
        for _ in 0..count {
            let Some(post) = self.taken.borrow_mut().pop_front() else { break };
            match post {
                Post::Work(id) => event_loop.inner().works.finish(event_loop, id),
                Post::Closure(work) => work(event_loop),
                Post::Async(key) => {
                    if let Some(handle) = event_loop.handle(key) {
                        handle.on_ready();
                    }
                }
            }
        }
    }

    /// Takes all posts under one lock. Returns the number of posts to deliver.
    fn take_over(&self) -> usize {
        let mut taken = self.taken.borrow_mut();
        let mut posts = self.shared.posts();
        if taken.is_empty() {
            mem::swap(&mut *taken, &mut posts.queue);
        } else {
            taken.append(&mut posts.queue);
        }
        taken.len()
    }

    /// Refuses posts from now on. Returns the undelivered posts for the caller to drop.
    pub(crate) fn shut(&self) -> VecDeque<Post> {
        let mut queued = {
            let mut posts = self.shared.posts();
            posts.shut = true;
            mem::take(&mut posts.queue)
        };
        let mut posts = self.taken.take();
        posts.append(&mut queued);
        posts
    }
}

/// A callback that other threads can cause (`uv_async_t`). It is active from the start, so it keeps its loop alive
/// until it is closed or unreferenced.
///
/// ```
/// use std::thread;
/// use uv_core::{Async, Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let done = Async::new(&event_loop, |done: &Async| done.close());
/// let sender = done.sender();
/// let thread = thread::spawn(move || sender.send());
/// assert!(!event_loop.run(RunMode::Default)?);
/// # thread.join().expect("the thread ends");
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Async(Rc<AsyncInner>);

type OnWake = Box<dyn FnMut(&Async)>;

struct AsyncInner {
    handle: Handle,
    sent: Arc<AtomicBool>,
    shared: Arc<Shared>,
    upcall: HandlerCell<OnWake>,
}

impl Async {
    /// Creates an active handle that calls `upcall` after each [`send`](AsyncSender::send), or once for several of them
    /// (`uv_async_init`).
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle, upcall: impl FnMut(&Self) + 'static) -> Self {
        let shared = Arc::clone(&event_loop.inner().inbox.shared);
        let inner = event_loop.add(HandleKind::Async, |handle| AsyncInner {
            handle,
            sent: Arc::default(),
            shared,
            upcall: HandlerCell::empty(),
        });
        if !inner.handle.is_closed() {
            inner.upcall.set(Box::new(upcall));
            inner.handle.start();
        }
        Self(inner)
    }

    /// The sender for other threads.
    #[must_use]
    pub fn sender(&self) -> AsyncSender {
        AsyncSender {
            key: self.0.handle.key(),
            sent: Arc::clone(&self.0.sent),
            shared: Arc::clone(&self.0.shared),
        }
    }
}

impl HandleInner for AsyncInner {
    fn base(&self) -> &Handle {
        &self.handle
    }

    fn on_ready(self: Rc<Self>) {
        // Cleared before the call, so that a send during the call causes another call. A swap, because the call must
        // see what the threads wrote before the sends that it stands for: a store would not be ordered after them.
        self.sent.swap(false, Ordering::SeqCst);
        if !self.handle.is_closing() {
            let handle = Async(self);
            let _up = LAYER.up("AsyncInner::on_ready", || Facts::of(&handle));
            handle.0.upcall.call(|upcall| upcall(&handle));
        }
    }

    fn drop_tower(&self) {
        drop(self.upcall.take());
    }
}

impl Deref for Async {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Async {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.0.handle).finish()
    }
}

/// Wakes an [`Async`] from any thread. Clones are cheap.
#[derive(Clone)]
pub struct AsyncSender {
    key: Key,
    sent: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl AsyncSender {
    /// Causes at least one call that starts after this one (`uv_async_send`). Sends coalesce; a send to a closed handle
    /// does nothing.
    pub fn send(&self) {
        if !self.sent.swap(true, Ordering::SeqCst) {
            // Refused only by a dropped loop, which calls no callback.
            let _ = self.shared.push(Post::Async(self.key));
        }
    }
}

impl fmt::Debug for AsyncSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncSender").finish_non_exhaustive()
    }
}

#[cfg(all(test, upcall_models))]
#[path = "models/wake.rs"]
mod models;
