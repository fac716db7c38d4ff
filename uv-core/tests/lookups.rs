//! Look-ups beside other work in the pool: their lane, and how they are cancelled.

mod alone;
mod common;
#[path = "../../tests/shared/dns.rs"]
mod dns;

use common::{TestLoop, test_loop};
use dns::{Reply, in_namespace, serve};
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;
use uv_core::names::{AddrFlags, AddrQuery, NameQuery};
use uv_core::{Errno, Loop, LoopHandle, RunMode};

const THREADS: usize = 4;

/// The order in which requests ended, by their names.
type Order = Rc<RefCell<Vec<&'static str>>>;

/// Occupies this many threads of the pool until the senders are dropped.
fn occupy(event_loop: &LoopHandle, threads: usize, ended: impl Fn() + Clone + 'static) -> Vec<Sender<()>> {
    let (running, wait_running) = mpsc::channel();
    let occupy_one = |_| {
        let (running, ended) = (running.clone(), ended.clone());
        let (release, released) = mpsc::channel::<()>();
        let work = move || {
            running.send(()).expect("the test waits");
            released.recv().expect_err("released by a drop");
        };
        event_loop.queue_work(work, move |_| ended());
        release
    };
    let releases = (0..threads).map(occupy_one).collect();
    (0..threads).for_each(|_| wait_running.recv().expect("the work runs"));
    releases
}

/// Runs the test in a process whose pool has so many threads.
fn with_threads(test: &str, threads: usize, body: impl FnOnce()) {
    let prepare = |command: &mut Command| {
        command.env("UV_THREADPOOL_SIZE", threads.to_string());
    };
    let status = alone::status(test, prepare, body);
    assert!(status.is_none_or(|status| status.success()), "{test} fails in its process");
}

// libuv: threadpool_cancel_getaddrinfo, threadpool_cancel_getnameinfo
#[test]
fn a_look_up_that_waits_is_cancelled_and_reports_it_later() {
    with_threads("a_look_up_that_waits_is_cancelled_and_reports_it_later", THREADS, || {
        let event_loop = test_loop();
        let releases = occupy(&event_loop, THREADS, || {});
        let told = Rc::new(RefCell::new(Vec::new()));
        let (of_addresses, of_names) = (Rc::clone(&told), Rc::clone(&told));
        let addresses = event_loop
            .getaddrinfo(AddrQuery::new("localhost").service("80"), move |result| {
                of_addresses.borrow_mut().push(result.map(drop).expect_err("cancelled"));
            })
            .expect("it is asked");
        let names = event_loop.getnameinfo(NameQuery::new(([127, 0, 0, 1], 80).into()), move |result| {
            of_names.borrow_mut().push(result.map(drop).expect_err("cancelled"));
        });
        for request in [addresses, names] {
            request.cancel().expect("it waits");
            assert_eq!(request.cancel().expect_err("cancelled already").errno(), Errno::EBUSY);
        }
        assert!(told.borrow().is_empty(), "never from inside the call");
        drop(releases);
        event_loop.finish();
        let text = "getaddrinfo localhost: Request canceled (EAI_CANCELED)";
        assert_eq!(told.borrow()[0].to_string(), text);
        let errors: Vec<_> = told.borrow().iter().map(|error| (error.op(), error.errno())).collect();
        let cancelled = Errno::EAI_CANCELED;
        assert_eq!(errors, [("getaddrinfo", cancelled), ("getnameinfo", cancelled)]);
    });
}

#[test]
fn a_look_up_that_has_ended_is_not_cancelled() {
    let event_loop = test_loop();
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let request = event_loop.getaddrinfo(AddrQuery::new("127.0.0.1"), move |result| {
        assert!(result.is_ok());
        count.set(count.get() + 1);
    });
    let request = request.expect("it is asked");
    event_loop.until(|| told.get() == 1);
    assert_eq!(request.cancel().expect_err("it has ended").errno(), Errno::EBUSY);
    event_loop.finish();
    assert_eq!(told.get(), 1);
}

/// A server that does not answer.
fn silence() {
    serve(|name, _| match name {
        "silent.test" => Reply::Silence,
        _ => Reply::Addresses(vec![IpAddr::from([192, 0, 2, 1])]),
    });
}

fn ask(
    event_loop: &LoopHandle,
    host: &str,
    after: impl FnOnce(Option<Errno>) + 'static,
) -> uv_core::names::Lookup {
    let after = move |result: uv_core::Result<_>| after(result.err().map(|error| error.errno()));
    event_loop.getaddrinfo(AddrQuery::new(host), after).expect("it is asked")
}

