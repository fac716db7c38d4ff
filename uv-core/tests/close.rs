//! Closing: in two phases, in order, exactly once; and the effect on pending events and on descriptors.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use uv_core::{BindOptions, Check, Errno, Idle, Pipe, Tcp, Timer};

// unpinned in libuv
#[test]
fn close_callbacks_run_last_closed_first_and_one_closed_there_waits_for_the_next_iteration() {
    let event_loop = test_loop();
    let log = Log::new();
    let inner = Timer::new(&event_loop);
    let (closed, next) = (log.clone(), inner);
    Timer::new(&event_loop).close_with(move || {
        closed.add("first");
        let log = closed.clone();
        next.close_with(move || log.add("closed there"));
    });
    let closed = log.clone();
    Timer::new(&event_loop).close_with(move || closed.add("second"));
    event_loop.turn();
    assert_eq!(log.take(), ["second", "first"]);
    event_loop.turn();
    assert_eq!(log.take(), ["closed there"]);
    event_loop.finish();
}

// libuv: active
#[test]
fn a_closing_handle_is_closing_and_inactive_through_its_callback() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    let inside = tcp.clone();
    tcp.set_upcall(Tower::new(&log, "tcp").on_close(move || {
        assert!(inside.is_closing() && !inside.is_active());
        inside.close();
        inside.close_with(|| unreachable!("closed already"));
    }));
    tcp.read_start().expect("read_start");
    assert!(tcp.is_active() && !tcp.is_closing());
    tcp.close();
    assert!(!tcp.is_active() && tcp.is_closing());
    assert_eq!(errno(tcp.fileno()), Errno::EBADF);
    event_loop.finish();
    assert_eq!(log.take(), ["tcp close"]);
}

// libuv: watcher_cross_stop
#[test]
fn closing_other_handles_suppresses_their_events_of_the_same_batch() {
    const PAIRS: usize = 200;
    let event_loop = test_loop();
    let log = Log::new();
    let all: Rc<RefCell<Vec<Tcp>>> = Rc::default();
    let mut peers = Vec::new();
    for _ in 0..PAIRS {
        let (tcp, peer) = connected(&event_loop);
        let everybody = Rc::clone(&all);
        tcp.set_upcall(Tower::new(&log, "tcp").on_read(move |_| {
            for tcp in everybody.borrow().iter() {
                tcp.close();
            }
        }));
        tcp.read_start().expect("read_start");
        all.borrow_mut().push(tcp);
        peers.push(peer);
    }
    // Registers all of them with the poller.
    event_loop.turn();
    for peer in &mut peers {
        peer.write_all(b"x").expect("write");
    }
    event_loop.until(|| !log.lines().is_empty());
    assert_eq!(log.count("tcp read 1"), 1);
    event_loop.finish();
    assert_eq!(log.count("tcp close"), PAIRS);
    all.borrow_mut().clear();
}

// libuv: tcp_close_accept
#[test]
fn an_event_of_a_closed_descriptor_does_not_reach_its_successor() {
    let event_loop = test_loop();
    let log = Log::new();
    let fresh: Rc<RefCell<Vec<(Tcp, TcpStream)>>> = Rc::default();
    let mut peers = Vec::new();
    let olds: Rc<RefCell<Vec<Tcp>>> = Rc::default();
    for _ in 0..2 {
        let (tcp, peer) = connected(&event_loop);
        let (others, successors, seen) = (Rc::clone(&olds), Rc::clone(&fresh), log.clone());
        tcp.set_upcall(Tower::new(&log, "old").on_read(move |_| {
            // The other connection's event is in this batch; its descriptor number is reused by a new handle.
            for old in others.borrow().iter() {
                old.close();
            }
            let event_loop = others.borrow()[0].loop_handle().clone();
            let (ours, peer) = sockets();
            let tcp = Tcp::new(&event_loop);
            tcp.open(ours.into()).expect("open");
            tcp.set_upcall(Tower::new(&seen, "new"));
            tcp.read_start().expect("read_start");
            successors.borrow_mut().push((tcp, peer));
        }));
        tcp.read_start().expect("read_start");
        olds.borrow_mut().push(tcp);
        peers.push(peer);
    }
    event_loop.turn();
    for peer in &mut peers {
        peer.write_all(b"x").expect("write");
    }
    event_loop.until(|| log.has("old read 1"));
    event_loop.turn();
    assert_eq!(log.count("old read 1"), 1);
    assert!(!log.has("new read 1") && !log.has("new end"));
    olds.borrow_mut().clear();
    fresh.borrow_mut().clear();
    event_loop.close_and_finish();
}

