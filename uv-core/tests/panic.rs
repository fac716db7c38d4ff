//! A panic in a callback unwinds out of `run` and leaves the loop usable: no event, completion or close is lost (law
//! 7).

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Check, Idle, Pipe, Prepare, RunMode, Tcp, Timer};

/// Runs until a callback panics.
fn run_into_panic(event_loop: &TestLoop) {
    let caught = catch_unwind(AssertUnwindSafe(|| while event_loop.run(RunMode::Once).expect("run") {}));
    assert!(caught.is_err(), "a callback panics");
}

/// Panics the first time.
fn panic_once() -> impl FnMut() + 'static {
    let first = Cell::new(true);
    move || {
        if first.replace(false) {
            resume_unwind(Box::new("on purpose"));
        }
    }
}

#[test]
fn a_timer_that_panics_leaves_the_other_due_ones_and_keeps_its_callback() {
    let event_loop = test_loop();
    let log = Log::new();
    for name in ["a", "b", "c"] {
        let (log, mut fail) = (log.clone(), panic_once());
        Timer::new(&event_loop)
            .start(Duration::ZERO, Duration::from_millis(1), move |timer: &Timer| {
                log.add(name);
                fail();
                timer.close();
            })
            .expect("start");
    }
    for _ in 0..3 {
        run_into_panic(&event_loop);
    }
    event_loop.finish();
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["a", "a", "b", "b", "c", "c"]);
}

#[test]
fn watchers_that_panic_run_again_in_the_next_iteration() {
    let event_loop = test_loop();
    let log = Log::new();
    let mut fails = (panic_once(), panic_once(), panic_once());
    let (a, b, c) = (log.clone(), log.clone(), log.clone());
    Idle::new(&event_loop)
        .start(move |_: &Idle| {
            a.add("idle");
            fails.0();
        })
        .expect("start");
    Prepare::new(&event_loop)
        .start(move |_: &Prepare| {
            b.add("prepare");
            fails.1();
        })
        .expect("start");
    Check::new(&event_loop)
        .start(move |_: &Check| {
            c.add("check");
            fails.2();
        })
        .expect("start");
    for _ in 0..3 {
        run_into_panic(&event_loop);
    }
    event_loop.turn();
    let expected = ["idle", "idle", "prepare", "idle", "prepare", "check", "idle", "prepare", "check"];
    assert_eq!(log.take(), expected);
    event_loop.close_and_finish();
}

#[test]
fn input_of_the_same_stream_and_of_others_survives_a_panic_in_on_read() {
    const STREAMS: usize = 10;
    let event_loop = test_loop();
    let log = Log::new();
    let mut peers = Vec::new();
    for _ in 0..STREAMS {
        let (tcp, peer) = connected(&event_loop);
        let mut fail = panic_once();
        tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |_| fail()));
        tcp.read_start().expect("read_start");
        peers.push(peer);
    }
    event_loop.turn();
    event_loop.turn();
    for peer in &mut peers {
        peer.write_all(b"x").expect("write");
    }
    // One batch, in which every stream panics once.
    for _ in 0..STREAMS {
        run_into_panic(&event_loop);
    }
    for peer in &mut peers {
        peer.write_all(b"yy").expect("write");
    }
    event_loop.until(|| log.count("tcp read 2") == STREAMS);
    assert_eq!(log.count("tcp read 1"), STREAMS);
    event_loop.close_and_finish();
}

#[test]
fn a_stream_that_panics_before_it_was_ever_watched_goes_on_reading() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    let mut fail = panic_once();
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |_| fail()));
    peer.write_all(b"x").expect("write");
    tcp.read_start().expect("read_start");
    run_into_panic(&event_loop);
    peer.write_all(b"yy").expect("write");
    event_loop.until(|| log.has("tcp read 2"));
    event_loop.close_and_finish();
}

#[test]
fn queued_output_goes_on_after_a_panic_in_on_read() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    let mut fail = panic_once();
    tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |_| fail()));
    tcp.read_start().expect("read_start");
    tcp.write(vec![1; 1 << 23]).expect("write");
    assert!(tcp.write_queue_size() > 0);
    event_loop.turn();
    // Input and room for output are reported by one event.
    let reader = std::thread::spawn(move || {
        peer.write_all(b"x").expect("write");
        std::io::copy(&mut peer, &mut std::io::sink()).expect("read")
    });
    run_into_panic(&event_loop);
    event_loop.until(|| log.has("tcp write ok"));
    event_loop.close_and_finish();
    assert_eq!(reader.join().expect("join"), 1 << 23);
}

#[test]
fn ended_writes_and_the_shutdown_are_reported_after_a_panic_in_on_write() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    let mut fail = panic_once();
    tcp.set_upcall(Tower::new(&log, "tcp").on_write(move |_| fail()));
    for _ in 0..3 {
        tcp.write("x").expect("write");
    }
    tcp.shutdown().expect("shutdown");
    run_into_panic(&event_loop);
    assert_eq!(log.take(), ["tcp write ok"]);
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!(log.take(), ["tcp write ok", "tcp write ok", "tcp shutdown ok"]);
    event_loop.close_and_finish();
}