#[test]
fn a_look_up_that_runs_is_cancelled_at_once_and_its_late_answer_is_dropped() {
    let name = "a_look_up_that_runs_is_cancelled_at_once_and_its_late_answer_is_dropped";
    in_namespace(name, "127.0.0.1 localhost\\n", || {
        let lock = Arc::new(Mutex::new(()));
        let (held, asked) = (lock.lock().expect("the test's lock"), Arc::new(AtomicBool::new(false)));
        let (of_server, is_asked) = (Arc::clone(&lock), Arc::clone(&asked));
        serve(move |name, _| {
            is_asked.store(true, Ordering::SeqCst);
            let reply = Box::new(Reply::Addresses(vec![IpAddr::from([192, 0, 2, 1])]));
            match name {
                "first.test" => Reply::Held(Arc::clone(&of_server), reply),
                _ => Reply::Late(Duration::from_millis(300), reply),
            }
        });
        let event_loop = test_loop();
        let told = Rc::new(RefCell::new(Vec::new()));
        let keep = || {
            let told = Rc::clone(&told);
            move |errno| told.borrow_mut().push(errno)
        };
        let first = ask(&event_loop, "first.test", keep());
        while !asked.load(Ordering::SeqCst) {
            event_loop.turn();
        }
        first.cancel().expect("it runs");
        assert_eq!(first.cancel().expect_err("cancelled").errno(), Errno::EBUSY);
        // Although the server has not answered.
        event_loop.until(|| !told.borrow().is_empty());
        // The key of the first request is this one's now; the late answer to the first does not end it.
        let second = ask(&event_loop, "second.test", keep());
        drop(held);
        event_loop.until(|| told.borrow().len() == 2);
        assert_eq!(*told.borrow(), [Some(Errno::EAI_CANCELED), None]);
        assert!(second.cancel().is_err());
        event_loop.finish();
    });
}

// libuv has no test of this: `slow_work_thread_threshold`, src/threadpool.c.
#[test]
fn a_hundred_look_ups_that_hang_leave_half_of_the_threads_to_other_work() {
    let name = "a_hundred_look_ups_that_hang_leave_half_of_the_threads_to_other_work";
    in_namespace(name, "127.0.0.1 localhost\\n", || {
        silence();
        let event_loop = test_loop();
        let told = Rc::new(Cell::new(0));
        let hang = |_| {
            let told = Rc::clone(&told);
            ask(&event_loop, "silent.test", move |_| told.set(told.get() + 1))
        };
        let hanging: Vec<_> = (0..100).map(hang).collect();
        let (together, done) = (Arc::new(Barrier::new(2)), Rc::new(Cell::new(0)));
        for _ in 0..2 {
            let (together, done) = (Arc::clone(&together), Rc::clone(&done));
            event_loop.queue_work(move || together.wait().is_leader(), move |_| done.set(done.get() + 1));
        }
        event_loop.until(|| done.get() == 2);
        assert!(told.get() < 50, "most look-ups have not ended");
        for request in hanging {
            let _ = request.cancel();
        }
        event_loop.finish();
        assert_eq!(told.get(), 100);
    });
}

#[test]
fn a_look_up_that_hangs_holds_up_no_other() {
    let name = "a_look_up_that_hangs_holds_up_no_other";
    in_namespace(name, "127.0.0.1 localhost\\n", || {
        silence();
        let event_loop = test_loop();
        let order = Order::default();
        let note = |name| {
            let order = Rc::clone(&order);
            move |_| order.borrow_mut().push(name)
        };
        let hanging = ask(&event_loop, "silent.test", note("silent"));
        ask(&event_loop, "other.test", note("other"));
        ask(&event_loop, "localhost", note("localhost"));
        event_loop.until(|| order.borrow().len() == 2);
        assert!(!order.borrow().contains(&"silent"));
        // It may have ended on a slow machine.
        let _ = hanging.cancel();
        event_loop.finish();
        assert_eq!(order.borrow().last(), Some(&"silent"));
    });
}

/// A request of each kind, which notes its end.
fn queue(event_loop: &TestLoop, order: &Order, name: &'static str, is_look_up: bool) {
    let order = Rc::clone(order);
    let after = move || order.borrow_mut().push(name);
    if is_look_up {
        let query = AddrQuery::new("127.0.0.1").flags(AddrFlags::NUMERICHOST);
        event_loop.getaddrinfo(query, move |_| after()).expect("it is asked");
    } else {
        event_loop.queue_work(|| {}, move |_| after());
    }
}

#[test]
fn look_ups_and_other_work_begin_in_the_order_in_which_they_were_queued() {
    with_threads("look_ups_and_other_work_begin_in_the_order_in_which_they_were_queued", 1, || {
        let event_loop = test_loop();
        let order = Order::default();
        let releases = occupy(&event_loop, 1, || {});
        let names = ["work", "look-up", "second work", "second look-up", "third look-up", "third work"];
        for name in names {
            queue(&event_loop, &order, name, name.contains("look-up"));
        }
        drop(releases);
        event_loop.finish();
        assert_eq!(*order.borrow(), names);
    });
}

#[test]
fn a_loop_that_is_dropped_calls_back_no_look_up() {
    let event_loop = Loop::new().expect("a loop");
    let kept = Rc::new(());
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let kept = Rc::clone(&kept);
            ask(&event_loop, "localhost", move |_| drop(kept))
        })
        .collect();
    event_loop.run(RunMode::NoWait).expect("a turn");
    let handle = LoopHandle::clone(&event_loop);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&kept), 1, "the callbacks are dropped");
    for request in requests {
        let _ = request.cancel();
    }
    let late = ask(&handle, "localhost", |_| unreachable!("the loop is dropped"));
    assert_eq!(late.cancel().expect_err("cancelled from the start").errno(), Errno::EBUSY);
}
