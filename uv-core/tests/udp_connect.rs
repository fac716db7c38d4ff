//! The peer of a socket of datagrams: it is set and removed, and decides which calls there are.

mod common;
mod datagrams;

use common::*;
use datagrams::*;
use std::cell::Cell;
use std::net::SocketAddr;
use uv_core::udp::{SendOptions, Udp};

fn a_peer_is_set_and_removed(of_port: impl Fn(u16) -> SocketAddr, elsewhere: SocketAddr) {
    let event_loop = test_loop();
    let (server_seen, client_seen) = (Seen::default(), Seen::default());
    let server = Udp::new(&event_loop);
    server.bind(of_port(0), &Default::default()).expect("bind");
    let addr = server.local_addr().expect("an address");
    server.set_upcall(Watcher::new(&server_seen));
    server.receive_start().expect("receive_start");
    let client = Udp::new(&event_loop);
    let is_first = Cell::new(true);
    client.set_upcall(Watcher::new(&client_seen).on_send(move |client| {
        if is_first.take() {
            client.disconnect().expect("it has a peer");
            assert_eq!(errno(client.send("EXIT")).name(), "EDESTADDRREQ");
            client.send_to("EXIT", addr).expect("send");
        }
    }));
    let (none, there) = (SendOptions::default(), SendOptions::to(addr));
    assert_eq!(errno(client.disconnect()).name(), "ENOTCONN");
    client.connect(addr).expect("connect");
    assert_eq!(errno(client.connect(elsewhere)).name(), "EISCONN");
    assert_eq!(client.peer_addr(), Ok(addr));
    assert_eq!(errno(client.try_send(b"EXIT", &there)).name(), "EISCONN");
    assert_eq!(client.try_send(b"EXIT", &none), Ok(4));
    assert_eq!(errno(client.try_send(b"EXIT", &SendOptions::to(elsewhere))).name(), "EISCONN");
    client.disconnect().expect("disconnect");
    assert_eq!(errno(client.disconnect()).name(), "ENOTCONN");
    assert_eq!(errno(client.peer_addr()).name(), "ENOTCONN");
    assert_eq!(client.try_send(b"EXIT", &there), Ok(4));
    assert_eq!(errno(client.try_send(b"EXIT", &none)).name(), "EDESTADDRREQ");
    client.connect(addr).expect("again");
    assert_eq!(errno(client.send_to("EXIT", addr)).name(), "EISCONN");
    client.send("EXIT").expect("send");
    event_loop.until(|| server_seen.count() == 4);
    assert_eq!(client_seen.sends(), ["ok", "ok"]);
    assert_eq!(client.send_queue_size(), 0);
    event_loop.close_and_finish();
}

// libuv: udp_connect
#[test]
fn a_socket_with_a_peer_sends_to_it_alone_and_one_without_needs_an_address() {
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 9));
    a_peer_is_set_and_removed(|port| SocketAddr::from(([127, 0, 0, 1], port)), elsewhere);
}

// libuv: udp_connect6
#[test]
fn the_same_holds_for_ipv6() {
    if has_ipv6() {
        let elsewhere = "[2001:db8::1]:9".parse().expect("an address");
        a_peer_is_set_and_removed(|port| SocketAddr::new(localhost6().ip(), port), elsewhere);
    }
}

#[test]
fn a_socket_with_a_peer_receives_from_it_alone() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, addr) = receiving(&event_loop, &seen);
    let ((friend, friend_addr), (stranger, _)) = (peer(), peer());
    udp.connect(friend_addr).expect("connect");
    stranger.send_to(b"stranger", addr).expect("send");
    friend.send_to(b"friend", addr).expect("send");
    event_loop.until(|| seen.count() == 1);
    assert_eq!(seen.data(), [b"friend".to_vec()]);
    udp.disconnect().expect("disconnect");
    assert_eq!(udp.local_addr(), Ok(addr), "Linux would take the port back");
    stranger.send_to(b"stranger", addr).expect("send");
    event_loop.until(|| seen.count() == 2);
    event_loop.close_and_finish();
}

#[test]
fn what_was_queued_for_a_peer_goes_to_it() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    let ((first, first_addr), (second, second_addr)) = (peer(), peer());
    udp.send_to("addressed", second_addr).expect("send");
    udp.connect(first_addr).expect("connect");
    udp.send("first").expect("send");
    udp.disconnect().expect("disconnect");
    udp.connect(second_addr).expect("connect");
    udp.send("second").expect("send");
    event_loop.until(|| seen.sends() == ["ok"; 3]);
    assert_eq!(first.recv(&mut [0; 16]).expect("a datagram"), 5);
    assert_eq!(second.recv(&mut [0; 16]).expect("a datagram"), 9);
    assert_eq!(second.recv(&mut [0; 16]).expect("a datagram"), 6);
    event_loop.close_and_finish();
}

#[test]
fn a_peer_of_the_wrong_family_is_refused() {
    let event_loop = test_loop();
    let seen = Seen::default();
    let (udp, _) = bound_udp(&event_loop, &seen);
    assert_eq!(errno(udp.connect("[::1]:9".parse().expect("an address"))).name(), "EAFNOSUPPORT");
    assert_eq!(errno(udp.peer_addr()).name(), "ENOTCONN");
    event_loop.close_and_finish();
}
