//! The laws of upcalls and ownership: which code calls which, which value owns which, and that nothing leaks.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use uv_core::Stream;
use uv_core::upcall::StreamUpcall;
use uv_core::{Async, Check, Errno, Error, Idle, Loop, Pipe, Prepare, RunMode, Tcp, Timer};

/// Counts how often towers are dropped.
#[derive(Clone, Default)]
struct Drops(Rc<Cell<usize>>);

struct Counted(Drops);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() + 1);
    }
}

/// An echo that closes at the peer's end.
struct Echo {
    _counted: Counted,
}

impl StreamUpcall for Echo {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        stream.write(data.to_vec()).expect("write");
    }

    fn on_end(&mut self, stream: &Stream) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        stream.close();
    }
}

// libuv: callback_stack
#[test]
fn no_downcall_calls_up() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let (tcp, mut peer) = connected(&event_loop);
    peer.write_all(b"there already").expect("write");
    tcp.set_upcall(Tower::new(&log, "tcp"));
    let pipe = Pipe::new(&event_loop);
    pipe.set_upcall(Tower::new(&log, "pipe"));
    tcp.read_start().expect("read_start");
    tcp.write("x").expect("write");
    tcp.notify();
    tcp.shutdown().expect("shutdown");
    pipe.connect(path.path()).expect("connect");
    pipe.write("x").expect("write");
    pipe.close();
    tcp.close();
    assert!(log.lines().is_empty());
    event_loop.finish();
    let expected = [
        "tcp write ok",
        "tcp shutdown ok",
        "tcp close",
        "pipe connect ECANCELED",
        "pipe write ECANCELED",
        "pipe close",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_callback_may_close_itself_its_peer_and_anything_else() {
    let event_loop = test_loop();
    let log = Log::new();
    let accepted: Rc<RefCell<Vec<Tcp>>> = Rc::default();
    let (kept, seen) = (Rc::clone(&accepted), log.clone());
    let (server, addr) = serve(&event_loop, move |connection| {
        connection.set_upcall(Tower::new(&seen, "server"));
        connection.write("hello").expect("write");
        kept.borrow_mut().push(connection);
    });
    let client = Tcp::new(&event_loop);
    let (this, others) = (client.clone(), Rc::clone(&accepted));
    client.set_upcall(
        Tower::new(&log, "client")
            .on_connect({
                let this = client.clone();
                move |_| this.read_start().expect("read_start")
            })
            .on_read(move |_| {
                this.close();
                others.borrow()[0].close();
                server.close();
                this.loop_handle().close_all();
            }),
    );
    client.connect(addr).expect("connect");
    event_loop.finish();
    assert_eq!((log.count("client close"), log.count("server close")), (1, 1));
    accepted.borrow_mut().clear();
}

#[test]
fn a_tower_replaced_in_its_own_call_is_dropped_after_it_and_the_new_one_takes_over() {
    let event_loop = test_loop();
    let log = Log::new();
    let drops = Drops::default();
    let (tcp, mut peer) = connected(&event_loop);
    let (this, seen, counted, count) = (tcp.clone(), log.clone(), Counted(drops.clone()), drops.clone());
    tcp.set_upcall(Tower::new(&log, "old").on_read(move |_| {
        let _ = &counted;
        this.set_upcall(Tower::new(&seen, "new"));
        assert_eq!(count.0.get(), 0, "not under its own feet");
    }));
    tcp.read_start().expect("read_start");
    peer.write_all(&vec![0; 70_000]).expect("write");
    event_loop.until(|| log.lines().len() >= 2);
    assert_eq!(drops.0.get(), 1);
    let lines = log.take();
    assert!(lines[0].starts_with("old read") && lines[1..].iter().all(|line| line.starts_with("new read")));
    event_loop.close_and_finish();
}

#[test]
fn a_destructor_of_a_tower_may_use_the_loop() {
    struct Meddler(Rc<RefCell<Vec<Tcp>>>, Timer);
    impl Drop for Meddler {
        fn drop(&mut self) {
            for tcp in self.0.borrow().iter() {
                tcp.close();
                let _ = tcp.write("x");
                tcp.set_upcall(Tower::new(&Log::new(), "late"));
            }
            self.1.close();
            let _ = self.1.start(Duration::ZERO, Duration::ZERO, |_: &Timer| {});
            let _ = Timer::new(self.1.loop_handle());
        }
    }
    for drop_the_loop in [false, true] {
        let event_loop = test_loop();
        let all: Rc<RefCell<Vec<Tcp>>> = Rc::default();
        for _ in 0..3 {
            let (tcp, _) = connected(&event_loop);
            let meddler = Meddler(Rc::clone(&all), Timer::new(&event_loop));
            tcp.set_upcall(Tower::new(&Log::new(), "tcp").on_close(move || {
                let _ = &meddler;
            }));
            all.borrow_mut().push(tcp);
        }
        if drop_the_loop {
            drop(event_loop);
        } else {
            all.borrow()[0].close();
            event_loop.turn();
            event_loop.close_and_finish();
        }
        all.borrow_mut().clear();
    }
}

#[test]
fn ten_thousand_connections_leave_no_descriptor_no_handle_and_no_tower() {
    const CONNECTIONS: usize = 10_000;
    const AT_ONCE: usize = 50;
    let event_loop = test_loop();
    let drops = Drops::default();
    let towers = Rc::new(Cell::new(0));
    let (count, made) = (drops.clone(), Rc::clone(&towers));
    let (server, addr) = serve(&event_loop, move |connection| {
        made.set(made.get() + 1);
        connection.set_upcall(Echo { _counted: Counted(count.clone()) });
        connection.read_start().expect("read_start");
    });
    server.set_accept_batch(16);
    let fds = open_fds();
    let peers = std::thread::spawn(move || {
        let mut answer = [0; 5];
        for _ in 0..CONNECTIONS / AT_ONCE {
            let mut peers: Vec<_> =
                (0..AT_ONCE).map(|_| TcpStream::connect(addr).expect("connect")).collect();
            for peer in &mut peers {
                peer.write_all(b"hello").expect("write");
            }
            for peer in &mut peers {
                peer.read_exact(&mut answer).expect("read");
                assert_eq!(&answer, b"hello");
            }
        }
    });
    event_loop.until(|| drops.0.get() == CONNECTIONS);
    peers.join().expect("join");
    assert_eq!(towers.get(), CONNECTIONS);
    assert_eq!(event_loop.handles().len(), 1, "the listener");
    // Other tests of this process open descriptors too.
    assert!(open_fds() < fds + AT_ONCE, "{} now, {fds} before", open_fds());
    event_loop.close_and_finish();
}

#[test]
fn a_dropped_loop_drops_every_tower_and_closes_every_descriptor_without_a_call() {
    let drops = Drops::default();
    let log = Log::new();
    let path = socket_path();
    let event_loop = test_loop();
    let counted = || Counted(drops.clone());
    let (server, addr) = bound(&event_loop);
    let token = counted();
    server.listen_with(8, move |_, _| hold(&token)).expect("listen");
    let waiting = TcpStream::connect(addr).expect("connect");
    event_loop.turn();
    let (reading, mut peer) = connected(&event_loop);
    let (token, inside) = (counted(), reading.clone());
    reading.set_upcall(Tower::new(&log, "reading").on_read(move |_| hold(&(&token, &inside))));
    reading.read_start().expect("read_start");
    reading.write(vec![0; 1 << 23]).expect("write");
    reading.shutdown().expect("shutdown");
    let connecting = Tcp::new(&event_loop);
    let token = counted();
    connecting.set_upcall(Tower::new(&log, "connecting").on_connect(move |_| hold(&token)));
    connecting.connect(addr).expect("connect");
    let bound_pipe = Pipe::new(&event_loop);
    bound_pipe.bind(path.path()).expect("bind");
    let closing = Timer::new(&event_loop);
    let token = counted();
    closing.close_with(move || drop(token));
    let timer = Timer::new(&event_loop);
    let (token, inside) = (counted(), timer.clone());
    timer.start(Duration::ZERO, Duration::ZERO, move |_: &Timer| hold(&(&token, &inside))).expect("start");
    let token = counted();
    Idle::new(&event_loop).start(move |_: &Idle| hold(&token)).expect("start");
    let token = counted();
    Prepare::new(&event_loop).start(move |_: &Prepare| hold(&token)).expect("start");
    let token = counted();
    Check::new(&event_loop).start(move |_: &Check| hold(&token)).expect("start");
    let token = counted();
    let _ = Async::new(&event_loop, move |_: &Async| hold(&token));
    let handle = event_loop.clone();
    drop(event_loop);
    assert_eq!(drops.0.get(), 9);
    assert!(log.lines().is_empty());
    assert!(!path.path().exists());
    let mut rest = Vec::new();
    assert!(peer.read_to_end(&mut rest).is_ok(), "the connection ended");
    drop(waiting);
    // The remaining clones belong to an empty loop.
    assert!(reading.is_closing() && reading.fileno().is_err() && !reading.is_active());
    assert_eq!(errno(reading.write("x")), Errno::EBADF);
    assert_eq!(handle.run(RunMode::Default), Ok(false));
    assert!(handle.handles().is_empty());
}

#[test]
fn a_loop_and_its_handles_are_freed_together() {
    let fds = open_fds();
    for _ in 0..300 {
        let event_loop = Loop::new().expect("a loop");
        let tcp = Tcp::new(&event_loop);
        tcp.set_upcall(Tower::new(&Log::new(), "tcp"));
        let timer = Timer::new(&event_loop);
        let inside = (tcp.clone(), timer.clone(), event_loop.remote());
        timer.start(Duration::MAX, Duration::ZERO, move |_: &Timer| hold(&inside)).expect("start");
    }
    // A leak of three descriptors per loop would show, whatever other tests open.
    assert!(open_fds() < fds + 500);
}

#[test]
fn a_handle_dropped_by_its_user_stays_open_until_it_is_closed() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.read_start().expect("read_start");
    drop(tcp);
    peer.write_all(b"x").expect("write");
    event_loop.until(|| log.has("tcp read 1"));
    event_loop.close_and_finish();
}
