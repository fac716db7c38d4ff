//! Requests of the loop to await. Mirrors what Node's promises make of its `ReqWrap`s, such as `FSReqPromise`
//! (`src/node_file.h`), with an end when the future is dropped.

use crate::layer::OnDrop;
use crate::{Environment, Provider};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use uv_core::Result;
use uv_core::threads::Work;

/// Where a callback of the loop leaves what a future waits for.
pub(crate) struct Slot<T> {
    value: Cell<Option<T>>,
    waker: Cell<Option<Waker>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: Cell::new(None), waker: Cell::new(None) }
    }
}

impl<T> Slot<T> {
    pub(crate) fn put(&self, value: T) {
        self.value.set(Some(value));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<T> {
        if let Some(value) = self.value.take() {
            return Poll::Ready(value);
        }
        self.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Waits for the value. Dropped before, it calls `cancel`, and wakes nothing any more; later calls of `cancel` must do
    /// nothing.
    pub(crate) async fn value_or(&self, cancel: impl FnOnce()) -> T {
        let _waiting = OnDrop::new(|| {
            drop(self.waker.take());
            cancel();
        });
        poll_fn(|context| self.poll(context)).await
    }
}

/// The completion of a request.
pub(crate) type After<T> = Box<dyn FnOnce(Result<T>)>;

/// Makes a request of the pool in a context of its own, and waits for its completion. Dropped before, it abandons the request.
pub(crate) async fn work_of<T: 'static>(
    env: &Environment,
    provider: Provider,
    make: impl FnOnce(After<T>) -> Result<Work>,
) -> Result<T> {
    let slot = Rc::new(Slot::default());
    let told = Rc::clone(&slot);
    let work = make(Box::new(env.request(provider, move |result| told.put(result))))?;
    // Refused once it has ended.
    slot.value_or(|| drop(work.abandon())).await
}
