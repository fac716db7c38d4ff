//! The one future that waits for an event of a thing, or for a value. Node's counterpart is the `resolve` function of a promise.

use crate::layer::OnDrop;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// The place of one waiting future, such as the reader of a socket: [`Waiters`](crate::task::Waiters) has many.
///
/// The waker stays when it has woken, since most often the same task waits again: a clone for each wait would be two atomic
/// operations. A future that waits no more [leaves](Self::leave), and is then neither woken nor kept.
///
/// ```
/// use async_wrap::Environment;
/// use async_wrap::task::Waiter;
/// use std::cell::Cell;
/// use std::future::poll_fn;
/// use std::rc::Rc;
/// use std::task::Poll;
///
/// let env = Environment::with_new_loop()?;
/// let bell: Rc<(Cell<bool>, Waiter)> = Rc::default();
/// let listener = Rc::clone(&bell);
/// let heard = env.spawn_local(poll_fn(move |context| {
///     if listener.0.get() {
///         return Poll::Ready(());
///     }
///     listener.1.wait(context);
///     Poll::Pending
/// }));
/// env.set_immediate(move || {
///     bell.0.set(true);
///     bell.1.wake();
/// });
/// env.run_to_end()?;
/// assert!(heard.is_finished());
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Default)]
pub struct Waiter {
    waker: Cell<Option<Waker>>,
    is_waiting: Cell<bool>,
}

impl Waiter {
    /// Has the next [`wake`](Self::wake) wake the task that polls now, in place of any other.
    #[inline]
    pub fn wait(&self, context: &Context<'_>) {
        let waker = context.waker();
        let kept = self.waker.take().filter(|kept| kept.will_wake(waker));
        self.waker.set(Some(kept.unwrap_or_else(|| waker.clone())));
        self.is_waiting.set(true);
    }

    /// Wakes what waits, once.
    #[inline]
    pub fn wake(&self) {
        if self.is_waiting.take()
            && let Some(waker) = self.waker.take()
        {
            waker.wake_by_ref();
            // A waker may do anything, such as wait here again.
            match self.waker.take() {
                None => self.waker.set(Some(waker)),
                newer => self.waker.set(newer),
            }
        }
    }

    /// What waits waits no more. Returns whether it did.
    #[inline]
    pub fn leave(&self) -> bool {
        let did_wait = self.is_waiting.take();
        if did_wait {
            drop(self.waker.take());
        }
        did_wait
    }

    /// Waits until `found`, which is asked in each poll, returns a value. The future leaves when it is dropped, and keeps no waker.
    pub async fn until<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        let _left = OnDrop::new(|| self.forget());
        poll_fn(|context| match found() {
            Some(value) => Poll::Ready(value),
            None => {
                self.wait(context);
                Poll::Pending
            }
        })
        .await
    }

    /// Drops the waker, also of what does not wait.
    fn forget(&self) {
        self.is_waiting.set(false);
        drop(self.waker.take());
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").field("is_waiting", &self.is_waiting.get()).finish_non_exhaustive()
    }
}

/// Where a callback leaves the value that a future waits for.
///
/// ```
/// use async_wrap::Environment;
/// use async_wrap::task::Slot;
/// use std::rc::Rc;
///
/// let env = Environment::with_new_loop()?;
/// let slot = Rc::new(Slot::default());
/// let told = Rc::clone(&slot);
/// env.set_immediate(move || told.put("hello"));
/// assert_eq!(env.block_on(async move { slot.value().await })?, "hello");
/// # Ok::<(), uv_core::Error>(())
/// ```
pub struct Slot<T> {
    value: Cell<Option<T>>,
    waiter: Waiter,
}

impl<T> Slot<T> {
    /// Leaves the value, in place of one before it, and wakes the future.
    pub fn put(&self, value: T) {
        self.value.set(Some(value));
        self.waiter.wake();
    }

    /// Takes the value. If there is none, the next [`put`](Self::put) wakes the task that polls now.
    pub fn poll(&self, context: &Context<'_>) -> Poll<T> {
        if let Some(value) = self.value.take() {
            return Poll::Ready(value);
        }
        self.waiter.wait(context);
        Poll::Pending
    }

    /// Nothing waits for the value any more, and no waker is kept.
    pub fn leave(&self) {
        self.waiter.forget();
    }

    /// Waits for the value, and takes it. Dropping the future leaves it where it is.
    pub async fn value(&self) -> T {
        self.waiter.until(|| self.value.take()).await
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: Cell::new(None), waiter: Waiter::default() }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
