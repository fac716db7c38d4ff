//! Ticks and microtasks, which run when a callback has returned and before anything else happens. Mirrors
//! `processTicksAndRejections`, Node's `lib/internal/process/task_queues.js`.

use crate::layer::trace::Facts;
use crate::task::Task;
use crate::{AsyncContext, Environment, LAYER, Provider};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

type Callback = Box<dyn FnOnce()>;

/// Task polls at the end of one scope. A task that wakes itself yields to other work, which here includes timers and
/// I/O: the remaining tasks are polled in the loop's next turn. Ticks and microtasks have no such bound, as in Node.
const POLLS_PER_SCOPE: usize = 64;

/// The two queues of an environment. They keep their buffers.
#[derive(Default)]
pub(crate) struct Queues {
    ticks: RefCell<VecDeque<(AsyncContext, Callback)>>,
    microtasks: RefCell<VecDeque<Microtask>>,
    /// Tasks beyond the bound of a scope, which are polled in the loop's next turn.
    deferred: RefCell<VecDeque<Rc<Task>>>,
    /// Whether a queue may have an entry: all that a scope checks.
    work: Cell<bool>,
}

pub(crate) enum Microtask {
    /// Calls a callback in its context.
    Call(Box<dyn FnOnce(&Environment)>),
    Poll(Rc<Task>),
    /// Tells hooks of destroyed resources, if there are too many of them to wait for the check phase.
    TellDestroyed,
}

impl Queues {
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.work.get()
    }

    pub(crate) fn clear(&self) {
        self.work.set(false);
        drop(self.ticks.take());
        drop(self.microtasks.take());
        drop(self.deferred.take());
    }

    /// Queues as many deferred tasks as a scope polls.
    fn take_deferred(&self) {
        let mut deferred = self.deferred.borrow_mut();
        let count = deferred.len().min(POLLS_PER_SCOPE);
        self.microtasks.borrow_mut().extend(deferred.drain(..count).map(Microtask::Poll));
        self.work.set(true);
    }

    fn next_tick(&self) -> Option<(AsyncContext, Callback)> {
        self.ticks.borrow_mut().pop_front()
    }

    fn next_microtask(&self) -> Option<Microtask> {
        self.microtasks.borrow_mut().pop_front()
    }
}

impl Environment {
    /// Calls `callback` when the executing callback has returned, before the loop continues (`process.nextTick`).
    ///
    /// Ticks run in the order in which they were queued, all of them before any microtask. Outside of every scope the
    /// loop runs them. In a closed environment nothing is queued.
    ///
    /// As in Node, ticks that queue ticks without end keep the loop from everything else, and so do microtasks. Use
    /// [`set_immediate`](Self::set_immediate) or a task ([`spawn_local`](Self::spawn_local)) to let other work run.
    pub fn next_tick(&self, callback: impl FnOnce() + 'static) {
        let inner = self.inner();
        if inner.takes_work() {
            let context = self.new_context(Provider::TickObject);
            inner.queues.ticks.borrow_mut().push_back((context, Box::new(callback)));
            self.work_was_queued();
        }
    }

    /// Calls `callback` after the ticks of the executing callback (`queueMicrotask`).
    pub fn queue_microtask(&self, callback: impl FnOnce() + 'static) {
        if self.inner().takes_work() {
            let context = self.new_context(Provider::Microtask);
            self.push_microtask(Microtask::Call(Box::new(move |env| env.run_once(context, callback))));
        }
    }

    #[inline]
    pub(crate) fn push_microtask(&self, microtask: Microtask) {
        self.inner().queues.microtasks.borrow_mut().push_back(microtask);
        self.work_was_queued();
    }

    fn work_was_queued(&self) {
        let inner = self.inner();
        inner.queues.work.set(true);
        if inner.depth.get() == 0 {
            inner.schedule();
        }
    }

    /// Runs ticks, then microtasks, until both queues are empty, except for polls beyond their bound. A callback that
    /// panics has been removed from its queue; the rest stays.
    #[cold]
    pub(crate) fn run_queues(&self) {
        let _scope = LAYER.scope("Environment::run_queues", Facts::default);
        let queues = &self.inner().queues;
        let mut polls = 0;
        loop {
            while let Some((context, callback)) = queues.next_tick() {
                self.run_once(context, callback);
            }
            while let Some(microtask) = queues.next_microtask() {
                match microtask {
                    Microtask::Call(call) => call(self),
                    Microtask::Poll(task) if polls == POLLS_PER_SCOPE => {
                        queues.deferred.borrow_mut().push_back(task);
                    }
                    Microtask::Poll(task) => {
                        polls += 1;
                        self.poll_task(task);
                    }
                    Microtask::TellDestroyed => self.inner().tell_destroyed(),
                }
            }
            if queues.ticks.borrow().is_empty() {
                break;
            }
        }
        queues.work.set(false);
        if !queues.deferred.borrow().is_empty() {
            self.inner().poll_deferred_later();
        }
    }

    /// Polls the deferred tasks, behind the microtasks queued since.
    pub(crate) fn poll_deferred(&self) {
        self.inner().driver.stop_deferred();
        self.make_callback(AsyncContext::NONE, || self.inner().queues.take_deferred());
    }

    /// Calls the only callback of a resource and destroys the resource.
    pub(crate) fn run_once(&self, context: AsyncContext, callback: impl FnOnce()) {
        let gone = self.destroy_at_end(context.async_id());
        self.run_in_context(context, gone.around(callback));
    }
}
