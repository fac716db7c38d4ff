//! Futures that a scenario awaits, or drops at one of their awaits.

use crate::core::dice;
use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use async_wrap::task::TaskHandle;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// A time, mostly short.
pub(crate) fn some_time() -> Duration {
    Duration::from_micros(dice([1, 100, 3_000, 40_000][dice(4) as usize]))
}

/// Polls a future once, and drops it.
async fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Awaits a future, mostly to its end; else it is dropped where it is.
pub(crate) async fn let_go<T>(env: &Environment, future: impl Future<Output = T>) -> Option<T> {
    match dice(6) {
        0 => env.timeout(some_time(), future).await.ok(),
        1 => once(future).await,
        _ => Some(future.await),
    }
}

/// The tasks of a scenario. Their panics are the scenario's: no handle keeps them.
#[derive(Default)]
pub(crate) struct Tasks {
    handles: RefCell<Vec<TaskHandle>>,
    alive: Rc<Cell<u32>>,
}

impl Tasks {
    /// Begins a task.
    pub(crate) fn spawn(&self, env: &Environment, future: impl Future<Output = ()> + 'static) {
        let alive = Rc::clone(&self.alive);
        alive.set(alive.get() + 1);
        let over = OnDrop::new(move || alive.set(alive.get() - 1));
        let task = env.start_detached(async move {
            let _over = over;
            future.await;
        });
        self.handles.borrow_mut().extend(task);
    }

    /// Whether all have ended.
    pub(crate) fn are_over(&self) -> bool {
        self.alive.get() == 0
    }

    /// Drops those that have not ended, where they are.
    pub(crate) fn abort(&self) {
        self.handles.take().iter().for_each(TaskHandle::abort);
        assert!(self.are_over(), "a task that was aborted is left");
    }
}
