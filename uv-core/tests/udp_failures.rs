//! System calls for datagrams that fail: what waits, what is told, and what is cancelled. Each test runs in a process of
//! its own, in which it makes system calls fail.

mod alone;
mod common;
mod datagrams;
mod shim;

use common::*;
use datagrams::*;
use shim::Failing;
use std::io::IoSlice;
use std::net::{Ipv6Addr, SocketAddr};
use uv_core::udp::{Ecn, SendOptions, Udp, UdpOptions};

const EPERM: i32 = 1;
const EINTR: i32 = 4;
const EIO: i32 = 5;
const EBADF: i32 = 9;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ENOPROTOOPT: i32 = 92;
const ENOBUFS: i32 = 105;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

/// Runs the test of this name in a separate process, with calls that fail.
fn with_failures(name: &str, test: impl FnOnce(Failing)) {
    let status = alone::status(name, |command| drop(Failing::preload(command)), || test(Failing::here()));
    assert!(status.is_none_or(|status| status.success()));
}

// unpinned in libuv: EAGAIN with a queue waits
#[test]
fn a_full_kernel_is_waited_for_and_the_order_stays() {
    with_failures("a_full_kernel_is_waited_for_and_the_order_stays", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_udp(&event_loop, &seen);
        let (outside, addr) = peer();
        failing.fail("sendmmsg", EAGAIN, 1);
        let to = SendOptions::to(addr);
        udp.send_copy(&[IoSlice::new(b"first")], &to).expect("send");
        udp.send_to("second", addr).expect("send");
        assert_eq!(errno(udp.try_send(b"now", &to)), uv_core::Errno::EAGAIN);
        assert!(failing.is_over());
        assert_eq!(udp.send_queue_count(), 2);
        // Behind the queue, in memory of its own.
        udp.send_copy(&[IoSlice::new(b"th"), IoSlice::new(b"ird")], &to).expect("send");
        assert_eq!(udp.send_queue_size(), 16);
        assert_eq!(errno(udp.try_send(b"now", &to)), uv_core::Errno::EAGAIN);
        event_loop.until(|| seen.sends().len() == 3);
        let mut buffer = [0; 16];
        for expected in ["first", "second", "third"] {
            let count = outside.recv(&mut buffer).expect("a datagram");
            assert_eq!(&buffer[..count], expected.as_bytes());
        }
        assert_eq!(seen.sends(), ["ok"; 3]);
        event_loop.close_and_finish();
    });
}

// libuv: watcher_cross_stop
#[test]
fn a_close_cancels_what_waits_in_order_before_on_close() {
    with_failures("a_close_cancels_what_waits_in_order_before_on_close", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_udp(&event_loop, &seen);
        let (outside, addr) = peer();
        // Two leave, and then the kernel is full.
        udp.send_to("first", addr).expect("send");
        udp.try_send(b"second", &SendOptions::to(addr)).expect("send");
        failing.fail_always("sendmmsg", EAGAIN);
        for _ in 0..3 {
            udp.send_to("waits", addr).expect("send");
        }
        let order = seen.clone();
        udp.set_upcall(Watcher::new(&seen).on_close(move |_| {
            assert_eq!(order.sends(), ["ok", "ECANCELED", "ECANCELED", "ECANCELED"]);
        }));
        udp.close();
        assert_eq!(seen.sends(), [""; 0]);
        event_loop.finish();
        assert_eq!((seen.closes(), udp.send_queue_count()), (1, 0));
        failing.stop();
        for expected in [5, 6] {
            assert_eq!(outside.recv(&mut [0; 16]).expect("a datagram"), expected);
        }
    });
}

