//! A program of tasks, and what the model knows of each.

use super::gate::Gates;
use super::steps;
use super::watched::Watched;
use crate::core::{dice, one_in};
use async_wrap::Environment;
use async_wrap::storage::{Propagation, Storage};
use async_wrap::task::{JoinError, JoinHandle, TaskHandle};
use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;

/// Tasks of a program, besides those of its last act.
const MOST_TASKS: usize = 60;

/// What a task panics with. No hook is called for it, which would print it.
pub(super) struct Panic(pub(super) usize);

/// What the model knows of a task.
#[derive(Default)]
pub(super) struct Record {
    pub(super) number: usize,
    /// What the storage has in the task.
    pub(super) value: Cell<Option<u64>>,
    /// The value that its code has returned.
    pub(super) returned: Cell<Option<u64>>,
    pub(super) has_panicked: Cell<bool>,
    /// It was aborted before it had ended.
    pub(super) is_aborted: Cell<bool>,
    /// The panic has no handle to go to.
    pub(super) passes_panic: Cell<bool>,
    /// It may panic: not where its first poll is called by another task.
    pub(super) may_panic: Cell<bool>,
    /// It runs now.
    pub(super) is_polled: Cell<bool>,
    /// Its handle has come to its end, or it has none.
    pub(super) is_alone: Cell<bool>,
    /// Its loop is dropped, or its environment is closed.
    pub(super) may_be_dropped: Cell<bool>,
    drops: Cell<u32>,
}

impl Record {
    pub(super) fn has_ended(&self) -> bool {
        self.drops.get() > 0
    }

    /// Once it has ended: in one way, and told as that. `caught` are the panics that came out of its loop.
    pub(super) fn check_end(&self, caught: &[usize]) {
        let number = self.number;
        let has_run = self.returned.get().is_some() || self.has_panicked.get();
        let was_cut = self.is_aborted.get() || self.may_be_dropped.get();
        assert!(has_run || was_cut, "task {number} was dropped before its end");
        let count = caught.iter().filter(|panicked| **panicked == number).count();
        assert_eq!(
            count,
            usize::from(self.passes_panic.get()),
            "panics of task {number} that came out of its loop"
        );
    }

    /// Its future is dropped.
    pub(super) fn dropped(&self) {
        self.drops.set(self.drops.get() + 1);
        assert_eq!(self.drops.get(), 1, "task {} is dropped again", self.number);
    }

    /// Compares what its handle has told.
    pub(super) fn check(&self, outcome: Result<u64, JoinError>) {
        let number = self.number;
        match outcome {
            Ok(value) => assert_eq!(Some(value), self.returned.get(), "the value of task {number}"),
            Err(error) if error.is_aborted() => {
                let may_be = self.is_aborted.get() || self.may_be_dropped.get();
                assert!(may_be, "task {number} ended as aborted");
                assert!(self.returned.get().is_none(), "task {number} had a value and was aborted");
            }
            Err(error) => {
                let panic = error.into_panic().unwrap_or_else(|| Box::new("no panic"));
                // That of an assertion is the scenario's.
                let panic = panic.downcast::<Panic>().unwrap_or_else(|panic| resume_unwind(panic));
                assert_eq!(panic.0, number, "the panic of task {number}");
                assert!(self.has_panicked.get(), "task {number} has not panicked");
            }
        }
    }
}

/// A task whose handle the program holds.
pub(super) struct Held {
    pub(super) record: Rc<Record>,
    pub(super) handle: Handle,
}

/// What waits for a task, or aborts it.
pub(super) enum Handle {
    Join(JoinHandle<u64>),
    Task(TaskHandle),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.record.is_alone.set(true);
    }
}

/// The tasks of an environment.
pub(super) struct Program {
    pub(super) env: Environment,
    pub(super) gates: Gates,
    /// Follows causes.
    pub(super) value: Storage<u64>,
    /// Ends with its scope.
    pub(super) scoped: Storage<u64>,
    pub(super) records: RefCell<Vec<Rc<Record>>>,
    pub(super) held: RefCell<Vec<Held>>,
    /// The number of its first task.
    first: usize,
    last_value: Cell<u64>,
    /// Its loop is dropped, or its environment is closed.
    is_dropped: Cell<bool>,
    /// No task begins any more, and nothing new is waited for.
    pub(super) is_over: Cell<bool>,
    /// Callbacks that are still to be called.
    pub(super) due_calls: Cell<u64>,
}

