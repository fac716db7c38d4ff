//! Listening and accepting over TCP.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use uv_core::{BindOptions, Errno, RunMode, Stream, Tcp, Timer};

// libuv: tcp_bind_error_addrinuse_listen
#[test]
fn a_used_port_is_reported_by_listen_and_by_the_address() {
    let event_loop = test_loop();
    let (first, addr) = bound(&event_loop);
    first.listen_with(1, |_, _| {}).expect("listen");
    let second = Tcp::new(&event_loop);
    assert_eq!(second.bind(addr, BindOptions::default()), Ok(()));
    assert_eq!(errno(second.local_addr()), Errno::EADDRINUSE);
    let error = second.listen_with(1, |_, _| {}).expect_err("in use");
    assert_eq!((error.op(), error.errno()), ("listen", Errno::EADDRINUSE));
    assert_eq!(error.target(), Some(addr.to_string().as_str()));
    event_loop.close_and_finish();
}

// libuv: tcp_listen_without_bind, multiple_listen
#[test]
fn listen_without_bind_takes_a_port_and_a_second_one_changes_the_upcall() {
    let event_loop = test_loop();
    let log = Log::new();
    let server = Tcp::new(&event_loop);
    let old = log.clone();
    server.listen_with(1, move |_, _| old.add("old")).expect("listen");
    let port = server.local_addr().expect("an address").port();
    assert_ne!(port, 0);
    let (new, listener) = (log.clone(), server.clone());
    server
        .listen_with(1, move |_, _| {
            new.add("new");
            listener.accept().expect("accept").close();
        })
        .expect("listen");
    let _peer = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    event_loop.until(|| !log.lines().is_empty());
    assert_eq!(log.take(), ["new"]);
    event_loop.close_and_finish();
}

// libuv: delayed_accept
#[test]
fn a_connection_that_is_not_taken_holds_the_next_ones_until_it_is() {
    for batch in [1, 16] {
        let event_loop = test_loop();
        let announced = Rc::new(Cell::new(0));
        let (server, addr) = bound(&event_loop);
        server.set_accept_batch(batch);
        let count = Rc::clone(&announced);
        server.listen_with(16, move |_, _| count.set(count.get() + 1)).expect("listen");
        assert_eq!(errno(server.accept()), Errno::EAGAIN);
        let peers: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).expect("connect")).collect();
        for round in 1..=3 {
            event_loop.until(|| announced.get() == round);
            for _ in 0..3 {
                event_loop.turn();
            }
            assert_eq!(announced.get(), round, "it waits for accept");
            server.accept().expect("accept").close();
        }
        assert_eq!(errno(server.accept()), Errno::EAGAIN);
        drop(peers);
        event_loop.close_and_finish();
    }
}

#[test]
fn a_held_listener_does_not_spin() {
    let event_loop = test_loop();
    let (server, addr) = bound(&event_loop);
    server.listen_with(16, |_, _| {}).expect("listen");
    let _peers: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).expect("connect")).collect();
    let rounds = Rc::new(Cell::new(0));
    let count = Rc::clone(&rounds);
    uv_core::Check::new(&event_loop)
        .start(move |_: &uv_core::Check| count.set(count.get() + 1))
        .expect("start");
    Timer::new(&event_loop)
        .start(Duration::from_millis(20), Duration::ZERO, |timer: &Timer| timer.loop_handle().stop())
        .expect("start");
    assert_eq!(event_loop.run(RunMode::Default), Ok(true));
    assert!(rounds.get() <= 5, "{} iterations", rounds.get());
    event_loop.close_and_finish();
}

// unpinned in libuv, PR 3696
#[test]
fn one_turn_announces_one_connection_or_as_many_as_the_batch_says() {
    for (batch, expected) in [(None, 1), (Some(0), 1), (Some(4), 4)] {
        let event_loop = test_loop();
        let accepted = Rc::new(Cell::new(0));
        let count = Rc::clone(&accepted);
        let (server, addr) = serve(&event_loop, move |connection| {
            count.set(count.get() + 1);
            connection.close();
        });
        if let Some(batch) = batch {
            server.set_accept_batch(batch);
        }
        let peers: Vec<_> = (0..8).map(|_| TcpStream::connect(addr).expect("connect")).collect();
        event_loop.turn();
        assert_eq!(accepted.get(), expected);
        event_loop.turn();
        assert_eq!(accepted.get(), 2 * expected);
        event_loop.until(|| accepted.get() == 8);
        drop(peers);
        event_loop.close_and_finish();
    }
}

#[test]
fn a_listener_closed_in_on_connection_closes_what_was_not_taken() {
    let event_loop = test_loop();
    let (server, addr) = bound(&event_loop);
    let listener = server.clone();
    server.set_accept_batch(8);
    server.listen_with(16, move |_, _| listener.close()).expect("listen");
    let mut peer = TcpStream::connect(addr).expect("connect");
    event_loop.finish();
    let read = std::io::Read::read(&mut peer, &mut [0]);
    assert!(matches!(read, Ok(0) | Err(_)), "the peer is told");
}

