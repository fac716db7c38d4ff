//! Sending datagrams: results, the queue, and sending at once.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;
use uv_core::udp::{SendOptions, Udp};
use uv_core::{Errno, RunMode, Timer};

// libuv: udp_send_and_recv
#[test]
fn a_datagram_goes_there_and_its_answer_comes_back() {
    let event_loop = test_loop();
    let (server_seen, client_seen) = (Seen::default(), Seen::default());
    let (server, addr) = bound_udp(&event_loop, &server_seen);
    server.set_upcall(Watcher::new(&server_seen).on_receive(|server, data, envelope| {
        assert_eq!(data, b"PING");
        server.send_to("PONG", envelope.from).expect("send");
        server.receive_stop();
    }));
    server.receive_start().expect("receive_start");
    let client = Udp::new(&event_loop);
    let other = server.clone();
    client.set_upcall(Watcher::new(&client_seen).on_receive(move |client, data, envelope| {
        assert_eq!((data, envelope.from), (&b"PONG"[..], addr));
        client.close();
        other.close();
    }));
    client.send_to("PING", addr).expect("send");
    client.receive_start().expect("receive_start");
    assert!(client.is_active() && client.is_receiving());
    event_loop.finish();
    assert_eq!((server_seen.sends(), client_seen.sends()), (vec!["ok"], vec!["ok"]));
    assert_eq!((server_seen.closes(), client_seen.closes()), (1, 1));
    assert_eq!((server.send_queue_count(), client.send_queue_size()), (0, 0));
}

// libuv: udp_send_immediate
#[test]
fn a_send_is_reported_later_also_if_the_datagram_has_left() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (outside, addr) = peer();
    udp.send_to("one", addr).expect("send");
    udp.send_to("two", addr).expect("send");
    assert_eq!(seen.sends(), [""; 0]);
    assert_eq!((udp.send_queue_count(), udp.send_queue_size()), (2, 6));
    assert_eq!(event_loop.active_requests(), 2);
    event_loop.turn();
    assert_eq!(seen.sends(), ["ok", "ok"]);
    assert_eq!((udp.send_queue_count(), udp.send_queue_size()), (0, 0));
    let mut buffer = [0; 16];
    for expected in [&b"one"[..], b"two"] {
        let (count, _) = outside.recv_from(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..count], expected);
    }
    event_loop.close_and_finish();
}

// libuv: udp_send_hang_loop
#[test]
fn an_endless_chain_of_sends_does_not_starve_a_timer() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (_outside, addr) = peer();
    udp.set_upcall(Watcher::new(&seen).on_send(move |udp| {
        // Until the close.
        let _ = udp.send_to("again", addr);
    }));
    udp.send_to("first", addr).expect("send");
    let timer = Timer::new(&event_loop);
    timer
        .start(Duration::from_millis(20), Duration::ZERO, move |timer: &Timer| {
            udp.close();
            timer.close();
        })
        .expect("start");
    event_loop.finish();
    assert!(seen.sends().len() > 10);
}

// libuv: udp_try_send
#[test]
fn a_call_that_sends_at_once_has_sent_or_failed_when_it_returns() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (server, addr) = receiving(&event_loop, &seen);
    let client = Udp::new(&event_loop);
    let to = SendOptions::to(addr);
    assert_eq!(errno(client.try_sendv(&[], &to)), Errno::EINVAL, "no buffers");
    let error = client.try_send(&[0; 65_536], &to).expect_err("too large");
    assert_eq!(
        (error.op(), error.errno(), error.target()),
        ("send", Errno::EMSGSIZE, Some(&*addr.to_string()))
    );
    assert_eq!(client.try_send_many(&[(b"HELO", to), (b"HELO", to)]), Ok(2));
    event_loop.until(|| seen.count() == 2);
    server.receive_stop();
    assert_eq!(client.try_send(b"", &to), Ok(0), "an empty datagram is one");
    assert_eq!(client.try_sendv(&[IoSlice::new(b"EX"), IoSlice::new(b"IT")], &to), Ok(4));
    event_loop.turn();
    assert_eq!(seen.count(), 2, "it does not receive");
    server.receive_start().expect("receive_start");
    event_loop.until(|| seen.count() == 4);
    assert_eq!(seen.data()[2..], [b"".to_vec(), b"EXIT".to_vec()]);
    event_loop.close_and_finish();
}

