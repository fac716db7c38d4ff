//! Work in the thread pool, through the public interface.

mod alone;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use uv_core::threads::Work;
use uv_core::{Errno, Loop, LoopHandle, RunMode};

/// The pool belongs to the whole process: one test at a time may fill it.
fn pool() -> MutexGuard<'static, ()> {
    static POOL: Mutex<()> = Mutex::new(());
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pool_size() -> usize {
    std::env::var("UV_THREADPOOL_SIZE").map_or(4, |size| size.parse().map_or(1, |size: usize| size.max(1)))
}

fn finish(event_loop: &Loop) {
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"), "nothing is left alive");
    event_loop.close().expect("nothing is left open");
}

/// Occupies every thread of the pool until the senders are dropped.
fn fill_pool(event_loop: &LoopHandle) -> Vec<(Work, Sender<()>)> {
    let (running, wait_running) = mpsc::channel();
    let fill = |_| {
        let running = running.clone();
        let (release, released): (Sender<()>, Receiver<()>) = mpsc::channel();
        let work = move || {
            running.send(()).expect("the test waits");
            released.recv().expect_err("released by a drop");
        };
        (event_loop.queue_work(work, |done| assert_eq!(done, Ok(()))), release)
    };
    let filled: Vec<_> = (0..pool_size()).map(fill).collect();
    (0..pool_size()).for_each(|_| wait_running.recv().expect("the work runs"));
    filled
}

// libuv: threadpool_queue_work_simple
#[test]
fn work_runs_elsewhere_and_its_result_comes_back_to_the_loops_thread() {
    let _pool = pool();
    let event_loop = Loop::new().expect("a loop");
    let here = thread::current().id();
    let done = Rc::new(Cell::new(false));
    let after = {
        let done = Rc::clone(&done);
        move |elsewhere| {
            assert_ne!(elsewhere, Ok(here));
            assert_eq!(thread::current().id(), here);
            done.set(true);
        }
    };
    event_loop.queue_work(|| thread::current().id(), after);
    assert!(!done.get(), "never from inside the call");
    assert!(event_loop.is_alive(), "the request keeps the loop alive");
    assert_eq!(event_loop.close().expect_err("a request is in flight").errno(), Errno::EBUSY);
    finish(&event_loop);
    assert!(done.get());
}

// libuv: threadpool_cancel_work, threadpool_cancel_single
#[test]
fn cancelling_queued_work_reports_ecanceled_later() {
    let _pool = pool();
    let event_loop = Loop::new().expect("a loop");
    let filled = fill_pool(&event_loop);
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let queue = |number: usize| {
        let outcomes = Rc::clone(&outcomes);
        let after = move |result: Result<(), _>| outcomes.borrow_mut().push((number, result));
        event_loop.queue_work(|| unreachable!("cancelled"), after)
    };
    let queued: Vec<_> = (0..16).map(queue).collect();
    for work in &queued {
        work.cancel().expect("it has not begun");
        assert_eq!(work.cancel().expect_err("cancelled already").errno(), Errno::EBUSY);
    }
    assert!(outcomes.borrow().is_empty(), "never from inside the call");
    drop(filled);
    finish(&event_loop);
    assert_eq!(outcomes.borrow().len(), 16, "each is reported once");
    for (index, (number, result)) in outcomes.take().into_iter().enumerate() {
        let error = result.expect_err("cancelled");
        assert_eq!((index, error.op(), error.errno()), (number, "queue_work", Errno::ECANCELED));
    }
}

// libuv: threadpool_cancel_when_busy
#[test]
fn cancelling_running_or_finished_work_is_ebusy_and_changes_nothing() {
    let _pool = pool();
    let event_loop = Loop::new().expect("a loop");
    let filled = fill_pool(&event_loop);
    let (works, releases): (Vec<_>, Vec<_>) = filled.into_iter().unzip();
    for work in &works {
        assert_eq!(work.cancel().expect_err("it runs").errno(), Errno::EBUSY);
    }
    drop(releases);
    finish(&event_loop);
    for work in &works {
        assert_eq!(work.cancel().expect_err("it is done").errno(), Errno::EBUSY);
    }
    finish(&event_loop);
}

