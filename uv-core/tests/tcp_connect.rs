//! Connecting over TCP.

mod common;

use common::*;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{BindOptions, Errno, Tcp, Timer};

#[test]
fn a_connect_is_reported_and_the_stream_is_then_readable_and_writable() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    let client = Tcp::new(&event_loop);
    let connected = client.clone();
    client.set_upcall(Tower::new(&log, "client").on_connect(move |_| {
        assert!(connected.is_readable() && connected.is_writable());
    }));
    client.connect(addr).expect("connect");
    assert!(client.is_active() && !client.is_readable() && !client.is_writable());
    assert!(log.lines().is_empty(), "no upcall from a downcall");
    event_loop.until(|| log.has("client connect ok"));
    assert_eq!(client.peer_addr(), Ok(addr));
    assert!(!client.is_active());
    assert_eq!(errno(client.connect(addr)), Errno::EINVAL, "connected already");
    event_loop.close_and_finish();
}

// libuv: connection_fail, connection_fail_doesnt_auto_close
#[test]
fn a_refusal_comes_to_on_connect_and_leaves_the_handle_open() {
    let event_loop = test_loop();
    let log = Log::new();
    let addr = closed_port();
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client").on_connect(move |result| {
        let error = result.expect_err("refused");
        assert_eq!((error.op(), error.target()), ("connect", Some(addr.to_string().as_str())));
    }));
    client.connect(addr).expect("connect");
    // Nothing keeps the loop alive, although the handle is open.
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["client connect ECONNREFUSED"]);
    assert!(!client.is_closing() && !client.is_active());
    client.close();
    event_loop.finish();
    assert_eq!(log.take(), ["client close"]);
}

// libuv: tcp_close_while_connecting, tcp_connect_timeout
#[test]
fn a_close_while_connecting_cancels_the_connect_first() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(addr).expect("connect");
    client.close();
    event_loop.until(|| log.has("client close"));
    assert_eq!(log.take(), ["client connect ECANCELED", "client close"]);
    event_loop.close_and_finish();
}

// libuv: tcp_connect_timeout
#[test]
fn a_timer_can_give_a_connect_up() {
    let event_loop = test_loop();
    let log = Log::new();
    // With a full backlog the kernel answers no further connect.
    let listener = TcpListener::bind(LOCALHOST).expect("bind");
    let addr = listener.local_addr().expect("an address");
    let mut clients = Vec::new();
    for _ in 0..400 {
        let client = Tcp::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(addr).expect("connect");
        clients.push(client);
    }
    let timer = Timer::new(&event_loop);
    timer
        .start(Duration::from_millis(20), Duration::ZERO, |timer: &Timer| timer.loop_handle().close_all())
        .expect("start");
    event_loop.finish();
    assert!(log.has("client connect ECANCELED"));
    let connects = log.lines().iter().filter(|line| line.contains("connect")).count();
    assert_eq!((connects, log.count("client close")), (400, 400));
}

// libuv: tcp_connect_error_after_write, tcp_write_after_connect
#[test]
fn a_write_before_the_connect_ends_is_queued_and_sent() {
    let event_loop = test_loop();
    let log = Log::new();
    let server_log = log.clone();
    let (_server, addr) = serve(&event_loop, move |connection| {
        connection.set_upcall(Tower::new(&server_log, "server"));
        connection.read_start().expect("read_start");
    });
    let client = Tcp::new(&event_loop);
    assert_eq!(errno(client.write("too early")), Errno::EBADF);
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(addr).expect("connect");
    client.write("hello").expect("write");
    assert_eq!(errno(client.try_write(b"x")), Errno::EAGAIN, "while connecting (C7)");
    assert_eq!(errno(client.shutdown()), Errno::ENOTCONN);
    assert_eq!(client.write_queue_size(), 5);
    event_loop.until(|| log.has("server read 5") && log.has("client write ok"));
    let client_lines: Vec<_> = log.take().into_iter().filter(|line| line.starts_with("client")).collect();
    assert_eq!(client_lines, ["client connect ok", "client write ok"]);
    event_loop.close_and_finish();
}