// unpinned in libuv, PR 5245: it skips some of more than 20
#[test]
fn of_many_that_are_sent_at_once_each_goes_once() {
    let event_loop = test_loop();
    let client = Udp::new(&event_loop);
    let (outside, addr) = peer();
    let contents: Vec<[u8; 1]> = (0..150).map(|number| [number]).collect();
    let all: Vec<(&[u8], SendOptions)> =
        contents.iter().map(|content| (&content[..], SendOptions::to(addr))).collect();
    assert_eq!(client.try_send_many(&all), Ok(150));
    assert_eq!(client.try_send_many(&[]), Ok(0));
    let mut buffer = [0; 16];
    for content in contents {
        assert_eq!(outside.recv(&mut buffer).expect("a datagram"), 1);
        assert_eq!(buffer[0], content[0]);
    }
    // A datagram that cannot be sent ends the call, and is the error of the next call.
    let giant = vec![0; 70_000];
    let mixed = [(&b"a"[..], SendOptions::to(addr)), (&giant, SendOptions::to(addr))];
    assert_eq!(client.try_send_many(&mixed), Ok(1));
    assert_eq!(errno(client.try_send_many(&mixed[1..])), Errno::EMSGSIZE);
    event_loop.close_and_finish();
}

// libuv: udp_dgram_too_big
#[test]
fn a_datagram_that_is_too_big_fails_in_its_own_report() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (_outside, addr) = peer();
    udp.send_to("before", addr).expect("send");
    udp.send_to(vec![0; 65_536], addr).expect("send");
    udp.send_to("behind", addr).expect("send");
    event_loop.turn();
    assert_eq!(seen.sends(), ["ok", "EMSGSIZE", "ok"]);
    event_loop.close_and_finish();
}

#[test]
fn the_largest_and_the_smallest_datagram_arrive_whole() {
    let event_loop = test_loop();
    let (seen, sent) = (Seen::default(), Seen::default());
    let (_server, addr) = receiving(&event_loop, &seen);
    let (client, _) = bound_udp(&event_loop, &sent);
    let giant: Vec<u8> = (0..65_507u32).map(|number| (number % 251) as u8).collect();
    client.send_to(giant.clone(), addr).expect("send");
    // Two of them may be more than the receiver's buffer in the kernel has room for.
    event_loop.until(|| seen.count() == 1);
    client.send_to("", addr).expect("send");
    client
        .send_copy(&[IoSlice::new(&giant[..7]), IoSlice::new(&giant[7..])], &SendOptions::to(addr))
        .expect("send");
    event_loop.until(|| seen.count() == 3);
    assert_eq!(seen.data(), [giant.clone(), Vec::new(), giant]);
    assert!(seen.envelopes().iter().all(|envelope| !envelope.is_truncated));
    assert_eq!(sent.sends(), ["ok"; 3]);
    event_loop.close_and_finish();
}

// libuv: udp_send_fail_nbufs
#[test]
fn no_buffers_are_refused() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    let (_outside, addr) = peer();
    let too_many = vec![IoSlice::new(b""); 1025];
    for buffers in [&[][..], &too_many] {
        assert_eq!(errno(udp.send_copy(buffers, &SendOptions::to(addr))), Errno::EINVAL);
    }
    assert_eq!(event_loop.active_requests(), 0);
    udp.send_copy(&too_many[1..], &SendOptions::to(addr)).expect("the most that the kernel takes");
    event_loop.turn();
    event_loop.close_and_finish();
}

