//! Helpers of this crate's tests: a log, a hook that writes to it, and an assertion that no handle is left alive.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use async_wrap::{AsyncHook, AsyncId, Environment, Provider};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use uv_core::{Loop, RunMode};

/// The logged events, in order. Clones share the log.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn push(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// Returns a callback that logs `what`.
    pub fn note(&self, what: &str) -> impl FnMut() + 'static {
        let log = self.clone();
        let what = what.to_owned();
        move || log.push(what.clone())
    }

    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// How many entries begin with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        self.0.borrow().iter().filter(|entry| entry.starts_with(prefix)).count()
    }
}

/// A hook that logs every event: `init 2 Timeout 1`, `before 2`, `after 2`, `destroy 2`.
pub struct Recorder(pub Log);

impl AsyncHook for Recorder {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        self.0.push(format!("init {id} {provider} {trigger}"));
    }

    fn on_before(&mut self, id: AsyncId) {
        self.0.push(format!("before {id}"));
    }

    fn on_after(&mut self, id: AsyncId) {
        self.0.push(format!("after {id}"));
    }

    fn on_destroy(&mut self, id: AsyncId) {
        self.0.push(format!("destroy {id}"));
    }
}

pub fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("the system has descriptors left");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// Runs until no handle is alive, and asserts that only the environment's handles are open, and that no task is left.
pub fn run_to_the_end(event_loop: &Loop, env: &Environment) {
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    assert_eq!(env.tasks(), 0, "{}", env.why_pending());
    close(event_loop, env);
}

pub fn close(event_loop: &Loop, env: &Environment) {
    env.close();
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    event_loop.close().expect("nothing is open");
}

/// Runs until a callback panics. Returns the panic's message.
pub fn run_to_a_panic(env: &Environment) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| env.run(RunMode::Default))).expect_err("a callback panics");
    panic.downcast_ref::<&str>().map(ToString::to_string).expect("panics with a plain text")
}
