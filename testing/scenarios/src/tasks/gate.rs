//! Gates, at which tasks wait until something else opens them, and the places from where that is done.

use crate::core::dice;
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

/// A gate that many tasks may wait at. It opens for those who wait, and is closed behind them.
#[derive(Default)]
pub(super) struct Gate {
    opened: Cell<u64>,
    stays_open: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Gate {
    /// Waits until the gate is opened.
    pub(super) async fn pass(&self) {
        let before = self.opened.get();
        poll_fn(|context| {
            if self.opened.get() > before || self.stays_open.get() {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Opens the gate: the wake-ups come from here, from a job of the pool, or from another thread.
    pub(super) fn open(&self, env: &Environment) {
        self.opened.set(self.opened.get() + 1);
        for waker in self.wakers.take() {
            match dice(6) {
                0 => {
                    let job = waker.clone();
                    // The pool refuses if it has no thread, and a loop that is dropped may take the job along.
                    self.wakers.borrow_mut().push(waker.clone());
                    env.loop_handle().queue_work(
                        move || job.wake(),
                        |done| {
                            if done.is_err() {
                                waker.wake()
                            }
                        },
                    );
                }
                1 => elsewhere(&waker),
                2 => waker.wake_by_ref(),
                _ => waker.wake(),
            }
        }
    }

    /// Opens the gate for all that is still to come.
    pub(super) fn open_for_good(&self, env: &Environment) {
        self.stays_open.set(true);
        self.open(env);
    }

    /// Forgets the tasks that wait. They have been dropped.
    pub(super) fn clear(&self) {
        drop(self.wakers.take());
    }
}

/// All gates of a world.
pub(super) type Gates = Rc<Vec<Gate>>;

/// A thread that wakes tasks. Its caller waits for it, so that a world stays one thread's.
struct Elsewhere {
    waker: Mutex<Option<Waker>>,
    changed: Condvar,
}

static ELSEWHERE: Elsewhere = Elsewhere { waker: Mutex::new(None), changed: Condvar::new() };

impl Elsewhere {
    /// Waits until there is a waker, or is none.
    fn until(&self, is_there: bool) -> MutexGuard<'_, Option<Waker>> {
        let place = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = |waker: &mut Option<Waker>| waker.is_some() != is_there;
        self.changed.wait_while(place, is_other).unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) -> ! {
        loop {
            let mut place = self.until(true);
            // The caller has another one, so that nothing is freed here.
            place.iter().for_each(Waker::wake_by_ref);
            *place = None;
            drop(place);
            self.changed.notify_all();
        }
    }
}

/// Wakes on another thread, through the inbox of the task's loop.
fn elsewhere(waker: &Waker) {
    static THREAD: OnceLock<bool> = OnceLock::new();
    let start = || thread::Builder::new().spawn(|| ELSEWHERE.run()).is_ok();
    if !*THREAD.get_or_init(start) {
        return waker.wake_by_ref();
    }
    *ELSEWHERE.until(false) = Some(waker.clone());
    ELSEWHERE.changed.notify_all();
    drop(ELSEWHERE.until(false));
}
