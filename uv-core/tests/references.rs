//! References: an unreferenced handle does not keep the loop alive, its requests do.

mod common;

use common::*;
use uv_core::handle::Handle;
use uv_core::{BindOptions, Check, Idle, Pipe, Prepare, RunMode, Stream, Tcp, Timer};

/// Runs the loop, which an unreferenced handle does not hold, and then closes the handle, which is reported.
fn does_not_hold(event_loop: TestLoop, handle: &Handle) {
    handle.unref();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    let log = Log::new();
    let closed = log.clone();
    handle.close_with(move || closed.add("closed"));
    assert!(log.lines().is_empty(), "never from inside the call");
    event_loop.finish();
    assert_eq!(log.take(), ["closed"]);
}

// libuv: ref
#[test]
fn a_loop_without_handles_returns_at_once() {
    let event_loop = test_loop();
    assert!(!event_loop.is_alive());
    event_loop.finish();
}

// libuv: has_ref
#[test]
fn a_handle_knows_whether_it_is_referenced() {
    let event_loop = test_loop();
    let idle = Idle::new(&event_loop);
    assert!(idle.has_ref(), "from the start");
    idle.ref_();
    assert!(idle.has_ref());
    idle.unref();
    assert!(!idle.has_ref());
    event_loop.close_and_finish();
}

// libuv: idle_ref
#[test]
fn an_unreferenced_idle_watcher_is_not_called() {
    let event_loop = test_loop();
    let idle = Idle::new(&event_loop);
    idle.start(|_: &Idle| unreachable!("the loop ends before")).expect("start");
    does_not_hold(event_loop, &idle);
}

// libuv: prepare_ref
#[test]
fn an_unreferenced_prepare_watcher_is_not_called() {
    let event_loop = test_loop();
    let prepare = Prepare::new(&event_loop);
    prepare.start(|_: &Prepare| unreachable!("the loop ends before")).expect("start");
    does_not_hold(event_loop, &prepare);
}

// libuv: check_ref
#[test]
fn an_unreferenced_check_watcher_is_not_called() {
    let event_loop = test_loop();
    let check = Check::new(&event_loop);
    check.start(|_: &Check| unreachable!("the loop ends before")).expect("start");
    does_not_hold(event_loop, &check);
}

// libuv: timer_ref, timer_ref2
#[test]
fn an_unreferenced_timer_does_not_fire_whether_it_is_started_or_not() {
    for started in [false, true] {
        let event_loop = test_loop();
        let timer = Timer::new(&event_loop);
        if started {
            let time = std::time::Duration::from_millis(42);
            timer.start(time, time, |_: &Timer| unreachable!("the loop ends before")).expect("start");
        }
        does_not_hold(event_loop, &timer);
    }
}

// libuv: tcp_ref, tcp_ref2
#[test]
fn an_unreferenced_socket_does_not_hold_the_loop_whether_it_listens_or_not() {
    for listens in [false, true] {
        let event_loop = test_loop();
        let tcp = Tcp::new(&event_loop);
        if listens {
            tcp.listen_with(128, |_, _| unreachable!("there is no client")).expect("listen");
        }
        does_not_hold(event_loop, &tcp);
    }
}

// libuv: pipe_ref, pipe_ref2
#[test]
fn an_unreferenced_pipe_does_not_hold_the_loop_whether_it_listens_or_not() {
    for listens in [false, true] {
        let event_loop = test_loop();
        let path = socket_path();
        let pipe = Pipe::new(&event_loop);
        if listens {
            pipe.bind(path.path()).expect("bind");
            pipe.listen_with(128, |_, _| unreachable!("there is no client")).expect("listen");
        }
        does_not_hold(event_loop, &pipe);
    }
}

/// What a client does as soon as it is connected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Shutdown,
    WriteAndShutdown,
}

impl Then {
    const BOTH: [Self; 2] = [Self::Shutdown, Self::WriteAndShutdown];

    /// A tower that connects, writes and shuts down, each in the upcall before.
    fn tower(self, log: &Log, client: &Stream) -> Tower {
        let (connected, written) = (client.clone(), client.clone());
        let tower = Tower::new(log, "client");
        match self {
            Self::Shutdown => tower.on_connect(move |_| connected.shutdown().expect("shutdown")),
            Self::WriteAndShutdown => tower
                .on_connect(move |_| connected.write(vec![0; 32_767]).expect("write"))
                .on_write(move |_| written.shutdown().expect("shutdown")),
        }
    }

    /// The requests of an unreferenced client hold the loop, one after another, and the client then does not.
    fn holds(self, event_loop: &TestLoop, log: &Log, client: &Handle) {
        client.unref();
        assert!(event_loop.is_alive(), "the connect is on its way");
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        let mut expected = vec!["client connect ok", "client write ok", "client shutdown ok"];
        expected.retain(|line| self == Self::WriteAndShutdown || !line.contains("write"));
        assert_eq!(log.take(), expected);
        client.close();
        event_loop.turn();
        assert_eq!(log.take(), ["client close"]);
    }
}

// libuv: tcp_ref3, tcp_ref4
#[test]
fn the_requests_of_an_unreferenced_socket_hold_the_loop() {
    for then in Then::BOTH {
        let event_loop = test_loop();
        let log = Log::new();
        let (server, addr) = bound(&event_loop);
        server.listen_with(128, |server, _| drop(server.accept().expect("accept"))).expect("listen");
        server.unref();
        let client = Tcp::new(&event_loop);
        client.set_upcall(then.tower(&log, &client));
        client.connect(addr).expect("connect");
        then.holds(&event_loop, &log, &client);
        event_loop.close_and_finish();
    }
}

// libuv: pipe_ref3, pipe_ref4
#[test]
fn the_requests_of_an_unreferenced_pipe_hold_the_loop() {
    for then in Then::BOTH {
        let event_loop = test_loop();
        let log = Log::new();
        let path = socket_path();
        let server = Pipe::new(&event_loop);
        server.bind(path.path()).expect("bind");
        server.listen_with(128, |server, _| drop(server.accept().expect("accept"))).expect("listen");
        server.unref();
        let client = Pipe::new(&event_loop);
        client.set_upcall(then.tower(&log, &client));
        client.connect(path.path()).expect("connect");
        then.holds(&event_loop, &log, &client);
        event_loop.close_and_finish();
    }
}

// On the port no socket listens: the refusal is a completion as well.
#[test]
fn a_refused_connect_of_an_unreferenced_socket_is_reported() {
    let event_loop = test_loop();
    let log = Log::new();
    let client = Tcp::new(&event_loop);
    client.bind(localhost(), BindOptions::default()).expect("bind");
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(closed_port()).expect("connect");
    client.unref();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["client connect ECONNREFUSED"]);
    event_loop.close_and_finish();
}
