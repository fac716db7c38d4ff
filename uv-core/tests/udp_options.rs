//! Options of sockets of datagrams, and multicast.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use uv_core::udp::{Interface, Udp, UdpOptions};
use uv_core::{Errno, Result};

const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 255, 0, 1));
const GROUP_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234));

/// The loopback interface.
const LOOPBACK: Interface = Interface::Address(Ipv4Addr::LOCALHOST);

fn loopback6() -> Interface {
    Interface::named("lo").expect("the loopback interface")
}

fn every_number_is_set_or_refused(addr: SocketAddr) {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.bind(addr, &UdpOptions::default()).expect("bind");
    for on in [true, true, false, false] {
        udp.set_broadcast(on).expect("an option");
        udp.set_multicast_loop(on).expect("an option");
    }
    for hops in 1..=255 {
        udp.set_ttl(hops).expect("a valid number");
    }
    for hops in 0..=255 {
        udp.set_multicast_ttl(hops).expect("a valid number");
    }
    for error in [udp.set_ttl(0), udp.set_ttl(256), udp.set_ttl(u32::MAX), udp.set_multicast_ttl(256)] {
        assert_eq!(errno(error), Errno::EINVAL);
    }
    udp.unref();
    event_loop.close_and_finish();
}

// libuv: udp_options
#[test]
fn hops_broadcast_and_the_loop_of_multicast_can_be_set() {
    every_number_is_set_or_refused(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
}

// libuv: udp_options6
#[test]
fn they_can_be_set_for_ipv6() {
    if has_ipv6() {
        every_number_is_set_or_refused(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    }
}

#[test]
fn what_is_set_on_a_socket_of_ipv6_holds_for_the_ipv4_that_it_carries() {
    if has_ipv6() {
        let event_loop = test_loop();
        let udp = Udp::new(&event_loop);
        udp.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), &UdpOptions::default()).expect("bind");
        udp.set_ttl(5).expect("an option");
        udp.set_multicast_ttl(6).expect("an option");
        udp.set_multicast_loop(false).expect("an option");
        let same = UdpSocket::from(udp.try_clone_fd().expect("a descriptor"));
        let of_ipv4 = (same.ttl(), same.multicast_ttl_v4(), same.multicast_loop_v4());
        assert_eq!((of_ipv4.0.ok(), of_ipv4.1.ok(), of_ipv4.2.ok()), (Some(5), Some(6), Some(false)));
        assert_eq!(same.multicast_loop_v6().ok(), Some(false));
        // So does the interface for multicast: a member there receives.
        udp.set_multicast_loop(true).expect("an option");
        udp.set_multicast_interface(loopback6()).expect("an interface");
        let seen = Seen::default();
        let (member, _, to) = joined(&event_loop, &seen, GROUP, LOOPBACK);
        member.join(GROUP, LOOPBACK).expect("join");
        udp.send_to("group", to).expect("send");
        event_loop.until(|| seen.count() == 1);
        event_loop.close_and_finish();
    }
}

// libuv: udp_no_autobind
#[test]
fn an_option_needs_a_socket_and_does_not_make_one() {
    let event_loop = test_loop();
    let none = Udp::new(&event_loop);
    let set_all = |udp: &Udp| -> Vec<Result<()>> {
        vec![
            udp.set_multicast_ttl(32),
            udp.set_broadcast(true),
            udp.set_ttl(1),
            udp.set_multicast_loop(true),
            udp.set_multicast_interface(Interface::Any),
            udp.set_gro(true),
            udp.set_receive_ecn(true),
            udp.set_receive_destination(true),
            udp.set_recv_buffer_size(10_000),
            udp.set_send_buffer_size(10_000),
        ]
    };
    for result in set_all(&none) {
        assert_eq!(errno(result), Errno::EBADF);
    }
    assert_eq!(errno(none.recv_buffer_size()), Errno::EBADF);
    let early = Udp::new_v4(&event_loop).expect("a socket");
    for result in set_all(&early) {
        result.expect("an option");
    }
    early.close();
    assert!(set_all(&early).into_iter().all(|result| errno(result) == Errno::EBADF));
    assert_eq!(errno(early.join(GROUP, Interface::Any)), Errno::EBADF);
    event_loop.close_and_finish();
}