// libuv: threadpool_multiple_event_loops
#[test]
fn several_loops_share_the_pool_and_each_gets_its_own_completions() {
    const LOOPS: usize = 4;
    const REQUESTS: usize = 50;
    let _pool = pool();
    let run = |number: usize| {
        let event_loop = Loop::new().expect("a loop");
        let results = Rc::new(RefCell::new(Vec::new()));
        for request in 0..REQUESTS {
            let results = Rc::clone(&results);
            event_loop.queue_work(
                move || number * REQUESTS + request,
                move |result| {
                    results.borrow_mut().push(result.expect("not cancelled"));
                },
            );
        }
        finish(&event_loop);
        let mut results = results.take();
        results.sort_unstable();
        assert_eq!(results, (number * REQUESTS..(number + 1) * REQUESTS).collect::<Vec<_>>());
    };
    thread::scope(|scope| {
        for number in 0..LOOPS {
            scope.spawn(move || run(number));
        }
    });
}

// libuv: loop_instant_close
#[test]
fn the_process_ends_although_work_runs_and_work_waits() {
    let name = "the_process_ends_although_work_runs_and_work_waits";
    let status = alone::status(
        name,
        |_| {},
        || {
            let event_loop = Loop::new().expect("a loop");
            for _ in 0..2 * pool_size() {
                event_loop.queue_work(
                    || loop {
                        thread::park()
                    },
                    |_: Result<(), _>| unreachable!(),
                );
            }
        },
    );
    assert!(status.is_none_or(|status| status.success()));
}

// libuv: thread_name_threadpool
#[test]
fn the_pool_has_the_configured_number_of_threads_with_a_name() {
    let name = "the_pool_has_the_configured_number_of_threads_with_a_name";
    let configure = |command: &mut std::process::Command| {
        command.env("UV_THREADPOOL_SIZE", "3");
    };
    let status = alone::status(name, configure, || {
        let event_loop = Loop::new().expect("a loop");
        drop(fill_pool(&event_loop));
        finish(&event_loop);
        let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
        let names = tasks.map(|task| {
            let path = task.expect("a thread").path().join("comm");
            std::fs::read_to_string(path).expect("a thread's name")
        });
        assert_eq!(names.filter(|name| name == "uv-worker\n").count(), 3);
    });
    assert!(status.is_none_or(|status| status.success()));
}

#[test]
fn a_panic_in_the_work_comes_out_of_run_and_harms_neither_pool_nor_loop() {
    let _pool = pool();
    let event_loop = Loop::new().expect("a loop");
    for _ in 0..2 * pool_size() {
        let after = |_: Result<(), _>| unreachable!("there is no result");
        event_loop.queue_work(|| resume_unwind(Box::new("expected by the test")), after);
        let run = catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default)));
        let panic = run.expect_err("the panic comes out of run");
        assert_eq!(panic.downcast_ref(), Some(&"expected by the test"));
        assert!(!event_loop.is_alive());
    }
    let sum = Rc::new(Cell::new(0));
    let after = {
        let sum = Rc::clone(&sum);
        move |result: Result<i32, _>| sum.set(result.expect("not cancelled"))
    };
    event_loop.queue_work(|| 1 + 1, after);
    finish(&event_loop);
    assert_eq!(sum.get(), 2);
}

#[test]
fn dropping_the_loop_drops_callbacks_and_work_that_has_not_begun() {
    let _pool = pool();
    let event_loop = Loop::new().expect("a loop");
    let mut filled = fill_pool(&event_loop);
    let (in_work, in_after) = (Arc::new(()), Rc::new(()));
    let (held, held_after) = (Arc::clone(&in_work), Rc::clone(&in_after));
    let queued = event_loop.queue_work(move || drop(held), move |_| drop(held_after));
    drop(event_loop);
    assert_eq!(Arc::strong_count(&in_work), 1, "the work is dropped");
    assert_eq!(Rc::strong_count(&in_after), 1, "the callback is dropped");
    assert_eq!(queued.cancel().expect_err("given up already").errno(), Errno::EBUSY);
    filled.clear();
}

#[test]
fn work_queued_by_a_callback_is_done_in_the_same_run() {
    const CHAIN: u32 = 20;
    let _pool = pool();
    let event_loop = Loop::new().expect("a loop");
    let done = Rc::new(Cell::new(0));
    fn next(event_loop: &LoopHandle, done: Rc<Cell<u32>>) {
        let again = event_loop.clone();
        event_loop.queue_work(
            || 1,
            move |one| {
                done.set(done.get() + one.expect("not cancelled"));
                if done.get() < CHAIN {
                    next(&again, done);
                }
            },
        );
    }
    next(&event_loop, Rc::clone(&done));
    finish(&event_loop);
    assert_eq!(done.get(), CHAIN);
}
