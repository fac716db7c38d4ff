//! Futures that wait for the same event. Node's counterpart is a list of the `resolve` functions of promises.

use slab::Slab;
use std::cell::{Cell, RefCell};
use std::mem::{replace, take};
use std::task::{Context, Waker};

/// The futures that wait for one event of a thing, such as a socket that several tasks share: each keeps its place until it
/// [leaves](Self::leave), so that the future of a task that has given up wakes nothing and keeps no memory.
///
/// ```
/// use async_wrap::Environment;
/// use async_wrap::layer::OnDrop;
/// use async_wrap::task::{Wait, Waiters};
/// use std::cell::Cell;
/// use std::future::poll_fn;
/// use std::rc::Rc;
/// use std::task::Poll;
///
/// /// A door, which tasks wait for.
/// #[derive(Default)]
/// struct Door {
///     is_open: Cell<bool>,
///     waiters: Waiters,
/// }
///
/// impl Door {
///     fn open(&self) {
///         self.is_open.set(true);
///         self.waiters.wake();
///     }
///
///     async fn opened(&self) {
///         let wait = Wait::default();
///         let _left = OnDrop::new(|| self.waiters.leave(&wait));
///         poll_fn(|context| {
///             if self.is_open.get() {
///                 return Poll::Ready(());
///             }
///             self.waiters.wait(&wait, context);
///             Poll::Pending
///         })
///         .await;
///     }
/// }
///
/// let env = Environment::with_new_loop()?;
/// let door = Rc::new(Door::default());
/// for _ in 0..2 {
///     let door = Rc::clone(&door);
///     env.spawn_local(async move { door.opened().await });
/// }
/// env.set_immediate(move || door.open());
/// env.run_to_end()?;
/// assert_eq!(env.tasks(), 0);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Waiters(RefCell<Slab<Option<Waker>>>);

/// The place of one future among [`Waiters`]; none before it waits.
#[derive(Debug, Default)]
pub struct Wait(Cell<Option<usize>>);

impl Waiters {
    /// Has the next [`wake`](Self::wake) wake the task that polls a future now. A future that was polled by another task before
    /// does not wake that one.
    pub fn wait(&self, wait: &Wait, context: &Context<'_>) {
        let waker = Some(context.waker().clone());
        let mut wakers = self.0.borrow_mut();
        let old = match wait.0.get().and_then(|key| wakers.get_mut(key)) {
            Some(place) => replace(place, waker),
            None => {
                wait.0.set(Some(wakers.insert(waker)));
                None
            }
        };
        // Only now: a waker may have the last of its task.
        drop(wakers);
        drop(old);
    }

    /// A future waits no more. Does nothing if it did not.
    pub fn leave(&self, wait: &Wait) {
        let waker = wait.0.take().and_then(|key| self.0.borrow_mut().try_remove(key));
        drop(waker);
    }

    /// Wakes the tasks of all futures that wait. Those that wait on are polled first.
    pub fn wake(&self) {
        // They keep their places, whose keys they have.
        let wakers: Vec<_> = self.0.borrow_mut().iter_mut().filter_map(|(_, waker)| take(waker)).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether no future has a place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
