//! Binding, opening and addresses of sockets of datagrams.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use uv_core::handle::HandleKind;
use uv_core::udp::{SendOptions, Udp, UdpOptions};
use uv_core::{Errno, Loop, RunMode};

fn plain() -> UdpOptions {
    UdpOptions::default()
}

// libuv: udp_bind
#[test]
fn an_address_in_use_is_refused_at_once() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (first, addr) = bound_udp(&event_loop, &seen);
    assert_eq!(first.kind(), HandleKind::Udp);
    let second = Udp::new(&event_loop);
    let error = second.bind(addr, &plain()).expect_err("in use");
    assert_eq!(
        (error.op(), error.errno(), error.target()),
        ("bind", Errno::EADDRINUSE, Some(&*addr.to_string()))
    );
    assert_eq!(errno(second.local_addr()), Errno::EBADF, "it has no socket");
    second.bind(localhost(), &plain()).expect("another port");
    event_loop.close_and_finish();
}

// libuv: udp_bind_reuseaddr
#[test]
fn sockets_that_reuse_an_address_share_it() {
    let event_loop = test_loop();
    let (seen, other) = (Seen::default(), Seen::default());
    let options = plain().reuse_address(true);
    let (_first, addr) = bound_with(&event_loop, &seen, &options);
    let second = Udp::new(&event_loop);
    second.bind(addr, &options).expect("shared");
    second.receive_start_with(move |udp, _, _| udp.close()).expect("receive_start");
    let third = Udp::new(&event_loop);
    assert_eq!(errno(third.bind(addr, &plain())), Errno::EADDRINUSE);
    // The socket that was bound last gets it.
    let (outside, _) = peer();
    outside.send_to(b"for the last", addr).expect("send");
    event_loop.until(|| second.is_closing());
    assert_eq!((seen.count(), other.count()), (0, 0));
    event_loop.close_and_finish();
}

// libuv: udp_reuseport
#[test]
fn sockets_that_reuse_a_port_receive_all_between_them() {
    let event_loop = test_loop();
    let options = plain().reuse_port(true);
    let seen = [Seen::default(), Seen::default(), Seen::default()];
    let (first, addr) = bound_with(&event_loop, &seen[0], &options);
    first.receive_start().expect("receive_start");
    for seen in &seen[1..] {
        let udp = Udp::new(&event_loop);
        udp.bind(addr, &options).expect("shared");
        udp.set_upcall(Watcher::new(seen));
        udp.receive_start().expect("receive_start");
    }
    let clients: Vec<_> = (0..60).map(|_| peer().0).collect();
    for client in &clients {
        client.send_to(b"to one of them", addr).expect("send");
    }
    event_loop.until(|| seen.iter().map(Seen::count).sum::<usize>() == 60);
    assert!(seen.iter().all(|seen| seen.count() > 0), "the kernel distributes senders");
    event_loop.close_and_finish();
}

#[test]
fn a_bad_bind_is_refused_and_another_may_follow() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    let only6 = plain().ipv6_only(true);
    assert_eq!(errno(udp.bind(localhost(), &only6)), Errno::EINVAL, "ipv6_only on IPv4");
    let elsewhere = SocketAddr::from(([192, 0, 2, 77], 0));
    assert_eq!(errno(udp.bind(elsewhere, &plain())), Errno::EADDRNOTAVAIL);
    if has_ipv6() {
        udp.bind(localhost6(), &only6).expect("the other family");
    } else {
        udp.bind(localhost(), &plain()).expect("a second attempt");
    }
    assert_eq!(errno(udp.bind(localhost(), &plain())), Errno::EINVAL, "bound already");
    let closing = Udp::new(&event_loop);
    closing.close();
    assert_eq!(errno(closing.bind(localhost(), &plain())), Errno::EINVAL);
    event_loop.close_and_finish();
}

#[test]
fn a_bind_after_one_of_the_other_family_that_failed_has_the_options_of_its_own() {
    if !has_ipv6() {
        return;
    }
    let event_loop = test_loop();
    let first = Udp::new(&event_loop);
    first.bind(localhost6(), &plain()).expect("bind");
    let udp = Udp::new(&event_loop);
    let in_use = first.local_addr().expect("an address");
    assert_eq!(errno(udp.bind(in_use, &plain())), Errno::EADDRINUSE);
    udp.bind(localhost(), &plain()).expect("the other family");
    udp.set_ttl(64).expect("an option of IPv4");
    udp.set_multicast_loop(true).expect("an option of IPv4");
    udp.set_receive_destination(true).expect("an option of IPv4");
    event_loop.close_and_finish();
}