#[test]
fn peers_that_give_up_before_they_are_accepted_are_no_errors() {
    let event_loop = test_loop();
    let log = Log::new();
    let seen = log.clone();
    let (_server, addr) = serve(&event_loop, move |connection| {
        connection.set_upcall(Tower::new(&seen, "connection"));
        connection.read_start().expect("read_start");
    });
    for _ in 0..5 {
        drop(TcpStream::connect(addr).expect("connect"));
    }
    event_loop.until(|| log.count("connection end") == 5);
    event_loop.close_and_finish();
}

// libuv: tcp_reuseport
#[test]
fn listeners_that_share_a_port_all_get_connections() {
    let event_loop = test_loop();
    let options = BindOptions::default().reuse_port(true);
    let accepted: Rc<RefCell<[u32; 2]>> = Rc::default();
    let mut addr = localhost();
    for index in 0..2 {
        let server = Tcp::new(&event_loop);
        server.bind(addr, options).expect("bind");
        addr = server.local_addr().expect("an address");
        let (listener, count) = (server.clone(), Rc::clone(&accepted));
        server
            .listen_with(128, move |_, status| {
                status.expect("a connection");
                listener.accept().expect("accept").close();
                count.borrow_mut()[index] += 1;
            })
            .expect("listen");
    }
    let mut peers = Vec::new();
    // The kernel chooses by the peer's port: all connections on one side are as unlikely as a coin that always shows
    // heads.
    for _ in 0..64 {
        peers.push(TcpStream::connect(addr).expect("connect"));
    }
    event_loop.until(|| accepted.borrow().iter().sum::<u32>() == 64);
    assert!(accepted.borrow().iter().all(|count| *count > 0));
    event_loop.close_and_finish();
}

#[test]
fn a_descriptor_can_be_taken_without_a_handle_and_given_one_elsewhere() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, addr) = bound(&event_loop);
    let taken: Rc<RefCell<Vec<Tcp>>> = Rc::default();
    let (listener, seen, kept) = (server.clone(), log.clone(), Rc::clone(&taken));
    server
        .listen_with(16, move |_, _| {
            let fd = listener.accept_fd().expect("accept");
            let tcp = Tcp::from_accepted(listener.loop_handle(), fd);
            tcp.set_upcall(Tower::new(&seen, "tcp"));
            tcp.read_start().expect("read_start");
            kept.borrow_mut().push(tcp);
        })
        .expect("listen");
    let mut peer = TcpStream::connect(addr).expect("connect");
    peer.write_all(b"hello").expect("write");
    event_loop.until(|| log.has("tcp read 5"));
    taken.borrow_mut().clear();
    event_loop.close_and_finish();
}

// The first turn finds no burst, the second finds one, and so on: whether a connection is read or registered first
// makes no difference to the program.
#[test]
fn connections_that_come_together_and_alone_read_what_was_there_and_what_comes() {
    let event_loop = test_loop();
    let read = Rc::new(Cell::new(0));
    let counted = Rc::clone(&read);
    let (server, addr) = serve(&event_loop, move |connection| {
        let counted = Rc::clone(&counted);
        let tower = Tower::new(&Log::new(), "").on_read(move |data| counted.set(counted.get() + data.len()));
        connection.set_upcall(tower);
        connection.read_start().expect("read_start");
    });
    server.set_accept_batch(16);
    let mut expected = 0;
    for together in [8, 8, 1, 1, 8] {
        let mut peers: Vec<_> = (0..together).map(|_| TcpStream::connect(addr).expect("connect")).collect();
        for word in ["now", "later"] {
            peers.iter_mut().for_each(|peer| peer.write_all(word.as_bytes()).expect("write"));
            expected += together * word.len();
            event_loop.until(|| read.get() == expected);
        }
    }
    event_loop.close_and_finish();
}

#[test]
fn after_stop_handshakes_the_queue_is_announced_and_no_client_connects() {
    let event_loop = test_loop();
    let (server, addr) = bound(&event_loop);
    let announced = Rc::new(Cell::new(0));
    let count = Rc::clone(&announced);
    let accept = move |server: &Stream, _| {
        count.set(count.get() + 1);
        server.accept().expect("accept").close();
    };
    server.listen_with(16, accept).expect("listen");
    let connect = || TcpStream::connect_timeout(&addr, Duration::from_millis(100));
    let queued: Vec<_> = (0..3).map(|_| connect().expect("connect")).collect();
    assert_eq!(errno(server.resume_handshakes()), Errno::ENOENT);
    server.stop_handshakes().expect("stop");
    assert_eq!(connect().expect_err("its SYN is ignored").kind(), ErrorKind::TimedOut);
    event_loop.until(|| announced.get() == 3);
    server.resume_handshakes().expect("resume");
    let _later = connect().expect("its SYN is answered");
    event_loop.until(|| announced.get() == 4);
    server.stop_handshakes().expect("stop");
    server.close();
    event_loop.turn();
    assert_eq!(connect().expect_err("no socket listens").kind(), ErrorKind::ConnectionRefused);
    assert_eq!(errno(server.stop_handshakes()), Errno::EINVAL);
    drop(queued);
    event_loop.close_and_finish();
}
