//! Datagrams that do not arrive: ICMP messages tell of them, once, and the socket works on.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use uv_core::Timer;
use uv_core::udp::{SendOptions, Udp, UdpOptions};

fn with_queue() -> UdpOptions {
    UdpOptions::default().error_queue(true)
}

// libuv: udp_send_unreachable
#[test]
fn without_a_peer_only_a_socket_with_an_error_queue_learns_that_no_socket_receives() {
    let event_loop = test_loop();
    let (plain, queue) = (Seen::default(), Seen::default());
    let closed = closed_udp_port();
    let (without, _) = bound_udp(&event_loop, &plain);
    let (with, _) = bound_with(&event_loop, &queue, &with_queue());
    for udp in [&without, &with] {
        udp.receive_start().expect("receive_start");
        udp.send_to("PING", closed).expect("send");
        udp.send_to("PANG", closed).expect("send");
    }
    event_loop.until(|| queue.errors().len() == 2);
    event_loop.turn();
    assert_eq!((plain.sends(), queue.sends()), (vec!["ok"; 2], vec!["ok"; 2]));
    assert_eq!(queue.errors(), [("ECONNREFUSED", Some(closed)); 2]);
    assert_eq!(plain.errors(), []);
    // Both work on.
    let (outside, addr) = peer();
    for udp in [&without, &with] {
        udp.send_to("hello", addr).expect("send");
    }
    event_loop.until(|| plain.sends().len() == 3 && queue.sends().len() == 3);
    assert_eq!(outside.recv(&mut [0; 8]).expect("a datagram"), 5);
    event_loop.close_and_finish();
}

fn an_error_is_told_once(local: SocketAddr, closed: SocketAddr) {
    let event_loop = test_loop();
    let seen = Seen::default();
    let udp = Udp::new(&event_loop);
    udp.bind(local, &with_queue()).expect("bind");
    udp.set_upcall(Watcher::new(&seen));
    udp.receive_start().expect("receive_start");
    udp.send_to("PING", closed).expect("send");
    event_loop.until(|| !seen.errors().is_empty());
    for _ in 0..3 {
        event_loop.turn();
    }
    assert_eq!(seen.errors(), [("ECONNREFUSED", Some(closed))]);
    assert_eq!((seen.sends(), seen.count()), (vec!["ok"], 0));
    event_loop.close_and_finish();
}

// libuv: udp_recvmsg_unreachable_error
#[test]
fn an_error_is_told_once_with_its_destination() {
    an_error_is_told_once(localhost(), closed_udp_port());
}

// libuv: udp_recvmsg_unreachable_error6
#[test]
fn an_error_of_ipv6_is_told_once_with_its_destination() {
    if has_ipv6() {
        let closed = std::net::UdpSocket::bind(localhost6()).and_then(|socket| socket.local_addr());
        an_error_is_told_once(localhost6(), closed.expect("a port"));
    }
}

fn too_big_is_told_by_the_send_alone(local: SocketAddr, len: usize) {
    let event_loop = test_loop();
    let seen = Seen::default();
    let udp = Udp::new(&event_loop);
    udp.bind(local, &with_queue()).expect("bind");
    udp.set_upcall(Watcher::new(&seen));
    udp.receive_start().expect("receive_start");
    let to = udp.local_addr().expect("an address");
    udp.send_to(vec![0; len], to).expect("send");
    assert_eq!(errno(udp.try_send(&vec![0; len], &SendOptions::to(to))).name(), "EMSGSIZE");
    udp.send_to("behind", to).expect("send");
    event_loop.until(|| seen.count() == 1);
    for _ in 0..3 {
        event_loop.turn();
    }
    assert_eq!((seen.sends(), seen.errors()), (vec!["EMSGSIZE", "ok"], vec![]));
    event_loop.close_and_finish();
}

// The kernel puts it into the error queue as well.
#[test]
fn a_datagram_that_is_too_big_is_no_error_of_an_earlier_one() {
    too_big_is_told_by_the_send_alone(localhost(), 65_510);
    if has_ipv6() {
        too_big_is_told_by_the_send_alone(localhost6(), 65_530);
    }
}

// The kernel notes it for the next call as well.
#[test]
fn a_socket_with_a_peer_and_an_error_queue_is_told_once() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_with(&event_loop, &seen, &with_queue());
    let closed = closed_udp_port();
    udp.connect(closed).expect("connect");
    udp.receive_start().expect("receive_start");
    udp.send("PING").expect("send");
    event_loop.until(|| !seen.errors().is_empty());
    for _ in 0..3 {
        event_loop.turn();
    }
    assert_eq!((seen.sends(), seen.errors()), (vec!["ok"], vec![("ECONNREFUSED", Some(closed))]));
    event_loop.close_and_finish();
}

#[test]
fn an_error_of_ipv4_is_told_to_a_socket_of_ipv6_once() {
    if has_ipv6() {
        let event_loop = test_loop();
        let seen = Seen::default();
        let udp = Udp::new(&event_loop);
        udp.bind("[::]:0".parse().expect("an address"), &with_queue()).expect("bind");
        udp.set_upcall(Watcher::new(&seen));
        udp.receive_start().expect("receive_start");
        let closed = closed_udp_port();
        udp.send_to("PING", closed).expect("send");
        event_loop.until(|| !seen.errors().is_empty());
        for _ in 0..3 {
            event_loop.turn();
        }
        let errors = seen.errors();
        assert_eq!((errors.len(), errors[0].0, seen.sends()), (1, "ECONNREFUSED", vec!["ok"]));
        let to = errors[0].1.expect("the destination is known");
        assert_eq!((to.ip().to_canonical(), to.port()), (closed.ip(), closed.port()));
        event_loop.close_and_finish();
    }
}