// libuv: udp_create_early
#[test]
fn a_socket_can_be_there_before_the_bind() {
    let event_loop = test_loop();
    let udp = Udp::new_v4(&event_loop).expect("a socket");
    assert!(udp.fileno().is_ok_and(|fd| fd > 2));
    assert_eq!(udp.local_addr(), Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))));
    udp.set_recv_buffer_size(10_000).expect("before the bind");
    udp.bind(localhost(), &plain()).expect("bind");
    assert_eq!(udp.local_addr().expect("an address").ip(), Ipv4Addr::LOCALHOST);
    event_loop.close_and_finish();
}

// libuv: udp_create_early_bad_bind
#[test]
fn a_socket_of_one_family_is_not_bound_to_an_address_of_the_other() {
    let event_loop = test_loop();
    if has_ipv6() {
        let udp = Udp::new_v6(&event_loop).expect("a socket");
        assert_eq!(errno(udp.bind(localhost(), &plain())), Errno::EINVAL);
        assert_eq!(udp.local_addr(), Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))), "it stays");
        let udp = Udp::new_v4(&event_loop).expect("a socket");
        assert_eq!(errno(udp.bind(localhost6(), &plain())), Errno::EINVAL);
    }
    event_loop.close_and_finish();
}

// libuv: getsockname_udp
#[test]
fn addresses_are_known_once_there_is_a_socket() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    for error in [udp.local_addr(), udp.peer_addr()] {
        assert_eq!(errno(error), Errno::EBADF);
    }
    assert_eq!((errno(udp.fileno()), errno(udp.try_clone_fd())), (Errno::EBADF, Errno::EBADF));
    let (outside, addr) = peer();
    udp.send_to("hello", addr).expect("send");
    let ours = udp.local_addr().expect("a send binds");
    assert_eq!(ours.ip(), Ipv4Addr::UNSPECIFIED);
    event_loop.turn();
    let (_, from) = outside.recv_from(&mut [0; 8]).expect("a datagram");
    assert_eq!(from.port(), ours.port());
    assert_eq!(errno(udp.peer_addr()), Errno::ENOTCONN);
    udp.close();
    assert_eq!(errno(udp.local_addr()), Errno::EBADF);
    event_loop.finish();
}

// libuv: udp_dual_stack
#[test]
fn a_socket_of_ipv6_receives_ipv4_too() {
    let event_loop = test_loop();
    if has_ipv6() {
        let seen = Seen::default();
        let udp = Udp::new(&event_loop);
        udp.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), &plain()).expect("bind");
        udp.set_upcall(Watcher::new(&seen).on_receive(|udp, data, envelope| {
            udp.send_to(data.to_vec(), envelope.from).expect("send");
        }));
        udp.receive_start().expect("receive_start");
        let port = udp.local_addr().expect("an address").port();
        let (outside, from) = peer();
        outside.send_to(b"four", (Ipv4Addr::LOCALHOST, port)).expect("send");
        event_loop.until(|| seen.sends().len() == 1);
        let SocketAddr::V4(from) = from else { panic!("{from}") };
        let mapped = SocketAddr::from((from.ip().to_ipv6_mapped(), from.port()));
        assert_eq!(seen.envelopes()[0].from, mapped);
        assert_eq!(outside.recv(&mut [0; 8]).expect("an answer"), 4);
        // The kernel takes a plain address of IPv4 as well.
        udp.send_to("again", from.into()).expect("send");
        event_loop.until(|| seen.sends() == ["ok", "ok"]);
    }
    event_loop.close_and_finish();
}

// libuv: udp_ipv6_only
#[test]
fn a_socket_of_ipv6_alone_leaves_ipv4_to_others() {
    let event_loop = test_loop();
    if has_ipv6() {
        let udp = Udp::new(&event_loop);
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        udp.bind(any, &plain().ipv6_only(true)).expect("bind");
        let port = udp.local_addr().expect("an address").port();
        let other = Udp::new(&event_loop);
        other.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), &plain()).expect("free for IPv4");
        let (seen, six) = (Seen::default(), Seen::default());
        udp.set_upcall(Watcher::new(&six));
        other.set_upcall(Watcher::new(&seen));
        udp.receive_start().expect("receive_start");
        other.receive_start().expect("receive_start");
        peer().0.send_to(b"four", (Ipv4Addr::LOCALHOST, port)).expect("send");
        event_loop.until(|| seen.count() == 1);
        assert_eq!(six.count(), 0);
    }
    event_loop.close_and_finish();
}