// libuv: closed_fd_events, iouring_pollhup
#[test]
fn a_duplicate_of_a_closed_descriptor_neither_calls_nor_wakes() {
    for shared in ["opened", "duplicated by its number"] {
        let event_loop = test_loop();
        let log = Log::new();
        let (ours, mut peer) = sockets();
        let tcp = if shared == "opened" {
            let tcp = Tcp::new(&event_loop);
            tcp.open(ours.as_fd().try_clone_to_owned().expect("dup")).expect("open");
            tcp
        } else {
            ours.set_nonblocking(true).expect("nonblocking");
            let tcp = Tcp::from_accepted(&event_loop, ours.as_fd().try_clone_to_owned().expect("dup"));
            tcp.fileno().expect("its number");
            tcp
        };
        tcp.set_upcall(Tower::new(&log, "tcp"));
        tcp.read_start().expect("read_start");
        event_loop.turn();
        tcp.close();
        event_loop.turn();
        // If the duplicate were still watched, this would end the wait before the timer does.
        peer.write_all(b"x").expect("write");
        let rounds = Rc::new(Cell::new(0));
        let count = Rc::clone(&rounds);
        let check = Check::new(&event_loop);
        check.start(move |_: &Check| count.set(count.get() + 1)).expect("start");
        let timer = Timer::new(&event_loop);
        timer
            .start(Duration::from_millis(20), Duration::ZERO, |timer: &Timer| {
                timer.loop_handle().close_all();
            })
            .expect("start");
        event_loop.finish();
        // One iteration for the timer, one for the closing handles.
        assert_eq!((rounds.get(), log.take()), (1, vec!["tcp close".to_owned()]), "{shared}");
    }
}

// libuv: handle_fileno
#[test]
fn there_is_a_descriptor_from_the_socket_to_the_close() {
    let event_loop = test_loop();
    let tcp = Tcp::new(&event_loop);
    assert_eq!(errno(tcp.fileno()), Errno::EBADF);
    tcp.bind(localhost(), BindOptions::default()).expect("bind");
    assert_eq!(event_loop.handles()[0].fd, tcp.fileno().ok());
    tcp.close();
    assert_eq!(errno(tcp.fileno()), Errno::EBADF);
    assert_eq!(event_loop.handles()[0].fd, None);
    let (path, pipe) = (socket_path(), Pipe::new(&event_loop));
    assert_eq!(errno(pipe.fileno()), Errno::EBADF);
    pipe.bind(path.path()).expect("bind");
    assert!(pipe.fileno().is_ok());
    pipe.close();
    assert_eq!(errno(pipe.fileno()), Errno::EBADF);
    // An idle watcher has no such method, and no descriptor in the list.
    let _idle = Idle::new(&event_loop);
    assert_eq!(event_loop.handles().last().map(|idle| idle.fd), Some(None));
    event_loop.close_and_finish();
}

// libuv: tcp_close, shutdown_close_tcp
#[test]
fn pending_requests_are_cancelled_in_order_before_on_close() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, peer) = connected(&event_loop);
    tcp.set_send_buffer_size(1).expect("option");
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write("sent").expect("write");
    tcp.write(vec![0; 1 << 22]).expect("write");
    tcp.write("never sent").expect("write");
    tcp.shutdown().expect("shutdown");
    let closed = log.clone();
    tcp.close_with(move || closed.add("closed"));
    assert!(log.lines().is_empty(), "no upcall from a downcall");
    event_loop.finish();
    let expected = ["tcp write ok", "tcp write ECANCELED", "tcp write ECANCELED", "tcp shutdown ECANCELED"];
    assert_eq!(log.take(), [&expected[..], &["tcp close", "closed"]].concat());
    drop(peer);
}

#[test]
fn a_tower_can_be_set_until_the_handle_is_closed_and_the_last_one_is_told() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    tcp.close();
    let late = tcp.clone();
    let ignored = log.clone();
    tcp.set_upcall(Tower::new(&log, "tcp").on_close(move || late.set_upcall(Tower::new(&ignored, "late"))));
    event_loop.finish();
    tcp.set_upcall(Tower::new(&log, "later"));
    assert_eq!(log.take(), ["tcp close"]);
}

#[test]
fn everything_on_a_closed_handle_is_an_error_or_nothing() {
    let event_loop = test_loop();
    let (tcp, _peer) = connected(&event_loop);
    tcp.close();
    event_loop.turn();
    assert_eq!(errno(tcp.read_start()), Errno::EINVAL);
    tcp.read_stop();
    assert_eq!(errno(tcp.write("x")), Errno::EBADF);
    assert_eq!(errno(tcp.try_write(b"x")), Errno::EBADF);
    assert_eq!(errno(tcp.shutdown()), Errno::ENOTCONN);
    assert_eq!(errno(tcp.listen_with(1, |_, _| {})), Errno::EINVAL);
    assert_eq!(errno(tcp.bind(localhost(), BindOptions::default())), Errno::EINVAL);
    assert_eq!(errno(tcp.connect(localhost())), Errno::EINVAL);
    assert_eq!(errno(tcp.accept()), Errno::EAGAIN);
    assert_eq!(errno(tcp.set_nodelay(true)), Errno::EBADF);
    tcp.notify();
    tcp.close();
    tcp.unref();
    tcp.ref_();
    assert!(!tcp.is_active() && !event_loop.is_alive());
    event_loop.finish();
}

#[test]
fn an_idle_watcher_that_closes_itself_ends_the_loop() {
    let event_loop = test_loop();
    Idle::new(&event_loop).start(|idle: &Idle| idle.close()).expect("start");
    event_loop.finish();
}