#[test]
fn a_socket_with_a_peer_learns_without_an_error_queue() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    let closed = closed_udp_port();
    udp.connect(closed).expect("connect");
    udp.send("PING").expect("send");
    event_loop.until(|| !seen.errors().is_empty());
    event_loop.turn();
    assert_eq!(seen.errors(), [("ECONNREFUSED", None)]);
    assert!(udp.is_receiving());
    // A socket begins to receive there.
    let late = std::net::UdpSocket::bind(closed).expect("bind");
    udp.send("PING").expect("send");
    event_loop.turn();
    assert_eq!(late.recv(&mut [0; 8]).expect("a datagram"), 4);
    late.send_to(b"PONG", addr).expect("send");
    event_loop.until(|| seen.count() == 1);
    assert_eq!((seen.sends(), seen.errors().len()), (vec!["ok"; 2], 1));
    event_loop.close_and_finish();
}

// libuv: udp_sendmmsg_error
#[test]
fn an_error_of_an_earlier_datagram_does_not_fail_the_next_one() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    udp.connect(closed_udp_port()).expect("connect");
    for _ in 0..6 {
        udp.send("TEST").expect("send");
    }
    event_loop.until(|| seen.sends().len() == 6);
    // The kernel may be late with its answer.
    while seen.errors().is_empty() {
        udp.send("TEST").expect("send");
        event_loop.turn();
    }
    assert!(seen.sends().iter().all(|result| *result == "ok"));
    assert_eq!(udp.send_queue_size(), 0);
    event_loop.close_and_finish();
}

#[test]
fn what_is_sent_at_once_meets_an_earlier_error_and_goes_out() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    udp.connect(closed_udp_port()).expect("connect");
    while seen.errors().is_empty() {
        for _ in 0..3 {
            assert_eq!(udp.try_send(b"TEST", &SendOptions::default()), Ok(4));
        }
        assert_eq!(seen.errors(), [], "a downcall never calls up");
        event_loop.turn();
    }
    assert_eq!(seen.errors(), [("ECONNREFUSED", None)], "what came before one report is one error");
    event_loop.close_and_finish();
}

#[test]
fn a_port_where_no_socket_receives_costs_other_destinations_nothing() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_with(&event_loop, &seen, &with_queue());
    let ((outside, addr), closed) = (peer(), closed_udp_port());
    let (dead, live) = (SendOptions::to(closed), SendOptions::to(addr));
    for _ in 0..10 {
        let many = [(&b"a"[..], live), (b"b", dead), (b"c", live), (b"d", dead), (b"e", live)];
        assert_eq!(udp.try_send_many(&many), Ok(5));
        for expected in ["a", "c", "e"] {
            let mut buffer = [0; 8];
            let count = outside.recv(&mut buffer).expect("a datagram");
            assert_eq!(&buffer[..count], expected.as_bytes());
        }
        event_loop.turn();
    }
    event_loop.close_and_finish();
}

// libuv: udp_recv_cb_close_pollerr
#[test]
fn a_close_in_the_report_of_an_error_is_the_end() {
    for options in [UdpOptions::default(), with_queue()] {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_with(&event_loop, &seen, &options);
        udp.set_upcall(Watcher::new(&seen).on_error(|udp| udp.close()));
        udp.connect(closed_udp_port()).expect("connect");
        udp.receive_start().expect("receive_start");
        for _ in 0..3 {
            let _ = udp.try_send(b"PING", &SendOptions::default());
        }
        event_loop.finish();
        assert_eq!((seen.errors().len(), seen.closes()), (1, 1));
    }
}

// libuv: udp_send_pollerr_no_recv
#[test]
fn an_error_without_receiving_neither_spins_nor_is_lost() {
    for options in [UdpOptions::default(), with_queue()] {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_with(&event_loop, &seen, &options);
        udp.connect(closed_udp_port()).expect("connect");
        udp.send("PING").expect("send");
        event_loop.turn();
        assert_eq!(seen.sends(), ["ok"]);
        // Received once, it is watched ever after.
        udp.receive_start().expect("receive_start");
        event_loop.until(|| seen.errors().len() == 1);
        udp.receive_stop();
        udp.send("PING").expect("send");
        let turns = Rc::new(Cell::new(0));
        let (timer, counted) = (Timer::new(&event_loop), Rc::clone(&turns));
        timer.start(Duration::from_millis(50), Duration::ZERO, |timer: &Timer| timer.close()).expect("start");
        let check = uv_core::Check::new(&event_loop);
        check.unref();
        check.start(move |_: &uv_core::Check| counted.set(counted.get() + 1)).expect("start");
        event_loop.until(|| timer.is_closing());
        assert_eq!(seen.errors().len(), 2);
        assert!(turns.get() < 10, "{} turns", turns.get());
        event_loop.close_and_finish();
    }
}

#[test]
fn a_flood_of_errors_has_its_bound_in_a_turn() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_with(&event_loop, &seen, &with_queue());
    udp.receive_start().expect("receive_start");
    let closed = closed_udp_port();
    for _ in 0..200 {
        udp.try_send(b"PING", &SendOptions::to(closed)).expect("it has no peer");
    }
    event_loop.turn();
    let first = seen.errors().len();
    assert!(first <= 3 * 32, "{first} errors in a turn: 32 in each of its three phases at most");
    event_loop.until(|| seen.errors().len() > 3 * 32);
    let (outside, addr) = peer();
    outside.send_to(b"hello", udp.local_addr().expect("an address")).expect("send");
    udp.send_to("hello", addr).expect("send");
    event_loop.until(|| seen.count() == 1);
    event_loop.close_and_finish();
}