#[test]
fn writes_behind_a_connect_are_sent_or_cancelled_after_a_panic_in_on_connect() {
    for refused in [false, true] {
        let event_loop = test_loop();
        let log = Log::new();
        // The server keeps the connection: its end would be another event of the client's.
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&accepted);
        let (_server, addr) = serve(&event_loop, move |connection| kept.borrow_mut().push(connection));
        let addr = if refused { closed_port() } else { addr };
        let client = Tcp::new(&event_loop);
        let mut fail = panic_once();
        client.set_upcall(Tower::new(&log, "client").on_connect(move |_| fail()));
        client.connect(addr).expect("connect");
        client.write("hello").expect("write");
        run_into_panic(&event_loop);
        event_loop.until(|| log.lines().len() == 2);
        let lines = if refused {
            ["client connect ECONNREFUSED", "client write ECANCELED"]
        } else {
            ["client connect ok", "client write ok"]
        };
        assert_eq!(log.take(), lines);
        event_loop.close_and_finish();
    }
}

#[test]
fn a_connect_known_at_once_is_not_lost_to_anothers_panic() {
    let event_loop = test_loop();
    let log = Log::new();
    let mut fails = Vec::new();
    for name in ["first", "second"] {
        let pipe = Pipe::new(&event_loop);
        let mut fail = panic_once();
        pipe.set_upcall(Tower::new(&log, name).on_connect(move |_| fail()));
        pipe.connect("/no/such/path").expect("connect");
        fails.push(pipe);
    }
    run_into_panic(&event_loop);
    run_into_panic(&event_loop);
    assert_eq!(log.take(), ["first connect ENOENT", "second connect ENOENT"]);
    fails.clear();
    event_loop.close_and_finish();
}

#[test]
fn waiting_connections_are_announced_after_a_panic_in_on_connection() {
    for batch in [1, 8] {
        let event_loop = test_loop();
        let accepted = Rc::new(Cell::new(0));
        let (server, addr) = bound(&event_loop);
        server.set_accept_batch(batch);
        let (listener, count, mut fail) = (server.clone(), Rc::clone(&accepted), panic_once());
        server
            .listen_with(16, move |_, _| {
                fail();
                listener.accept().expect("accept").close();
                count.set(count.get() + 1);
            })
            .expect("listen");
        let _peers: Vec<_> = (0..4).map(|_| TcpStream::connect(addr).expect("connect")).collect();
        run_into_panic(&event_loop);
        // The connection whose announcement panicked is waiting to be taken.
        server.accept().expect("accept").close();
        event_loop.until(|| accepted.get() == 3);
        event_loop.close_and_finish();
    }
}

#[test]
fn a_close_that_panics_half_way_is_finished_by_the_next_run() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    let mut fails = (panic_once(), panic_once(), panic_once(), panic_once());
    tcp.set_upcall(
        Tower::new(&log, "tcp")
            .on_write(move |_| fails.0())
            .on_shutdown(move |_| fails.1())
            .on_close(move || fails.2()),
    );
    tcp.write(vec![0; 1 << 23]).expect("write");
    tcp.write("behind").expect("write");
    tcp.shutdown().expect("shutdown");
    let closed = log.clone();
    tcp.close_with(move || {
        closed.add("closed");
        fails.3();
    });
    // Other handles that close in the same phase are not affected.
    let other = log.clone();
    Timer::new(&event_loop).close_with(move || other.add("other closed"));
    for _ in 0..4 {
        run_into_panic(&event_loop);
    }
    event_loop.finish();
    let expected = [
        "other closed",
        "tcp write ECANCELED",
        "tcp write ECANCELED",
        "tcp shutdown ECANCELED",
        "tcp close",
        "closed",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_tower_whose_last_call_panics_is_dropped_all_the_same() {
    struct Dropped(Rc<Cell<u32>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let event_loop = test_loop();
    let drops = Rc::new(Cell::new(0));
    let (tcp, _peer) = connected(&event_loop);
    let token = Dropped(Rc::clone(&drops));
    tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_close(move || {
        let _ = &token;
        resume_unwind(Box::new("on purpose"));
    }));
    tcp.close();
    run_into_panic(&event_loop);
    event_loop.finish();
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_stop_before_a_panic_does_not_stop_the_next_run() {
    let event_loop = test_loop();
    let timer = Timer::new(&event_loop);
    let mut fail = panic_once();
    timer
        .start(Duration::ZERO, Duration::from_millis(1), move |timer: &Timer| {
            timer.loop_handle().stop();
            fail();
            timer.close();
        })
        .expect("start");
    run_into_panic(&event_loop);
    assert_eq!(event_loop.run(RunMode::Default), Ok(true), "stopped by itself");
    event_loop.finish();
}

#[test]
fn a_notice_survives_a_panic_before_it() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    let mut fail = panic_once();
    tcp.set_upcall(Tower::new(&log, "tcp").on_write(move |_| fail()));
    tcp.write("x").expect("write");
    tcp.notify();
    run_into_panic(&event_loop);
    event_loop.until(|| log.has("tcp notify"));
    assert_eq!(log.take(), ["tcp write ok", "tcp notify"]);
    event_loop.close_and_finish();
}

#[test]
fn a_loop_dropped_after_a_panic_drops_everything() {
    let drops = Rc::new(());
    let event_loop = test_loop();
    let keep: Rc<RefCell<Vec<Tcp>>> = Rc::default();
    for _ in 0..3 {
        let (tcp, mut peer) = connected(&event_loop);
        let (token, inside) = (Rc::clone(&drops), tcp.clone());
        tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_read(move |_| {
            let _ = (&token, &inside);
            resume_unwind(Box::new("on purpose"));
        }));
        tcp.read_start().expect("read_start");
        peer.write_all(b"x").expect("write");
        keep.borrow_mut().push(tcp);
    }
    run_into_panic(&event_loop);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&drops), 1);
}
