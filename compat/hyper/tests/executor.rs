//! Futures of hyper as tasks of the loop.

mod common;

use common::{finish, new_loop};
use hyper::rt::Executor;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use upcall_hyper::LoopExecutor;

#[test]
fn a_future_that_is_not_send_runs_to_its_end() {
    let (event_loop, env) = new_loop();
    let executor = LoopExecutor::new(&env);
    let (ran, sleep) = (Rc::new(Cell::new(false)), env.sleep(Duration::from_millis(1)));
    let seen = Rc::clone(&ran);
    executor.execute(async move {
        sleep.await;
        seen.set(true);
        "a value"
    });
    finish(&event_loop, &env);
    assert!(ran.get());
}
