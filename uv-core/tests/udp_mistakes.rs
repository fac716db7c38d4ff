//! Mistakes with sockets of datagrams: each is refused before any system call, or told by a text that says what is wrong.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use uv_core::udp::{Interface, SendOptions, Udp, UdpOptions};
use uv_core::{Error, Loop, Result};

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 255, 0, 1));
const GROUP_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234));

fn told<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.expect_err("a mistake").to_string()
}

#[test]
fn a_mistake_is_told_by_what_is_wrong() {
    let event_loop = test_loop();
    let plain = UdpOptions::default();
    let none = Udp::new(&event_loop);
    assert_eq!(
        told(none.set_broadcast(true)),
        "setsockopt (there is no socket yet: bind it): Bad file descriptor (EBADF)"
    );
    let udp = Udp::new(&event_loop);
    let only = UdpOptions::default().ipv6_only(true);
    let invalid = ": Invalid argument (EINVAL)";
    let ends = |text: String, note: &str| assert!(text.ends_with(&format!("({note}){invalid}")), "{text}");
    ends(told(udp.bind(NOWHERE, &only)), "ipv6_only is for IPv6 addresses");
    udp.bind(NOWHERE, &plain).expect("bind");
    ends(told(udp.bind(NOWHERE, &plain)), "the socket is bound already");
    ends(told(udp.set_ttl(0)), "hops are 1 to 255");
    ends(told(udp.set_multicast_ttl(256)), "hops are 0 to 255");
    ends(told(udp.join(NOWHERE.ip(), Interface::Any)), "this is no multicast group");
    ends(told(udp.join(GROUP_6, Interface::Any)), "the socket is of the other family");
    let source = Ipv6Addr::LOCALHOST.into();
    ends(told(udp.join_source(GROUP, source, Interface::Any)), "group and source are of two families");
    ends(told(udp.send_to("x", NOWHERE)), "port 0 is no destination");
    let to = SocketAddr::from(([127, 0, 0, 1], 9));
    let cut = |segment| udp.send_with(vec![0; 65], &SendOptions::to(to).segment(segment));
    ends(told(cut(0)), "a buffer has 1 to 64 segments");
    ends(told(cut(1)), "a buffer has 1 to 64 segments");
    let other: OwnedFd = std::net::UdpSocket::bind(NOWHERE).expect("bind").into();
    assert!(told(udp.open(other)).contains("(the handle has a socket)"));
    udp.close();
    for closed in [
        told(udp.bind(NOWHERE, &plain)),
        told(udp.receive_start()),
        told(udp.connect(to)),
        told(udp.send_to("x", to)),
        told(udp.set_ttl(1)),
        told(udp.local_addr()),
    ] {
        assert!(closed.contains("(the handle is closing)"), "{closed}");
    }
    event_loop.close_and_finish();
}

#[test]
fn a_socket_of_the_other_family_is_not_bound_and_says_so() {
    let event_loop = test_loop();
    let udp = Udp::new_v4(&event_loop).expect("a socket");
    let addr = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let text = told(udp.bind(addr, &UdpOptions::default()));
    assert_eq!(text, "bind [::1]:0 (the socket is of the other family): Invalid argument (EINVAL)");
    event_loop.close_and_finish();
}

#[test]
fn without_a_call_to_receive_nothing_keeps_the_loop_alive() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.bind(NOWHERE, &UdpOptions::default()).expect("bind");
    udp.set_upcall(|_: &Udp, _: &[u8], _: &uv_core::udp::Envelope| unreachable!("it does not receive"));
    assert_eq!(event_loop.run(uv_core::RunMode::Default), Ok(false));
    event_loop.close_and_finish();
}

#[test]
fn a_dropped_loop_leaves_errors_behind() {
    let event_loop = Loop::new().expect("a loop");
    let udp = Udp::new(&event_loop);
    drop(event_loop);
    let text = told(udp.bind(NOWHERE, &UdpOptions::default()));
    assert_eq!(text, "bind 127.0.0.1:0 (the handle is closing): Invalid argument (EINVAL)");
}

#[test]
fn what_did_not_arrive_names_the_peer() {
    let event_loop = test_loop();
    let closed = closed_udp_port();
    let udp = Udp::new(&event_loop);
    udp.connect(closed).expect("connect");
    let log = Log::new();
    let seen = log.clone();
    struct Tell(Log);
    impl uv_core::upcall::UdpUpcall for Tell {
        fn on_receive(&mut self, _: &Udp, _: &[u8], _: &uv_core::udp::Envelope) {}

        fn on_error(&mut self, _: &Udp, error: Error, to: Option<SocketAddr>) {
            assert_eq!(to, None, "no error queue");
            self.0.add(error.to_string());
        }
    }
    udp.set_upcall(Tell(seen));
    udp.receive_start().expect("to start");
    udp.send("PING").expect("send");
    let expected = format!("receive {closed}: Connection refused (ECONNREFUSED)");
    event_loop.until(|| log.has(&expected));
    event_loop.close_and_finish();
}