// libuv: tcp_connect_error_after_write
#[test]
fn writes_behind_a_failed_connect_are_cancelled_after_it() {
    let event_loop = test_loop();
    let log = Log::new();
    let client = Tcp::new(&event_loop);
    let sizes = client.clone();
    client
        .set_upcall(Tower::new(&log, "client").on_connect(move |_| assert_eq!(sizes.write_queue_size(), 0)));
    client.connect(closed_port()).expect("connect");
    client.write("a").expect("write");
    client.write("b").expect("write");
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(false));
    assert_eq!(
        log.take(),
        ["client connect ECONNREFUSED", "client write ECANCELED", "client write ECANCELED"]
    );
    event_loop.close_and_finish();
}

#[test]
fn a_refused_stream_can_connect_again_even_from_on_connect() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    let client = Tcp::new(&event_loop);
    let again = client.clone();
    client.set_upcall(Tower::new(&log, "client").on_connect(move |result| {
        if result.is_err() {
            // The kernel reports the failed attempt once more.
            assert_eq!(errno(again.connect(addr)), Errno::ECONNABORTED);
            again.connect(addr).expect("connect");
            again.write("hello").expect("write");
        }
    }));
    client.connect(closed_port()).expect("connect");
    client.write("lost").expect("write");
    event_loop.until(|| log.has("client write ok"));
    let expected =
        ["client connect ECONNREFUSED", "client write ECANCELED", "client connect ok", "client write ok"];
    assert_eq!(log.take(), expected);
    event_loop.close_and_finish();
}

#[test]
fn a_connect_that_always_fails_at_once_does_not_recurse_or_starve() {
    let event_loop = test_loop();
    let log = Log::new();
    let (taken, addr) = bound(&event_loop);
    taken.listen_with(1, |_, _| {}).expect("listen");
    // Each bind meets a port in use, which its connect reports immediately.
    let attempts = Rc::new(Cell::new(0));
    fn attempt(event_loop: &uv_core::LoopHandle, addr: SocketAddr, attempts: &Rc<Cell<u32>>, log: &Log) {
        let client = Tcp::new(event_loop);
        client.bind(addr, BindOptions::default()).expect("bind");
        let (event_loop, again, seen) = (event_loop.clone(), Rc::clone(attempts), log.clone());
        let this = client.clone();
        client.set_upcall(Tower::new(log, "client").on_connect(move |result| {
            again.set(again.get() + 1);
            this.close();
            if errno(result) == Errno::EADDRINUSE {
                attempt(&event_loop, addr, &again, &seen);
            }
        }));
        client.connect(addr).expect("connect");
    }
    attempt(&event_loop, addr, &attempts, &log);
    let timer = Timer::new(&event_loop);
    let has_rung = Rc::new(Cell::new(false));
    let rung = Rc::clone(&has_rung);
    timer.start(Duration::from_millis(1), Duration::ZERO, move |_: &Timer| rung.set(true)).expect("start");
    event_loop.until(|| has_rung.get() && attempts.get() > 0);
    event_loop.close_and_finish();
}

// libuv: tcp_bind_error_addrinuse_connect
#[test]
fn a_used_port_met_by_bind_is_reported_by_the_connect() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, addr) = bound(&event_loop);
    server.listen_with(1, |_, _| {}).expect("listen");
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client"));
    assert_eq!(client.bind(addr, BindOptions::default()), Ok(()));
    client.connect(addr).expect("connect");
    assert_eq!(errno(client.local_addr()), Errno::EADDRINUSE, "until it is reported");
    event_loop.until(|| log.has("client connect EADDRINUSE"));
    assert!(client.local_addr().is_ok(), "and no longer");
    event_loop.close_and_finish();
}

// libuv: connect_unspecified
#[test]
fn an_unspecified_address_means_this_machine() {
    for unspecified in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        let event_loop = test_loop();
        let log = Log::new();
        let server = Tcp::new(&event_loop);
        if server.bind(SocketAddr::new(unspecified, 0), BindOptions::default()).is_ok() {
            server.listen_with(8, |server, _| server.accept().expect("accept").close()).expect("listen");
            let port = server.local_addr().expect("an address").port();
            let client = Tcp::new(&event_loop);
            client.set_upcall(Tower::new(&log, "client"));
            client.connect(SocketAddr::new(unspecified, port)).expect("connect");
            event_loop.until(|| log.has("client connect ok"));
            assert!(client.peer_addr().expect("a peer").ip().is_loopback());
        } else {
            assert!(unspecified.is_ipv6(), "only IPv6 may be turned off");
        }
        event_loop.close_and_finish();
    }
}

#[test]
fn a_second_connect_meanwhile_is_refused() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(addr).expect("connect");
    assert_eq!(errno(client.connect(addr)), Errno::EALREADY);
    event_loop.until(|| log.has("client connect ok"));
    event_loop.close_and_finish();
}