impl Program {
    pub(super) fn new(env: &Environment, gates: &Gates, first: usize) -> Rc<Self> {
        Rc::new(Self {
            env: env.clone(),
            gates: Rc::clone(gates),
            value: Storage::new(env),
            scoped: Storage::new(env).propagation(Propagation::Scope),
            records: RefCell::default(),
            held: RefCell::default(),
            first,
            last_value: Cell::new(0),
            is_dropped: Cell::new(false),
            is_over: Cell::new(false),
            due_calls: Cell::new(0),
        })
    }

    /// A value that no task has had.
    pub(super) fn new_value(&self) -> u64 {
        self.last_value.set(self.last_value.get() + 1);
        self.last_value.get()
    }

    pub(super) fn current(&self) -> Option<u64> {
        self.value.get().as_deref().copied()
    }

    /// The storages have what the task has, and nothing of others.
    pub(super) fn check_values(&self, record: &Record, when: &str) {
        assert_eq!(self.current(), record.value.get(), "the value of task {} {when}", record.number);
        assert_eq!(self.scoped.get(), None, "the value of a scope in task {} {when}", record.number);
    }

    /// Outside of all tasks there are no values.
    pub(super) fn check_outside(&self) {
        assert_eq!((self.current(), self.scoped.get()), (None, None), "values outside of all tasks");
    }

    /// Its tasks are dropped, now or soon.
    pub(super) fn is_dropped(&self) -> bool {
        self.is_dropped.get()
    }

    pub(super) fn drops(&self) {
        self.is_dropped.set(true);
        self.records.borrow().iter().for_each(|record| record.may_be_dropped.set(true));
    }

    pub(super) fn have_ended(&self) -> bool {
        self.records.borrow().iter().all(|record| record.has_ended())
    }

    pub(super) fn may_begin(&self) -> bool {
        !self.is_over.get() && self.records.borrow().len() < MOST_TASKS
    }

    fn record(&self) -> Rc<Record> {
        let mut records = self.records.borrow_mut();
        let record = Rc::new(Record { number: self.first + records.len(), ..Record::default() });
        record.value.set(self.current());
        record.may_be_dropped.set(self.is_dropped.get());
        records.push(Rc::clone(&record));
        record
    }

    fn future(self: &Rc<Self>, record: &Rc<Record>) -> Watched {
        let body = steps::task(Rc::clone(self), Rc::clone(record));
        Watched::new(self, record, body, one_in(2))
    }

    /// Begins a task, with a value of its own or with that of its cause.
    pub(super) fn spawn(self: &Rc<Self>) -> Held {
        let begin = || {
            let record = self.record();
            record.may_panic.set(true);
            let handle = Handle::Join(self.env.spawn_local(self.future(&record)));
            Held { record, handle }
        };
        if one_in(2) { self.value.run(self.new_value(), begin) } else { begin() }
    }

    /// Begins a task that has run up to its first wait when this returns.
    fn start(self: &Rc<Self>) {
        let record = self.record();
        let future = self.future(&record);
        let task = self.env.start_detached(async move {
            future.await;
        });
        assert_eq!(task.is_none(), record.has_ended(), "task {} ended with its first poll", record.number);
        if let Some(task) = task {
            self.hold(Held { record, handle: Handle::Task(task) });
        }
    }

    pub(super) fn hold(&self, held: Held) {
        self.held.borrow_mut().push(held);
    }

    /// Takes a task whose handle is held.
    pub(super) fn any_held(&self) -> Option<Held> {
        let mut held = self.held.borrow_mut();
        let at = dice(held.len() as u64) as usize;
        if held.is_empty() { None } else { Some(held.swap_remove(at)) }
    }

    /// Aborts a task: it is dropped at once, unless it runs.
    pub(super) fn abort(&self, Held { record, handle }: &Held) {
        let number = record.number;
        if !record.has_ended() {
            record.is_aborted.set(true);
        }
        match handle {
            Handle::Join(handle) => {
                handle.abort();
                assert_eq!(
                    handle.is_finished(),
                    record.has_ended(),
                    "is_finished of the aborted task {number}"
                );
            }
            Handle::Task(handle) => handle.abort(),
        }
        assert!(record.has_ended() || record.is_polled.get(), "the aborted task {number} is still there");
    }

    /// Does something, from outside of all tasks or in one.
    pub(super) fn act(self: &Rc<Self>) {
        match dice(10) {
            0..4 if self.may_begin() => {
                let held = self.spawn();
                // Else the task goes on without its handle.
                if !one_in(4) {
                    self.hold(held);
                }
            }
            4 if self.may_begin() => self.start(),
            5 => {
                if let Some(held) = self.any_held() {
                    self.abort(&held);
                    self.hold(held);
                }
            }
            _ => self.open_one(),
        }
    }

    pub(super) fn open_one(&self) {
        self.gates[dice(self.gates.len() as u64) as usize].open(&self.env);
    }
}
