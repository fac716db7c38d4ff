//! What an async function awaits of its response: room for more, and its end.

use crate::upcall::ResponseHandler;
use crate::{Error, Response, Result};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The futures that wait for something of a response. Its handler wakes them.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    is_over: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Waiting {
    fn wake(&self) {
        self.wakers.take().into_iter().for_each(Waker::wake);
    }

    /// Whether the response takes more.
    pub(super) fn poll_room(&self, response: &Response, context: &Context<'_>) -> Poll<Result<()>> {
        if self.is_over.get() || response.is_lost() {
            return Poll::Ready(Err(Error::Closed));
        }
        if !response.needs_drain() {
            return Poll::Ready(Ok(()));
        }
        self.wait(context);
        Poll::Pending
    }

    pub(super) fn wait(&self, context: &Context<'_>) {
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
    }
}

/// The response's handler, while something waits.
pub(crate) struct Notifier(Rc<Waiting>);

impl Notifier {
    pub(crate) fn new() -> (Self, Rc<Waiting>) {
        let waiting = Rc::new(Waiting::default());
        (Self(Rc::clone(&waiting)), waiting)
    }
}

impl ResponseHandler for Notifier {
    fn on_drain(&mut self, _: &Response) {
        self.0.wake();
    }
}

/// The response is over, or another handler has taken over.
impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        self.0.wake();
    }
}

impl Response {
    /// Waits until more is welcome, after a write that returned `false`: `on_drain` as a future.
    ///
    /// Sets a handler of its own, in place of the one before.
    ///
    /// ```
    /// use http::{Response, Result};
    ///
    /// /// A hundred megabytes, at the client's pace.
    /// async fn pour(response: &Response) -> Result<()> {
    ///     for _ in 0..100 {
    ///         if !response.write(&[0; 1 << 20])? {
    ///             response.drained().await?;
    ///         }
    ///     }
    ///     response.end(b"")
    /// }
    /// ```
    ///
    /// # Errors
    /// `Closed` if the response is over: it has ended, or its connection is lost.
    pub async fn drained(&self) -> Result<()> {
        let Some(waiting) = self.waiting() else { return Err(Error::Closed) };
        poll_fn(|context| waiting.poll_room(self, context)).await
    }

    /// Waits until the response is over: all of it is with the kernel, or its connection is lost. Sets a handler of its own, in
    /// place of the one before.
    pub async fn closed(&self) {
        let Some(waiting) = self.waiting() else { return };
        poll_fn(|context| {
            if waiting.is_over.get() {
                return Poll::Ready(());
            }
            waiting.wait(context);
            Poll::Pending
        })
        .await;
    }
}