#[test]
fn input_that_came_with_the_connect_is_read() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| {
        assert_eq!(connection.try_write(b"welcome"), Ok(7));
        connection.close();
    });
    let client = Tcp::new(&event_loop);
    let reader = client.clone();
    client
        .set_upcall(Tower::new(&log, "client").on_connect(move |_| reader.read_start().expect("read_start")));
    client.connect(addr).expect("connect");
    event_loop.until(|| log.has("client end"));
    assert_eq!(log.take(), ["client connect ok", "client read 7", "client end"]);
    event_loop.close_and_finish();
}

// TCP's simultaneous open. libuv and Node take such a connection for a connection to a server.
#[test]
fn a_socket_does_not_connect_to_itself() {
    let v4 = |ip: [u8; 4]| SocketAddr::from((ip, 0));
    let v6 = |ip: Ipv6Addr| SocketAddr::from((ip, 0));
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    for (bind, target) in [
        (v4([127, 0, 0, 1]), v4([127, 0, 0, 1])),
        (v4([127, 0, 0, 1]), v4([0, 0, 0, 0])),
        (v4([0, 0, 0, 0]), v4([127, 0, 0, 1])),
        (v6(Ipv6Addr::LOCALHOST), v6(Ipv6Addr::LOCALHOST)),
        (v6(Ipv6Addr::LOCALHOST), v6(Ipv6Addr::UNSPECIFIED)),
        (v6(mapped), v6(mapped)),
    ] {
        let (event_loop, log) = (test_loop(), Log::new());
        let client = Tcp::new(&event_loop);
        if client.bind(bind, BindOptions::default()).is_err() {
            assert!(bind.is_ipv6(), "only IPv6 may be turned off");
            client.close();
            event_loop.finish();
            continue;
        }
        let port = client.local_addr().expect("an address").port();
        let target = SocketAddr::new(target.ip(), port);
        client.set_upcall(Tower::new(&log, "client").on_connect(move |result| {
            let error = result.expect_err("no process listens");
            assert_eq!((error.op(), error.target()), ("connect", Some(target.to_string().as_str())));
        }));
        client.connect(target).expect("to connect");
        assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(false));
        assert_eq!(log.take(), ["client connect ECONNREFUSED"], "{bind} {target}");
        assert!(!client.is_readable() && !client.is_writable());
        client.close();
        event_loop.finish();
    }
}

#[test]
fn a_socket_connects_to_another_one_from_the_same_port() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client"));
    // Another address of this machine, and therefore another socket.
    let same_port = SocketAddr::from(([127, 0, 0, 2], addr.port()));
    client.bind(same_port, BindOptions::default()).expect("the port is free there");
    client.connect(addr).expect("to connect");
    event_loop.until(|| log.has("client connect ok"));
    event_loop.close_and_finish();
}

// libuv: tcp_local_connect_timeout, tcp6_local_connect_timeout
#[test]
fn a_port_of_this_machine_that_nobody_listens_on_refuses_at_once() {
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let Ok(unused) = TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()) else {
            println!("skipped: this machine has no IPv6");
            continue;
        };
        let event_loop = test_loop();
        let log = Log::new();
        let client = Tcp::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(unused).expect("connect");
        // Would give the connect up as cancelled.
        let timer = Timer::new(&event_loop);
        timer
            .start(Duration::from_secs(20), Duration::ZERO, |timer: &Timer| timer.loop_handle().close_all())
            .expect("start");
        event_loop.until(|| !log.lines().is_empty());
        assert_eq!(log.take(), ["client connect ECONNREFUSED"]);
        event_loop.close_and_finish();
    }
}

// libuv: tcp_connect6_link_local
#[test]
fn a_link_local_address_without_a_scope_is_one_of_the_first_interface() {
    let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    if !addresses.lines().any(|line| line.starts_with("fe80")) {
        return println!("skipped: no interface has a link-local address");
    }
    let event_loop = test_loop();
    let log = Log::new();
    let client = Tcp::new(&event_loop);
    client.set_upcall(Tower::new(&log, "client"));
    // The kernel refuses the address as it stands with EINVAL.
    let nobody = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xbad, 0xbabe);
    client.connect(SocketAddr::from((nobody, 1337))).expect("connect");
    client.close();
    event_loop.finish();
    assert_eq!(log.take(), ["client connect ECANCELED", "client close"]);
}