#[test]
fn buffer_sizes_can_be_set() {
    let event_loop = test_loop();
    let (udp, _) = bound_udp(&event_loop, &Seen::default());
    udp.set_send_buffer_size(20_000).expect("a size");
    udp.set_recv_buffer_size(30_000).expect("a size");
    assert_eq!(
        (udp.send_buffer_size(), udp.recv_buffer_size()),
        (Ok(40_000), Ok(60_000)),
        "Linux doubles it"
    );
    assert_eq!(errno(udp.set_send_buffer_size(usize::MAX)), Errno::EINVAL);
    event_loop.close_and_finish();
}

#[test]
fn broadcast_needs_the_option() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    // The loopback interface has no broadcast, so the datagram goes no further than the check.
    let everywhere = SocketAddr::from(([127, 255, 255, 255], 9));
    udp.send_to("hello", everywhere).expect("send");
    event_loop.turn();
    assert_eq!(seen.sends(), ["EACCES"]);
    udp.set_broadcast(true).expect("an option");
    udp.send_to("hello", everywhere).expect("send");
    event_loop.turn();
    assert_eq!(seen.sends(), ["EACCES", "ok"]);
    assert_eq!(seen.errors(), [], "the error is that of its own datagram");
    event_loop.close_and_finish();
}

// libuv: udp_multicast_interface
#[test]
fn multicast_leaves_by_the_interface_that_was_set() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    udp.set_multicast_interface(Interface::Any).expect("any");
    udp.set_multicast_interface(LOOPBACK).expect("by its address");
    udp.set_multicast_interface(loopback6()).expect("by its index");
    udp.send_to("PING", SocketAddr::new(GROUP, 9)).expect("send");
    event_loop.until(|| seen.sends() == ["ok"]);
    let unknown = Interface::Address(Ipv4Addr::new(192, 0, 2, 77));
    assert_eq!(errno(udp.set_multicast_interface(unknown)), Errno::EADDRNOTAVAIL);
    event_loop.close_and_finish();
}

// libuv: udp_multicast_interface6
#[test]
fn an_interface_of_ipv6_is_set_by_its_index() {
    let event_loop = test_loop();
    if has_ipv6() {
        let udp = Udp::new(&event_loop);
        udp.bind(localhost6(), &UdpOptions::default()).expect("bind");
        udp.set_multicast_interface(Interface::Any).expect("any");
        udp.set_multicast_interface(loopback6()).expect("by its index");
        assert_eq!(errno(udp.set_multicast_interface(LOOPBACK)), Errno::EINVAL);
        let unknown = Interface::Index(0x7fff_0000);
        assert_eq!(errno(udp.set_multicast_interface(unknown)).name(), "ENODEV");
    }
    event_loop.close_and_finish();
}

/// A socket for a group, and another to send to it.
fn joined(event_loop: &TestLoop, seen: &Seen, group: IpAddr, interface: Interface) -> (Udp, Udp, SocketAddr) {
    let any = if group.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let member = Udp::new(event_loop);
    member.bind(SocketAddr::new(any, 0), &UdpOptions::default().reuse_address(true)).expect("bind");
    member.set_upcall(Watcher::new(seen));
    member.receive_start().expect("receive_start");
    let sender = Udp::new(event_loop);
    let from = if group.is_ipv4() { localhost() } else { SocketAddr::new(any, 0) };
    sender.bind(from, &UdpOptions::default()).expect("bind");
    sender.set_multicast_interface(interface).expect("an interface");
    let port = member.local_addr().expect("an address").port();
    (member, sender, SocketAddr::new(group, port))
}

/// Sends to the group and to the member itself; what is not received before that is not coming.
fn receives(event_loop: &TestLoop, seen: &Seen, sender: &Udp, to: SocketAddr) -> bool {
    let own = if to.is_ipv4() { localhost().ip() } else { localhost6().ip() };
    let before = seen.count();
    sender.send_to("group", to).expect("send");
    sender.send_to("own", SocketAddr::new(own, to.port())).expect("send");
    event_loop.until(|| seen.data()[before..].iter().any(|data| data == b"own"));
    seen.data()[before..].iter().any(|data| data == b"group")
}