#[test]
fn what_waits_for_the_peer_goes_to_it_also_when_the_socket_has_another_one() {
    with_failures("what_waits_for_the_peer_goes_to_it_also_when_the_socket_has_another_one", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_udp(&event_loop, &seen);
        let ((first, addr), (second, other)) = (peer(), peer());
        udp.connect(addr).expect("connect");
        failing.fail("sendto", EAGAIN, 1);
        udp.send("for the first").expect("send");
        udp.disconnect().expect("disconnect");
        assert!(failing.is_over() && udp.send_queue_count() == 1, "it waits");
        udp.connect(other).expect("connect");
        udp.send("for the second").expect("send");
        event_loop.until(|| seen.sends().len() == 2);
        assert_eq!(seen.sends(), ["ok", "ok"]);
        let mut buffer = [0; 16];
        for (socket, expected) in [(first, "for the first"), (second, "for the second")] {
            let count = socket.recv(&mut buffer).expect("a datagram");
            assert_eq!(&buffer[..count], expected.as_bytes());
        }
        event_loop.close_and_finish();
    });
}

// unpinned in libuv: ENOBUFS is told
#[test]
fn a_lack_of_memory_loses_the_datagram_that_met_it_and_this_is_told() {
    with_failures("a_lack_of_memory_loses_the_datagram_that_met_it_and_this_is_told", |failing| {
        let event_loop = test_loop();
        let (_outside, addr) = peer();
        for (errno, name) in [(ENOBUFS, "ENOBUFS"), (ENOMEM, "ENOMEM"), (EPERM, "EPERM")] {
            let seen = Seen::default();
            let (udp, _) = bound_udp(&event_loop, &seen);
            failing.fail("sendmmsg", errno, 1);
            for _ in 0..3 {
                udp.send_to("hello", addr).expect("send");
            }
            event_loop.turn();
            assert_eq!(seen.sends(), [name, "ok", "ok"]);
            failing.fail("sendto", errno, 1);
            let failed = udp.try_send(b"hello", &SendOptions::to(addr));
            assert_eq!(failed.expect_err("it fails").errno().name(), name);
        }
        event_loop.close_and_finish();
    });
}

#[test]
fn interrupted_calls_are_repeated_and_a_storm_of_signals_is_waited_out() {
    with_failures("interrupted_calls_are_repeated_and_a_storm_of_signals_is_waited_out", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, ours) = receiving(&event_loop, &seen);
        let (outside, addr) = peer();
        for times in [3, 100] {
            failing.fail("sendto", EINTR, times);
            let before = seen.sends().len();
            udp.send_to("hello", addr).expect("send");
            event_loop.until(|| seen.sends().len() > before);
            assert!(failing.is_over());
            failing.fail("recvmmsg", EINTR, times);
            let before = seen.count();
            outside.send_to(b"hello", ours).expect("send");
            event_loop.until(|| seen.count() > before);
            assert!(failing.is_over());
        }
        failing.fail("sendto", EINTR, 100);
        let error = udp.try_send(b"hello", &SendOptions::to(addr)).expect_err("a storm");
        assert_eq!(error.errno(), uv_core::Errno::EAGAIN);
        failing.stop();
        assert_eq!(seen.errors(), []);
        event_loop.close_and_finish();
    });
}

#[test]
fn a_lack_of_memory_delays_receiving_and_loses_nothing() {
    with_failures("a_lack_of_memory_delays_receiving_and_loses_nothing", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (_udp, ours) = receiving(&event_loop, &seen);
        let (outside, _) = peer();
        event_loop.turn();
        for (call, errno) in [("recvmmsg", ENOMEM), ("epoll_ctl", ENOMEM)] {
            failing.fail(call, errno, 3);
            let (_other, _) = receiving(&event_loop, &Seen::default());
            let before = seen.count();
            outside.send_to(b"hello", ours).expect("send");
            event_loop.until(|| seen.count() > before && failing.is_over());
        }
        assert_eq!(seen.errors(), []);
        event_loop.close_and_finish();
    });
}

#[test]
fn an_unknown_failure_of_receiving_is_told_and_does_not_spin() {
    with_failures("an_unknown_failure_of_receiving_is_told_and_does_not_spin", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, ours) = receiving(&event_loop, &seen);
        let (outside, _) = peer();
        failing.fail_always("recvmmsg", EPERM);
        outside.send_to(b"hello", ours).expect("send");
        event_loop.until(|| seen.errors().len() == 3);
        assert_eq!(failing.stop(), 3, "each with a pause");
        event_loop.until(|| seen.count() == 1);
        // A mistake ends it.
        failing.fail("recvmmsg", EBADF, 1);
        outside.send_to(b"hello", ours).expect("send");
        event_loop.until(|| seen.errors().len() == 4);
        assert!(!udp.is_receiving());
        event_loop.close_and_finish();
    });
}