#[test]
fn mistakes_are_errors_of_the_call_and_queue_nothing() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    let (_outside, addr) = peer();
    let nowhere = SocketAddr::new(addr.ip(), 0);
    assert_eq!(errno(udp.send_to("a", nowhere)), Errno::EINVAL, "port 0");
    assert_eq!(errno(udp.send_with(vec![0; 9], &SendOptions::to(addr).segment(0))), Errno::EINVAL);
    assert_eq!(errno(udp.send_with(vec![0; 65], &SendOptions::to(addr).segment(1))), Errno::EINVAL);
    assert_eq!(errno(udp.send("a")).name(), "EDESTADDRREQ");
    assert_eq!(errno(udp.try_send(b"a", &SendOptions::default())).name(), "EDESTADDRREQ");
    assert_eq!((udp.send_queue_count(), event_loop.active_requests()), (0, 0));
    udp.close();
    assert_eq!(errno(udp.send_to("a", addr)), Errno::EBADF);
    assert_eq!(errno(udp.try_send(b"a", &SendOptions::to(addr))), Errno::EBADF);
    event_loop.finish();
}

#[test]
fn the_wrong_family_is_the_failure_of_one_datagram() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (_outside, addr) = peer();
    udp.send_to("six", "[::1]:9".parse().expect("an address")).expect("send");
    udp.send_to("four", addr).expect("send");
    event_loop.turn();
    assert_eq!(seen.sends(), ["EAFNOSUPPORT", "ok"]);
    assert_eq!(seen.targets(), [Some("[::1]:9".to_owned())], "the error names it");
    event_loop.close_and_finish();
}

#[test]
fn what_is_sent_at_once_does_not_overtake_the_queue() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let (outside, addr) = peer();
    udp.send_to("first", addr).expect("send");
    assert_eq!(udp.try_send(b"second", &SendOptions::to(addr)), Ok(6));
    assert_eq!(udp.send_queue_count(), 0);
    let mut buffer = [0; 16];
    for expected in [&b"first"[..], b"second"] {
        let count = outside.recv(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..count], expected);
    }
    assert_eq!(seen.sends(), [""; 0], "a downcall never calls up");
    event_loop.turn();
    assert_eq!(seen.sends(), ["ok"]);
    event_loop.close_and_finish();
}

#[test]
fn many_datagrams_of_one_turn_leave_in_order_with_a_result_for_each() {
    let event_loop = test_loop();
    let (seen, sent) = (Seen::default(), Seen::default());
    let (_server, addr) = receiving(&event_loop, &seen);
    let (client, _) = bound_udp(&event_loop, &sent);
    for number in 0..200u32 {
        client.send_copy(&[IoSlice::new(&number.to_be_bytes())], &SendOptions::to(addr)).expect("send");
    }
    event_loop.until(|| seen.count() == 200);
    let numbers: Vec<u32> =
        seen.data().iter().map(|data| u32::from_be_bytes(data[..].try_into().expect("four bytes"))).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    assert_eq!(sent.sends(), vec!["ok"; 200]);
    event_loop.close_and_finish();
}

#[test]
fn what_a_datagram_owns_is_dropped_when_it_is_sent() {
    let event_loop = test_loop();
    let (_outside, addr) = peer();
    let udp = Udp::new(&event_loop);
    let data = bytes::Bytes::from(vec![7; 100]);
    udp.send_to(data.clone(), addr).expect("send");
    assert!(!data.is_unique());
    event_loop.turn();
    assert!(data.is_unique());
    event_loop.close_and_finish();
}

// libuv: udp_ref3
#[test]
fn a_datagram_in_flight_keeps_the_loop_alive_without_a_reference_to_its_socket() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    udp.unref();
    let (_outside, addr) = peer();
    udp.send_to("ping", addr).expect("send");
    assert!(event_loop.is_alive());
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(seen.sends(), ["ok"]);
    event_loop.close_and_finish();
}

// libuv: udp_ref, udp_ref2
#[test]
fn a_socket_without_a_reference_does_not_keep_the_loop_alive() {
    let event_loop = test_loop();
    let idle = Udp::new(&event_loop);
    idle.unref();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    let seen = Seen::default();
    let (udp, _) = receiving(&event_loop, &seen);
    assert!(event_loop.is_alive());
    udp.unref();
    assert!(!event_loop.is_alive());
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close_and_finish();
}
