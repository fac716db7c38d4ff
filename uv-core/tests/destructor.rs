//! A destructor that panics loses only its own value: not the other values of a dropped loop, not the rest of a
//! handle's close, and not a thread of the pool.

mod alone;
mod common;

use common::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;
use uv_core::{Async, Idle, Loop, RunMode, Signal, Tcp, Timer};

const SIGUSR1: i32 = 10;

/// Counts its drop, and panics in it if `explodes` is set.
struct Bomb {
    dropped: Rc<Cell<usize>>,
    explodes: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
        if self.explodes {
            resume_unwind(Box::new("in a destructor"));
        }
    }
}

/// Runs code that must panic.
fn panics(run: impl FnOnce()) {
    let caught = catch_unwind(AssertUnwindSafe(run));
    assert!(caught.is_err(), "a destructor panics");
}

/// Fills every place of a loop in which it keeps a program's value, with two values each, of which one panics when it
/// is dropped. Returns the number of values.
fn fill(event_loop: &Loop, dropped: &Rc<Cell<usize>>) -> usize {
    let made = Cell::new(0_usize);
    let bomb = || {
        made.set(made.get() + 1);
        Bomb { dropped: Rc::clone(dropped), explodes: made.get() & 1 == 0 }
    };
    for _ in 0..2 {
        let inside = bomb();
        let timer = Timer::new(event_loop);
        timer.start(Duration::from_secs(9), Duration::ZERO, move |_: &Timer| hold(&inside)).expect("start");
        let inside = bomb();
        Idle::new(event_loop).start(move |_: &Idle| hold(&inside)).expect("start");
        let inside = bomb();
        Signal::new(event_loop).start(SIGUSR1, move |_: &Signal, _| hold(&inside)).expect("start");
        let inside = bomb();
        let _ = Async::new(event_loop, move |_: &Async| hold(&inside));
        let inside = bomb();
        let tcp = Tcp::new(event_loop);
        tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_close(move || hold(&inside)));
        let inside = bomb();
        let listener = Tcp::new(event_loop);
        listener.listen_with(1, move |_, _| hold(&inside)).expect("listen");
        let inside = bomb();
        let closing = Timer::new(event_loop);
        closing.close_with(move || hold(&inside));
        let inside = bomb();
        event_loop.queue_work(|| {}, move |_| hold(&inside));
    }
    made.get()
}

fn one_thread(command: &mut Command) {
    command.env("UV_THREADPOOL_SIZE", "1");
}

#[test]
fn a_loop_dropped_drops_everything_although_destructors_panic_and_then_panics() {
    let name = "a_loop_dropped_drops_everything_although_destructors_panic_and_then_panics";
    // In a separate process, because it counts the process's descriptors.
    let body = || {
        let before = open_fds();
        let dropped = Rc::new(Cell::new(0));
        let event_loop = Loop::new().expect("a loop");
        let clone = event_loop.clone();
        let made = fill(&event_loop, &dropped);
        panics(|| drop(event_loop));
        assert_eq!(dropped.get(), made);
        assert!(!clone.is_alive() && clone.handles().is_empty());
        drop(clone);
        // The only thread of the pool has dropped the work before this one.
        let event_loop = test_loop();
        event_loop.queue_work(|| {}, |_| {});
        event_loop.finish();
        assert_eq!(open_fds(), before);
    };
    assert!(alone::status(name, one_thread, body).is_none_or(|status| status.success()));
}

#[test]
fn a_destructor_that_panics_in_the_close_phase_keeps_neither_the_callback_nor_the_handle() {
    let event_loop = test_loop();
    let (dropped, closed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    for _ in 0..3 {
        let inside = Bomb { dropped: Rc::clone(&dropped), explodes: true };
        let timer = Timer::new(&event_loop);
        timer.start(Duration::from_secs(9), Duration::ZERO, move |_: &Timer| hold(&inside)).expect("start");
        let count = Rc::clone(&closed);
        timer.close_with(move || count.set(count.get() + 1));
    }
    for _ in 0..3 {
        panics(|| while event_loop.run(RunMode::Once).expect("run") {});
    }
    event_loop.finish();
    assert_eq!((dropped.get(), closed.get()), (3, 3));
}

/// Panics when it is dropped, on any thread.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        resume_unwind(Box::new("on purpose"));
    }
}

#[test]
fn a_result_that_panics_in_a_thread_of_the_pool_does_not_end_the_thread() {
    let name = "a_result_that_panics_in_a_thread_of_the_pool_does_not_end_the_thread";
    let body = || {
        let event_loop = Loop::new().expect("a loop");
        let (running, runs) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        event_loop.queue_work(
            move || {
                running.send(()).expect("the test waits");
                released.recv().expect_err("released by a drop");
                Mine
            },
            |_| unreachable!("the loop is dropped"),
        );
        runs.recv().expect("the work runs");
        drop(event_loop);
        drop(release);
        let event_loop = test_loop();
        let done = Rc::new(Cell::new(false));
        let set = Rc::clone(&done);
        event_loop.queue_work(|| {}, move |result| set.set(result.is_ok()));
        event_loop.finish();
        assert!(done.get());
    };
    assert!(alone::status(name, one_thread, body).is_none_or(|status| status.success()));
}