#[test]
fn an_error_that_comes_twice_is_that_of_the_datagram_itself() {
    with_failures("an_error_that_comes_twice_is_that_of_the_datagram_itself", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_udp(&event_loop, &seen);
        let (_outside, addr) = peer();
        failing.fail("sendmmsg", ECONNREFUSED, 2);
        udp.send_to("unlucky", addr).expect("send");
        udp.send_to("lucky", addr).expect("send");
        event_loop.turn();
        assert_eq!((seen.sends(), seen.errors().len()), (vec!["ECONNREFUSED", "ok"], 0));
        failing.fail("sendto", ECONNREFUSED, 2);
        let error = udp.try_send(b"unlucky", &SendOptions::to(addr)).expect_err("it fails");
        assert_eq!(error.errno().name(), "ECONNREFUSED");
        event_loop.turn();
        assert_eq!(seen.errors(), []);
        event_loop.close_and_finish();
    });
}

#[test]
fn segments_that_the_kernel_refuses_leave_each_by_itself_from_then_on() {
    with_failures("segments_that_the_kernel_refuses_leave_each_by_itself_from_then_on", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_udp(&event_loop, &seen);
        let (outside, addr) = peer();
        let data: Vec<u8> = (0..64 * 100u32).map(|number| (number % 253) as u8).collect();
        let options = SendOptions::to(addr).segment(100);
        failing.fail("sendmmsg", EIO, 1);
        udp.send_to("before", addr).expect("send");
        udp.send_with(data.clone(), &options).expect("send");
        udp.send_with(data[..150].to_vec(), &options).expect("send");
        udp.send_with("", &options).expect("send");
        udp.send_to("behind", addr).expect("send");
        event_loop.turn();
        assert_eq!(seen.sends(), ["EIO", "ok", "ok", "ok", "ok"], "only buffers of segments are split");
        failing.fail("sendmmsg", EINVAL, 1);
        udp.send_with(data.clone(), &options).expect("send");
        event_loop.turn();
        assert!(failing.is_over());
        assert_eq!(seen.sends()[5..], ["ok"]);
        assert_eq!(udp.try_send(&data[..250], &options), Ok(250));
        let expected = data.chunks(100).chain([&data[..100], &data[100..150], b"", b"behind"]);
        let expected = expected.chain(data.chunks(100)).chain(data[..250].chunks(100));
        let mut buffer = [0; 200];
        for expected in expected {
            let count = outside.recv(&mut buffer).expect("a datagram");
            assert_eq!(&buffer[..count], expected);
        }
        event_loop.close_and_finish();
    });
}

#[test]
fn a_buffer_that_is_wrong_itself_does_not_split_later_ones() {
    with_failures("a_buffer_that_is_wrong_itself_does_not_split_later_ones", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, _) = bound_udp(&event_loop, &seen);
        let (_outside, addr) = peer();
        let options = SendOptions::to(addr).segment(100);
        // Refused as a whole, and its first segment, too.
        failing.fail("sendmmsg", EINVAL, 2);
        udp.send_with(vec![0; 250], &options).expect("send");
        event_loop.turn();
        // The next one leaves as a whole, so that it can be refused as a whole.
        failing.fail("sendmmsg", EIO, 1);
        udp.send_with(vec![0; 250], &options).expect("send");
        event_loop.turn();
        assert!(failing.is_over());
        assert_eq!(seen.sends(), ["EINVAL", "ok"]);
        event_loop.close_and_finish();
    });
}

