//! What the cases are written with: the functions of Node under their names, on an environment of this thread.

use async_wrap::{Environment, Immediate, Timeout};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

thread_local! {
    static STAGE: RefCell<Option<Environment>> = const { RefCell::new(None) };
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

pub(crate) type Case = (&'static str, fn());

/// Plays a case until the loop has nothing left of it. Returns what it said.
pub(crate) fn play(case: fn()) -> Vec<String> {
    let env = Environment::with_new_loop().expect("a loop");
    STAGE.set(Some(env.clone()));
    set_timeout(1, case);
    while let Err(error) = catch_unwind(AssertUnwindSafe(|| env.run_to_end().expect("the loop runs"))) {
        say(format!("uncaught: {}", words_of(&*error)));
    }
    STAGE.take();
    LINES.take()
}

pub(crate) fn env() -> Environment {
    STAGE.with_borrow(|stage| stage.clone().expect("a case is played"))
}

/// `console.log`
pub(crate) fn say(line: impl Into<String>) {
    LINES.with_borrow_mut(|lines| lines.push(line.into()));
}

pub(crate) fn next_tick(callback: impl FnOnce() + 'static) {
    env().next_tick(callback);
}

pub(crate) fn queue_microtask(callback: impl FnOnce() + 'static) {
    env().queue_microtask(callback);
}

pub(crate) fn set_immediate(callback: impl FnOnce() + 'static) -> Immediate {
    env().set_immediate(callback)
}

pub(crate) fn set_timeout(milliseconds: u64, callback: impl FnOnce() + 'static) -> Timeout {
    env().set_timeout(Duration::from_millis(milliseconds), callback)
}

/// Calls an async function: it runs up to its first `await` now.
pub(crate) fn call(future: impl Future<Output = ()> + 'static) {
    env().start_detached(future);
}

/// One pass through the queue of microtasks.
pub(crate) async fn step() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Says each pass through the queue of microtasks.
pub(crate) fn count(passes: u32) {
    fn pass(number: u32, passes: u32) {
        queue_microtask(move || {
            say(format!("pass {number}"));
            if number < passes {
                pass(number + 1, passes);
            }
        });
    }
    pass(1, passes);
}

/// A promise that several may await.
#[derive(Clone, Default)]
pub(crate) struct Gate(Rc<(Cell<bool>, RefCell<Vec<Waker>>)>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.0.set(true);
        self.0.1.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) async fn passed(&self) {
        poll_fn(|context| {
            if self.0.0.get() {
                return Poll::Ready(());
            }
            self.0.1.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

pub(crate) fn spin(milliseconds: u64) {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < until {}
}

/// A panic that says nothing by itself.
pub(crate) fn fail(words: &'static str) {
    resume_unwind(Box::new(words));
}

pub(crate) fn words_of(error: &(dyn Any + Send)) -> &'static str {
    error.downcast_ref::<&'static str>().expect("words")
}
