//! The future around a task's own: it holds that the task is polled once for a wake-up at most, with the values that it has, and
//! that it is dropped once.

use super::program::{Program, Record};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts wake-ups and passes them on.
struct Relay {
    wakes: AtomicU64,
    waker: Waker,
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.waker.wake_by_ref();
    }
}

/// A task's future.
pub(super) struct Watched {
    program: Rc<Program>,
    record: Rc<Record>,
    future: Pin<Box<dyn Future<Output = u64>>>,
    /// What has the task's waker, if its wake-ups are noted.
    relay: Option<Arc<Relay>>,
    notes_wakes: bool,
    /// Polls behind the first.
    polls: u64,
}

impl Watched {
    /// `notes_wakes`: else nothing is between the task's waker and what it waits for.
    pub(super) fn new(
        program: &Rc<Program>,
        record: &Rc<Record>,
        future: impl Future<Output = u64> + 'static,
        notes_wakes: bool,
    ) -> Self {
        let (program, record, future) = (Rc::clone(program), Rc::clone(record), Box::pin(future));
        Self { program, record, future, relay: None, notes_wakes, polls: 0 }
    }

    /// The waker for the task's own future.
    fn waker(&mut self, waker: &Waker) -> Waker {
        if !self.notes_wakes {
            return waker.clone();
        }
        let number = self.record.number;
        match &self.relay {
            None => {
                let relay = Relay { wakes: AtomicU64::new(0), waker: waker.clone() };
                self.relay = Some(Arc::new(relay));
            }
            Some(relay) => {
                assert!(relay.waker.will_wake(waker), "task {number} has another waker");
                self.polls += 1;
                let was_woken = self.polls <= relay.wakes.load(Ordering::SeqCst);
                assert!(was_woken, "task {number} was polled more often than woken");
            }
        }
        self.relay.as_ref().map_or_else(|| waker.clone(), |relay| Waker::from(Arc::clone(relay)))
    }
}

impl Future for Watched {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        let this = &mut *self;
        let (program, record) = (Rc::clone(&this.program), Rc::clone(&this.record));
        let number = record.number;
        assert!(!record.has_ended(), "task {number} is polled behind its end");
        assert!(!record.is_polled.replace(true), "task {number} is polled within its poll");
        let waker = this.waker(context.waker());
        program.check_values(&record, "at the begin of a poll");
        let polled = this.future.as_mut().poll(&mut Context::from_waker(&waker));
        program.check_values(&record, "at the end of a poll");
        record.is_polled.set(false);
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.record.dropped();
    }
}
