//! What an async function awaits of its response: room for more, and its end.

use crate::upcall::ResponseHandler;
use crate::{Error, Response, Result};
use async_wrap::layer::OnDrop;
use async_wrap::task::{Wait, Waiters};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The futures that wait for something of a response. Its handler wakes them.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    is_over: Cell<bool>,
    waiters: Waiters,
}

impl Waiting {
    /// Polls until there is a result, for a future that has a place among those that wait until then, or until it is dropped.
    pub(super) async fn until<T>(&self, mut poll: impl FnMut(&Wait, &mut Context<'_>) -> Poll<T>) -> T {
        let wait = Wait::default();
        let _left = OnDrop::new(|| self.waiters.leave(&wait));
        poll_fn(|context| poll(&wait, context)).await
    }

    /// Whether the response takes more.
    pub(super) fn poll_room(
        &self,
        response: &Response,
        wait: &Wait,
        context: &Context<'_>,
    ) -> Poll<Result<()>> {
        if self.is_over.get() || response.is_lost() {
            return Poll::Ready(Err(Error::Closed));
        }
        if !response.needs_drain() {
            return Poll::Ready(Ok(()));
        }
        self.wait(wait, context);
        Poll::Pending
    }

    pub(super) fn wait(&self, wait: &Wait, context: &Context<'_>) {
        self.waiters.wait(wait, context);
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
        self.0.waiters.wake();
    }
}

/// The response is over, or another handler has taken over.
impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        self.0.waiters.wake();
    }
}

impl Response {
    /// Waits until more is welcome, after a write that returned `false`: `on_drain` as a future.
    ///
    /// Sets a handler of its own, in place of the one before. Dropping the future leaves the response where it is.
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
        if self.is_ended() {
            return Err(Error::Closed);
        }
        let waiting = self.waiting();
        waiting.until(|wait, context| waiting.poll_room(self, wait, context)).await
    }

    /// Waits until the response is over: it has ended and is with the kernel, or queued for it (`on_finish`), or its connection is
    /// lost (`on_close`). Sets a handler of its own, in place of the one before. Dropping the future changes nothing.
    pub async fn closed(&self) {
        let waiting = self.waiting();
        let poll = |wait: &Wait, context: &mut Context<'_>| {
            if waiting.is_over.get() {
                return Poll::Ready(());
            }
            waiting.wait(wait, context);
            Poll::Pending
        };
        waiting.until(poll).await;
    }
}
