//! Time limits for other processes that run only while this process runs. Node has timers alone, which count all time.
//!
//! What suspends this process (a stopped process group, a frozen container, a suspended machine) mostly suspends the
//! processes that it waits for too. So the time is measured in steps, and a step that took far too long counts as a short
//! one.

use crate::Completion;
use crate::futures::Finished;
use async_wrap::{Environment, Heard, Timeout};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The steps of a limit, unless the caller inspects it more often.
const STEPS: u32 = 8;

/// The least delay of a step that counts as a suspension: two looks at processes.
const AT_LEAST: Duration = Duration::from_millis(50);

/// The rest of a limit.
pub(crate) struct Patience {
    left: Duration,
    /// The most that a step counts: a suspension takes a quarter of the limit.
    longest: Duration,
    /// The time of the last look, on the loop's clock.
    seen: Duration,
}

impl Patience {
    /// Starts a limit, which must be inspected several times before it ends.
    pub(crate) fn new(env: &Environment, limit: Duration) -> Self {
        let event_loop = env.loop_handle();
        // The time of a slow callback before this one does not count.
        event_loop.update_time();
        Self { left: limit, longest: (limit / 4).max(AT_LEAST), seen: event_loop.now() }
    }

    /// Inspects the limit. Returns whether it is used up.
    pub(crate) fn is_over(&mut self, heard: Heard) -> bool {
        let step = heard.until().saturating_sub(self.seen);
        self.seen = self.seen.max(heard.until());
        self.left = self.left.saturating_sub(step.min(self.longest));
        self.left.is_zero()
    }
}

/// Calls `callback` when the limit is used up.
pub(crate) fn set_patience(env: &Environment, limit: Duration, callback: impl FnOnce() + 'static) -> Timeout {
    let (mut patience, mut callback) = (Patience::new(env, limit), Some(callback));
    inspect(env, limit / STEPS, move |heard| {
        let is_over = patience.is_over(heard);
        if let Some(callback) = callback.take_if(|_| is_over) {
            callback();
        }
        is_over
    })
}

/// A limit on the time of a future, which may be taken off.
pub(crate) struct Limit {
    timeout: Timeout,
    reached: RefCell<Finished<()>>,
}

impl Limit {
    /// Starts a limit.
    pub(crate) fn new(env: &Environment, limit: Duration) -> Self {
        let (done, reached) = Completion::pair(env);
        let timeout = set_patience(env, limit, move || done.ok(()));
        Self { timeout, reached: RefCell::new(reached) }
    }

    pub(crate) fn take_off(&self) {
        self.timeout.clear();
    }

    /// Awaits a future until the limit is used up, which returns `None`. The limit ends with this.
    pub(crate) async fn hold<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let held = poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            // A limit that was taken off has failed.
            Poll::Pending => match Pin::new(&mut *self.reached.borrow_mut()).poll(context) {
                Poll::Ready(Ok(())) => Poll::Ready(None),
                _ => Poll::Pending,
            },
        });
        let held = held.await;
        self.take_off();
        held
    }
}

/// Calls `look` at intervals until it returns `true`, or until the timeout is cleared.
pub(crate) fn inspect(
    env: &Environment,
    every: Duration,
    mut look: impl FnMut(Heard) -> bool + 'static,
) -> Timeout {
    let timer: Rc<Cell<Option<Timeout>>> = Rc::default();
    let own = Rc::clone(&timer);
    let interval = env.set_inspection(every, move |heard| {
        if look(heard) {
            own.take().iter().for_each(Timeout::clear);
        }
    });
    timer.set(Some(interval.clone()));
    interval
}