// libuv: udp_open, udp_open_twice
#[test]
fn open_adopts_a_fresh_socket_once() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (outside, addr) = peer();
    let socket = UdpSocket::bind(localhost()).expect("bind");
    let ours = socket.local_addr().expect("an address");
    let udp = Udp::new(&event_loop);
    udp.open(socket.into()).expect("open");
    assert_eq!(errno(udp.open(peer().0.into())), Errno::EBUSY);
    udp.set_upcall(Watcher::new(&seen).on_receive(|udp, data, _| {
        assert_eq!(data, b"pong");
        udp.close();
    }));
    udp.receive_start().expect("receive_start");
    udp.send_to("ping", addr).expect("send");
    event_loop.turn();
    let (_, from) = outside.recv_from(&mut [0; 8]).expect("a datagram");
    assert_eq!(from, ours);
    outside.send_to(b"pong", ours).expect("send");
    event_loop.finish();
    assert_eq!((seen.sends(), seen.closes()), (vec!["ok"], 1));
}

// libuv: udp_open_bound
#[test]
fn a_bound_socket_that_is_adopted_is_bound() {
    let event_loop = test_loop();
    let (socket, addr) = peer();
    let udp = Udp::new(&event_loop);
    udp.open(socket.into()).expect("open");
    assert_eq!(udp.local_addr(), Ok(addr));
    assert_eq!(errno(udp.bind(localhost(), &plain())), Errno::EINVAL);
    let seen = Seen::default();
    udp.set_upcall(Watcher::new(&seen));
    udp.receive_start().expect("receive_start");
    peer().0.send_to(b"hello", addr).expect("send");
    event_loop.until(|| seen.count() == 1);
    event_loop.close_and_finish();
}

// libuv: udp_open_connect
#[test]
fn a_socket_with_a_peer_that_is_adopted_has_it() {
    let event_loop = test_loop();
    let (socket, _) = peer();
    let (outside, addr) = peer();
    socket.connect(addr).expect("connect");
    let udp = Udp::new(&event_loop);
    udp.open(socket.into()).expect("open");
    assert_eq!(udp.peer_addr(), Ok(addr));
    assert_eq!(errno(udp.connect(addr)).name(), "EISCONN");
    udp.send("hello").expect("send");
    assert_eq!(udp.try_send(b"hello", &SendOptions::default()), Ok(5));
    for _ in 0..2 {
        assert_eq!(outside.recv(&mut [0; 8]).expect("a datagram"), 5);
    }
    event_loop.close_and_finish();
}

// libuv: udp_send_unix. An address is one of IPv4 or IPv6 by its type, and so is an adopted socket.
#[test]
fn what_is_no_socket_of_udp_is_not_adopted() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    assert_eq!(errno(udp.open(File::open("/dev/null").expect("open").into())), Errno::ENOTSOCK);
    assert_eq!(errno(udp.open(UnixDatagram::unbound().expect("a socket").into())).name(), "EPROTOTYPE");
    assert_eq!(errno(udp.open(TcpListener::bind(LOCALHOST).expect("bind").into())).name(), "EPROTOTYPE");
    udp.close();
    assert_eq!(errno(udp.open(peer().0.into())), Errno::EINVAL);
    event_loop.finish();
}

#[test]
fn a_duplicate_works_on_after_the_close_and_causes_no_event() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    let duplicate = UdpSocket::from(udp.try_clone_fd().expect("a duplicate"));
    udp.close();
    peer().0.send_to(b"late", addr).expect("send");
    event_loop.turn();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!((seen.count(), seen.closes()), (0, 1));
    assert_eq!(duplicate.recv(&mut [0; 8]).expect("it is still there"), 4);
    event_loop.finish();
}

#[test]
fn a_socket_of_a_dropped_loop_is_closed_from_the_start() {
    let event_loop = Loop::new().expect("a loop");
    let handle = (*event_loop).clone();
    let (open, addr) = bound_udp(&event_loop, &Seen::default());
    drop(event_loop);
    for udp in [open, Udp::new(&handle)] {
        assert!(udp.is_closing());
        assert_eq!(errno(udp.bind(localhost(), &plain())), Errno::EINVAL);
        assert_eq!(errno(udp.send_to("a", addr)), Errno::EBADF);
        assert_eq!(errno(udp.receive_start()), Errno::EINVAL);
        assert_eq!(errno(udp.connect(addr)), Errno::EINVAL);
    }
    assert_eq!(errno(Udp::new_v4(&handle).map(drop)), Errno::EBADF);
}