#[test]
fn a_kernel_that_refuses_ecn_is_an_error_and_the_socket_works_on_without() {
    with_failures("a_kernel_that_refuses_ecn_is_an_error_and_the_socket_works_on_without", |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, ours) = receiving(&event_loop, &seen);
        let (client, _) = bound_udp(&event_loop, &Seen::default());
        failing.fail_always("setsockopt", ENOPROTOOPT);
        for refused in [udp.set_receive_ecn(true), udp.set_receive_destination(true), udp.set_gro(true)] {
            let error = refused.expect_err("the kernel refuses");
            assert_eq!((error.op(), error.errno().name()), ("setsockopt", "ENOPROTOOPT"));
        }
        failing.stop();
        let marked = SendOptions::to(ours).ecn(Ecn::Ect0);
        client.try_send(b"marked", &marked).expect("send");
        event_loop.until(|| seen.count() == 1);
        assert_eq!((seen.envelopes()[0].ecn, seen.envelopes()[0].destination), (None, None));
        udp.set_receive_ecn(true).expect("the kernel has changed its mind");
        client.try_send(b"marked", &marked).expect("send");
        event_loop.until(|| seen.count() == 2);
        assert_eq!(seen.envelopes()[1].ecn, Some(Ecn::Ect0));
        event_loop.close_and_finish();
    });
}

#[test]
fn an_option_of_both_families_is_set_for_both_or_for_none() {
    with_failures("an_option_of_both_families_is_set_for_both_or_for_none", |failing| {
        if !has_ipv6() {
            return;
        }
        let event_loop = test_loop();
        let seen = Seen::default();
        let udp = Udp::new(&event_loop);
        udp.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), &UdpOptions::default()).expect("bind");
        udp.set_upcall(Watcher::new(&seen));
        udp.receive_start().expect("receive_start");
        failing.fail_after(1, "setsockopt", ENOPROTOOPT, 1);
        assert_eq!(errno(udp.set_receive_ecn(true)).name(), "ENOPROTOOPT");
        assert!(failing.is_over());
        // The kernel tells the destination, and no mark with it.
        udp.set_receive_destination(true).expect("an option");
        let ours = SocketAddr::from(([127, 0, 0, 1], udp.local_addr().expect("an address").port()));
        let client = Udp::new(&event_loop);
        client.try_send(b"marked", &SendOptions::to(ours).ecn(Ecn::Ect1)).expect("send");
        event_loop.until(|| seen.count() == 1);
        let envelope = seen.envelopes()[0];
        assert_eq!((envelope.ecn, envelope.destination.is_some()), (None, true));
        event_loop.close_and_finish();
    });
}

/// As a sender of forged ICMP messages has it.
#[test]
fn a_flood_of_errors_has_its_bound_in_a_turn_and_delays_what_was_received_no_more() {
    let name = "a_flood_of_errors_has_its_bound_in_a_turn_and_delays_what_was_received_no_more";
    with_failures(name, |failing| {
        let event_loop = test_loop();
        let seen = Seen::default();
        let (udp, ours) = receiving(&event_loop, &seen);
        let (outside, addr) = peer();
        udp.connect(addr).expect("connect");
        event_loop.turn();
        for errno in [ECONNREFUSED, EHOSTUNREACH] {
            let before = (seen.errors().len(), seen.count());
            failing.fail("recvmmsg", errno, 100);
            outside.send_to(b"hello", ours).expect("send");
            for expected in [32, 64, 96, 100] {
                event_loop.turn();
                assert_eq!(seen.errors().len() - before.0, expected, "of 32 in a turn");
            }
            event_loop.until(|| seen.count() == before.1 + 1);
            assert!(failing.is_over() && udp.is_receiving());
        }
        // What is sent meets one each, and leaves.
        for _ in 0..100 {
            failing.fail("sendto", EHOSTUNREACH, 1);
            udp.send("hello").expect("send");
            event_loop.turn();
            assert_eq!(outside.recv(&mut [0; 8]).expect("a datagram"), 5);
        }
        assert_eq!(seen.sends(), vec!["ok"; 100]);
        assert_eq!(seen.errors().len(), 300);
        event_loop.close_and_finish();
    });
}
