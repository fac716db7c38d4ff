//! Binding a TCP handle to addresses of both families, and what a handle with a socket from the start does.

mod common;

use common::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use uv_core::{BindOptions, Errno, Tcp};

fn v4(ip: [u8; 4]) -> SocketAddr {
    SocketAddr::from((ip, 0))
}

fn v6(ip: Ipv6Addr) -> SocketAddr {
    SocketAddr::from((ip, 0))
}

/// Whether this machine has IPv6.
fn has_ipv6() -> bool {
    let has = std::net::TcpListener::bind(v6(Ipv6Addr::LOCALHOST)).is_ok();
    if !has {
        println!("skipped: this machine has no IPv6");
    }
    has
}

/// The families that this machine has, by their loopback and their unspecified addresses.
fn families() -> Vec<(SocketAddr, SocketAddr)> {
    let mut families = vec![(localhost(), v4([0, 0, 0, 0]))];
    if has_ipv6() {
        families.push((v6(Ipv6Addr::LOCALHOST), v6(Ipv6Addr::UNSPECIFIED)));
    }
    families
}

// libuv: tcp_bind_localhost_ok, tcp_bind6_localhost_ok
#[test]
fn the_loopback_address_can_be_bound() {
    for (loopback, _) in families() {
        let event_loop = test_loop();
        let tcp = Tcp::new(&event_loop);
        assert_eq!(tcp.bind(loopback, BindOptions::default()), Ok(()));
        let bound = tcp.local_addr().expect("an address");
        assert_eq!((bound.ip(), bound.port() != 0), (loopback.ip(), true));
        assert!(!event_loop.is_alive(), "a bound socket waits for nothing");
        event_loop.close_and_finish();
    }
}

// libuv: tcp_bind6_error_addrinuse. Another IPv4 port in use: see `tcp_accept.rs`.
#[test]
fn of_two_sockets_bound_to_one_port_the_second_to_listen_is_refused() {
    for (_, unspecified) in families() {
        let event_loop = test_loop();
        let (first, second) = (Tcp::new(&event_loop), Tcp::new(&event_loop));
        first.bind(unspecified, BindOptions::default()).expect("bind");
        let addr = first.local_addr().expect("an address");
        assert_eq!(second.bind(addr, BindOptions::default()), Ok(()), "neither listens yet");
        first.listen_with(128, |_, _| {}).expect("listen");
        let error = second.listen_with(128, |_, _| {}).expect_err("in use");
        assert_eq!((error.op(), error.errno()), ("listen", Errno::EADDRINUSE));
        assert_eq!(error.target(), Some(addr.to_string().as_str()));
        event_loop.close_and_finish();
    }
}

// libuv: tcp_bind_error_addrnotavail_1, tcp_bind_error_addrnotavail_2, tcp_bind6_error_addrnotavail
#[test]
fn an_address_of_no_interface_is_refused_at_once() {
    let mut elsewhere = vec![v4([192, 0, 2, 1])];
    if has_ipv6() {
        elsewhere.push(v6(Ipv6Addr::new(0x2001, 0xdb8, 4, 4, 4, 4, 4, 4)));
    }
    let event_loop = test_loop();
    for addr in elsewhere {
        let tcp = Tcp::new(&event_loop);
        let error = tcp.bind(addr, BindOptions::default()).expect_err("not an address of this machine");
        assert_eq!((error.op(), error.errno()), ("bind", Errno::EADDRNOTAVAIL));
        assert_eq!(error.target(), Some(addr.to_string().as_str()));
        assert_eq!(tcp.bind(localhost(), BindOptions::default()).is_ok(), addr.is_ipv4(), "still unbound");
    }
    // The broadcast address of the loopback network: Linux lets it be bound, other systems do not.
    let tcp = Tcp::new(&event_loop);
    let bound = tcp.bind(v4([127, 255, 255, 255]), BindOptions::default());
    assert!(bound.is_ok() || errno(bound) == Errno::EADDRNOTAVAIL);
    event_loop.close_and_finish();
}