// libuv: udp_multicast_join
#[test]
fn a_member_receives_what_goes_to_its_group() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (member, sender, to) = joined(&event_loop, &seen, GROUP, LOOPBACK);
    assert!(!receives(&event_loop, &seen, &sender, to));
    member.join(GROUP, LOOPBACK).expect("join");
    assert_eq!(errno(member.join(GROUP, LOOPBACK)), Errno::EADDRINUSE, "a member already");
    assert!(receives(&event_loop, &seen, &sender, to));
    member.leave(GROUP, LOOPBACK).expect("leave");
    assert_eq!(errno(member.leave(GROUP, LOOPBACK)), Errno::EADDRNOTAVAIL);
    assert!(!receives(&event_loop, &seen, &sender, to));
    // For one source, by the interface's address and by its index.
    for interface in [LOOPBACK, loopback6()] {
        let (ours, other) = (localhost().ip(), IpAddr::from([127, 0, 0, 2]));
        member.join_source(GROUP, other, interface).expect("join");
        assert!(!receives(&event_loop, &seen, &sender, to));
        member.join_source(GROUP, ours, interface).expect("join");
        assert!(receives(&event_loop, &seen, &sender, to));
        member.leave_source(GROUP, ours, interface).expect("leave");
        assert!(!receives(&event_loop, &seen, &sender, to));
        member.leave_source(GROUP, other, interface).expect("leave");
    }
    event_loop.close_and_finish();
}

/// An interface with an address of its own link: the kernel has a route for groups of IPv6 there.
fn multicast6() -> Option<Interface> {
    let known = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let found = known
        .lines()
        .filter(|line| line.starts_with("fe80"))
        .find_map(|line| u32::from_str_radix(line.split_whitespace().nth(1)?, 16).map(Interface::Index).ok());
    if found.is_none() {
        println!("skipped: no interface for multicast of IPv6");
    }
    found
}

// libuv: udp_multicast_join6
#[test]
fn a_member_receives_what_goes_to_its_group_of_ipv6() {
    let event_loop = test_loop();
    if let Some(interface) = multicast6() {
        let seen = Seen::default();
        let (member, sender, to) = joined(&event_loop, &seen, GROUP_6, interface);
        member.join(GROUP_6, interface).expect("join");
        assert!(receives(&event_loop, &seen, &sender, to));
        let source = seen.envelopes()[0].from.ip();
        member.leave(GROUP_6, interface).expect("leave");
        assert!(!receives(&event_loop, &seen, &sender, to));
        member.join_source(GROUP_6, localhost6().ip(), interface).expect("join");
        assert!(!receives(&event_loop, &seen, &sender, to));
        member.join_source(GROUP_6, source, interface).expect("join");
        assert!(receives(&event_loop, &seen, &sender, to));
        member.leave_source(GROUP_6, source, interface).expect("leave");
        assert!(!receives(&event_loop, &seen, &sender, to));
    }
    event_loop.close_and_finish();
}

// libuv: udp_multicast_ttl
#[test]
fn multicast_has_hops_of_its_own_and_its_loop_can_be_closed() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (member, sender, to) = joined(&event_loop, &seen, GROUP, LOOPBACK);
    member.join(GROUP, LOOPBACK).expect("join");
    sender.set_multicast_ttl(32).expect("hops");
    assert!(receives(&event_loop, &seen, &sender, to));
    event_loop.close_and_finish();
}

#[test]
fn a_membership_binds_a_new_handle_and_checks_its_arguments() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    let unicast = IpAddr::from([127, 0, 0, 1]);
    assert_eq!(errno(udp.join(unicast, Interface::Any)), Errno::EINVAL);
    assert_eq!(errno(udp.join_source(GROUP, localhost6().ip(), LOOPBACK)), Errno::EINVAL);
    assert_eq!(errno(udp.join(GROUP_6, LOOPBACK)), Errno::EINVAL);
    assert_eq!(errno(udp.local_addr()), Errno::EBADF);
    udp.join(GROUP, LOOPBACK).expect("join");
    assert_ne!(udp.local_addr().expect("it is bound").port(), 0);
    assert_eq!(errno(Interface::named("no-such-name").map(drop)).name(), "ENODEV");
    assert_eq!(errno(Interface::named("a\0b").map(drop)), Errno::EINVAL);
    event_loop.close_and_finish();
}

#[test]
fn leaving_a_group_makes_no_socket() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!(errno(udp.leave(GROUP, LOOPBACK)), Errno::EBADF);
    assert_eq!(errno(udp.leave_source(GROUP, source, LOOPBACK)), Errno::EBADF);
    udp.bind(localhost(), &UdpOptions::default()).expect("it is unbound still");
    event_loop.close_and_finish();
}