// libuv: tcp_bind_error_inval, tcp_bind6_error_inval
#[test]
fn a_bound_handle_is_not_bound_again() {
    for (_, unspecified) in families() {
        let event_loop = test_loop();
        let tcp = Tcp::new(&event_loop);
        tcp.bind(unspecified, BindOptions::default()).expect("bind");
        let before = tcp.local_addr();
        assert_eq!(errno(tcp.bind(unspecified, BindOptions::default())), Errno::EINVAL);
        assert_eq!(tcp.local_addr(), before);
        event_loop.close_and_finish();
    }
}

// libuv: tcp_bind_invalid_flags
#[test]
fn only_ipv6_may_be_asked_of_an_ipv6_address_only() {
    let event_loop = test_loop();
    let only6 = BindOptions::default().ipv6_only(true);
    let tcp = Tcp::new(&event_loop);
    assert_eq!(errno(tcp.bind(localhost(), only6)), Errno::EINVAL);
    assert_eq!(errno(tcp.fileno()), Errno::EBADF, "refused before any system call");
    if has_ipv6() {
        assert_eq!(tcp.bind(v6(Ipv6Addr::UNSPECIFIED), only6), Ok(()));
    }
    event_loop.close_and_finish();
}

// libuv: tcp_bind_or_listen_error_after_close
#[test]
fn a_closing_handle_neither_binds_nor_listens() {
    let event_loop = test_loop();
    let tcp = Tcp::new(&event_loop);
    tcp.close();
    assert_eq!(errno(tcp.bind(localhost(), BindOptions::default())), Errno::EINVAL);
    assert_eq!(errno(tcp.listen_with(5, |_, _| {})), Errno::EINVAL);
    event_loop.finish();
    assert_eq!(errno(tcp.listen_with(5, |_, _| {})), Errno::EINVAL, "also once it is closed");
}

// libuv: tcp_create_early
#[test]
fn a_handle_may_have_its_socket_from_the_start() {
    let event_loop = test_loop();
    let tcp = Tcp::new_v4(&event_loop).expect("a socket");
    assert!(tcp.fileno().is_ok());
    assert_eq!(tcp.local_addr(), Ok(v4([0, 0, 0, 0])), "not bound yet");
    assert!(!tcp.is_readable() && !tcp.is_writable() && !tcp.is_active());
    tcp.bind(localhost(), BindOptions::default()).expect("bind");
    assert_eq!(tcp.local_addr().expect("an address").ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    event_loop.close_and_finish();
}

// libuv: tcp_create_early_bad_bind
#[test]
fn a_socket_from_the_start_is_of_its_family() {
    let event_loop = test_loop();
    let four = Tcp::new_v4(&event_loop).expect("a socket");
    let six = v6(Ipv6Addr::LOCALHOST);
    assert_eq!(errno(four.bind(six, BindOptions::default())), Errno::EINVAL);
    if has_ipv6() {
        let six = Tcp::new_v6(&event_loop).expect("a socket");
        assert!(six.fileno().is_ok());
        assert_eq!(six.local_addr(), Ok(v6(Ipv6Addr::UNSPECIFIED)));
        assert_eq!(errno(six.bind(localhost(), BindOptions::default())), Errno::EINVAL);
    }
    event_loop.close_and_finish();
}

// libuv: tcp_open: a socket that is neither bound nor connected.
#[test]
fn an_adopted_fresh_socket_connects() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    let maker = Tcp::new_v4(&event_loop).expect("a socket");
    let client = Tcp::new(&event_loop);
    client.open(maker.try_clone_fd().expect("a second descriptor")).expect("open");
    maker.close();
    assert!(!client.is_readable() && !client.is_writable());
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(addr).expect("connect");
    event_loop.until(|| log.has("client connect ok"));
    event_loop.close_and_finish();
}

// Options of a client that has no socket of its own before it connects.
#[test]
fn options_can_be_set_before_a_connect() {
    let event_loop = test_loop();
    let log = Log::new();
    let (_server, addr) = serve(&event_loop, |connection| connection.close());
    let client = Tcp::new_v4(&event_loop).expect("a socket");
    client.set_nodelay(true).expect("option");
    client.set_recv_buffer_size(10_000).expect("option");
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(addr).expect("connect");
    event_loop.until(|| log.has("client connect ok"));
    assert_eq!(client.recv_buffer_size(), Ok(20_000));
    event_loop.close_and_finish();
}
