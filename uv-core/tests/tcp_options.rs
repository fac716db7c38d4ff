//! Opening, binding, addresses and socket options of TCP handles.

mod common;

use common::*;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;
use uv_core::socket::KeepAlive;
use uv_core::{BindOptions, Errno, Tcp};

// libuv: tcp_open_twice
#[test]
fn a_handle_adopts_one_socket_and_a_second_one_is_closed() {
    let event_loop = test_loop();
    let tcp = Tcp::new(&event_loop);
    let (first, _first_peer) = sockets();
    let (second, mut second_peer) = sockets();
    let number = first.as_raw_fd();
    tcp.open(first.into()).expect("open");
    assert_eq!(errno(tcp.open(second.into())), Errno::EBUSY);
    assert_eq!(tcp.fileno(), Ok(number), "the first one stays");
    assert_eq!(second_peer.read(&mut [0]).expect("the end"), 0, "the second one is closed");
    // A handle that has its socket from the start adopts none.
    let early = Tcp::new_v4(&event_loop).expect("a socket");
    assert_eq!(errno(early.open(sockets().0.into())), Errno::EBUSY);
    event_loop.close_and_finish();
}

// libuv: tcp_open, tcp_open_bound, tcp_open_connected
#[test]
fn open_adopts_a_fresh_a_bound_a_listening_or_a_connected_socket() {
    let event_loop = test_loop();
    let log = Log::new();
    let std_listener = TcpListener::bind(LOCALHOST).expect("bind");
    let addr = std_listener.local_addr().expect("an address");
    let server = Tcp::new(&event_loop);
    server.open(OwnedFd::from(std_listener)).expect("open");
    assert_eq!(server.local_addr(), Ok(addr));
    assert_eq!(errno(server.bind(localhost(), BindOptions::default())), Errno::EINVAL, "bound already");
    assert!(!server.is_readable() && !server.is_writable());
    let listener = server.clone();
    server.listen_with(1, move |_, _| listener.accept().expect("accept").close()).expect("listen");

    let client = Tcp::new(&event_loop);
    client.open(TcpStream::connect(addr).expect("connect").into()).expect("open");
    assert!(client.is_readable() && client.is_writable());
    assert_eq!(client.peer_addr(), Ok(addr));
    let (other, _peer) = sockets();
    assert_eq!(errno(client.open(other.into())), Errno::EBUSY);
    client.set_upcall(Tower::new(&log, "client"));
    client.read_start().expect("read_start");
    event_loop.until(|| log.has("client end"));
    event_loop.close_and_finish();
}

#[test]
fn open_refuses_what_is_no_socket_and_a_closing_handle() {
    let event_loop = test_loop();
    let tcp = Tcp::new(&event_loop);
    let file = std::fs::File::open("/dev/null").expect("open");
    let error = tcp.open(file.into()).expect_err("no socket");
    assert_eq!((error.op(), error.errno()), ("open", Errno::ENOTSOCK));
    tcp.close();
    assert_eq!(errno(tcp.open(sockets().0.into())), Errno::EINVAL);
    event_loop.finish();
}

// libuv: the rest of `test-tcp-bind-error.c`: see `tcp_bind.rs`
#[test]
fn a_bad_bind_is_refused() {
    let event_loop = test_loop();
    let (tcp, _) = bound(&event_loop);
    assert_eq!(errno(tcp.bind(localhost(), BindOptions::default())), Errno::EINVAL, "bound already");
    let fresh = Tcp::new(&event_loop);
    let only6 = BindOptions::default().ipv6_only(true);
    assert_eq!(errno(fresh.bind(localhost(), only6)), Errno::EINVAL, "ipv6_only on IPv4");
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = fresh.bind(elsewhere, BindOptions::default()).expect_err("not an address of this machine");
    assert_eq!((error.op(), error.errno().name()), ("bind", "EADDRNOTAVAIL"));
    assert_eq!(error.target(), Some("192.0.2.1:0"));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    assert_eq!(errno(fresh.bind(six, BindOptions::default())), Errno::EINVAL, "IPv6 on an IPv4 socket");
    let closing = Tcp::new(&event_loop);
    closing.close();
    assert_eq!(errno(closing.bind(localhost(), BindOptions::default())), Errno::EINVAL);
    assert_eq!(errno(closing.listen_with(1, |_, _| {})), Errno::EINVAL);
    event_loop.close_and_finish();
}

#[test]
fn addresses_are_known_once_there_is_a_socket() {
    let event_loop = test_loop();
    let tcp = Tcp::new(&event_loop);
    assert_eq!(errno(tcp.local_addr()), Errno::EBADF);
    assert_eq!(errno(tcp.peer_addr()), Errno::EBADF);
    let (server, addr) = bound(&event_loop);
    assert!(addr.ip().is_loopback() && addr.port() != 0);
    assert_eq!(errno(server.peer_addr()), Errno::ENOTCONN);
    event_loop.close_and_finish();
}

// libuv: getsockname_tcp
#[test]
fn both_ends_of_a_connection_know_each_others_address() {
    let event_loop = test_loop();
    let log = Log::new();
    let server = Tcp::new(&event_loop);
    server.bind(([0, 0, 0, 0], 0).into(), BindOptions::default()).expect("bind");
    let addr = server.local_addr().expect("an address");
    assert!(addr.ip().is_unspecified() && addr.port() != 0);
    assert_eq!(errno(server.peer_addr()), Errno::ENOTCONN);
    let client = Tcp::new(&event_loop);
    let (seen, other) = (log.clone(), client.clone());
    server
        .listen_with(128, move |server, _| {
            let accepted = Tcp::from_stream(&server.accept().expect("accept")).expect("it is TCP");
            assert_eq!(accepted.local_addr(), other.peer_addr());
            assert_eq!(accepted.peer_addr(), other.local_addr());
            seen.add("accepted");
        })
        .expect("listen");
    client.set_upcall(Tower::new(&log, "client"));
    let loopback = SocketAddr::from(([127, 0, 0, 1], addr.port()));
    client.connect(loopback).expect("connect");
    let ours = client.local_addr().expect("known as soon as it connects");
    assert!(ours.ip().is_loopback() && ours.port() != 0);
    event_loop.until(|| log.has("accepted") && log.has("client connect ok"));
    assert_eq!((client.local_addr(), client.peer_addr()), (Ok(ours), Ok(loopback)));
    event_loop.close_and_finish();
}

#[test]
fn an_ipv6_listener_takes_ipv4_connections_unless_told_not_to() {
    for ipv6_only in [false, true] {
        let event_loop = test_loop();
        let server = Tcp::new(&event_loop);
        let options = BindOptions::default().ipv6_only(ipv6_only);
        if server.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), options).is_err() {
            return event_loop.close_and_finish(); // A machine without IPv6.
        }
        let listener = server.clone();
        server.listen_with(1, move |_, _| listener.accept().expect("accept").close()).expect("listen");
        let port = server.local_addr().expect("an address").port();
        assert_eq!(TcpStream::connect(("127.0.0.1", port)).is_err(), ipv6_only);
        event_loop.close_and_finish();
    }
}

// libuv: tcp_flags
#[test]
fn keepalive_needs_at_least_a_second_a_probe_and_a_socket() {
    let event_loop = test_loop();
    let second = Duration::from_secs(1);
    let probe = KeepAlive::after(60 * second);
    assert_eq!(probe, KeepAlive { idle: 60 * second, interval: second, count: 10 });
    assert_eq!(errno(Tcp::new(&event_loop).set_keepalive(Some(probe))), Errno::EBADF);
    let (connection, _peer) = connected(&event_loop);
    for tcp in [connection, Tcp::new_v4(&event_loop).expect("a socket from the start")] {
        keepalive_and_nodelay(&tcp, probe);
    }
    event_loop.close_and_finish();
}

fn keepalive_and_nodelay(tcp: &Tcp, probe: KeepAlive) {
    let second = Duration::from_secs(1);
    for bad in [
        KeepAlive::after(Duration::from_millis(999)),
        KeepAlive { interval: Duration::ZERO, ..probe },
        KeepAlive { count: 0, ..probe },
    ] {
        assert_eq!(errno(tcp.set_keepalive(Some(bad))), Errno::EINVAL);
    }
    assert_eq!(tcp.set_keepalive(Some(probe)), Ok(()));
    let least = KeepAlive { idle: second, interval: second, count: 1 };
    assert_eq!(tcp.set_keepalive(Some(least)), Ok(()));
    assert_eq!(tcp.set_keepalive(None), Ok(()));
    assert_eq!(tcp.set_nodelay(true), Ok(()));
    assert_eq!(tcp.set_nodelay(false), Ok(()));
}

// libuv: socket_buffer_size
#[test]
fn buffer_sizes_read_back_doubled() {
    let event_loop = test_loop();
    assert_eq!(errno(Tcp::new(&event_loop).send_buffer_size()), Errno::EBADF);
    let (tcp, _peer) = connected(&event_loop);
    tcp.set_send_buffer_size(10_000).expect("option");
    tcp.set_recv_buffer_size(12_345).expect("option");
    assert_eq!((tcp.send_buffer_size(), tcp.recv_buffer_size()), (Ok(20_000), Ok(24_690)));
    assert_eq!(errno(tcp.set_send_buffer_size(usize::MAX)), Errno::EINVAL);
    event_loop.close_and_finish();
}

// libuv: tcp_close_reset_client
#[test]
fn close_reset_sends_a_reset() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    assert_eq!(tcp.close_reset(), Ok(()));
    assert_eq!(errno(tcp.shutdown()), Errno::ENOTCONN);
    assert_eq!(tcp.close_reset(), Ok(()), "closing already");
    let error = peer.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    event_loop.finish();
    assert_eq!(log.take(), ["tcp close"]);
}

// libuv: tcp_close_reset_client_after_shutdown
#[test]
fn close_reset_waits_for_a_pending_shutdown_to_be_reported() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.shutdown().expect("shutdown");
    assert_eq!(errno(tcp.close_reset()), Errno::EINVAL);
    assert!(!tcp.is_closing());
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!(tcp.close_reset(), Ok(()));
    event_loop.finish();
}

// Not in libuv, which refuses this: the peer would take the FIN of a plain close for the end of the data.
#[test]
fn close_reset_gives_up_a_shutdown_that_waits_behind_what_is_queued() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write(vec![0; 32 << 20]).expect("write");
    assert!(tcp.write_queue_size() > 0, "more than the kernel takes");
    tcp.shutdown().expect("shutdown");
    assert_eq!(tcp.close_reset(), Ok(()));
    event_loop.finish();
    assert_eq!(log.take().last().map(String::as_str), Some("tcp close"));
    let error = peer.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

// libuv: tcp_close_reset_accepted, tcp_close_reset_accepted_after_shutdown, tcp_close_reset_accepted_after_socket_shutdown
#[test]
fn an_accepted_connection_is_reset_unless_its_fin_is_on_the_way() {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Before {
        Nothing,
        Shutdown,
        SocketShutdown,
    }
    for before in [Before::Nothing, Before::Shutdown, Before::SocketShutdown] {
        let event_loop = test_loop();
        let log = Log::new();
        let seen = log.clone();
        let (_server, addr) = serve(&event_loop, move |connection| {
            let this = connection.clone();
            connection.set_upcall(Tower::new(&seen, "accepted").on_read(move |_| {
                if before == Before::Shutdown {
                    this.shutdown().expect("shutdown");
                    assert_eq!(errno(this.close_reset()), Errno::EINVAL);
                    return;
                }
                if before == Before::SocketShutdown {
                    let socket = TcpStream::from(this.try_clone_fd().expect("a second descriptor"));
                    socket.shutdown(Shutdown::Both).expect("shutdown");
                }
                assert_eq!(this.close_reset(), Ok(()));
                assert_eq!(errno(this.shutdown()), Errno::ENOTCONN);
            }));
            connection.read_start().expect("read_start");
        });
        let mut peer = TcpStream::connect(addr).expect("connect");
        peer.write_all(b"PING").expect("write");
        let last = if before == Before::Shutdown { "accepted shutdown ok" } else { "accepted close" };
        event_loop.until(|| log.has(last));
        assert_eq!(log.take(), ["accepted read 4", last]);
        let told = peer.read(&mut [0]);
        match before {
            Before::Nothing => {
                assert_eq!(told.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
            }
            // The end came first: whether the reset behind it is told, the kernel decides.
            _ => assert!(!matches!(told, Ok(1..)), "{told:?}"),
        }
        event_loop.close_and_finish();
    }
}

// libuv: tcp_close_reset_client_after_socket_shutdown
#[test]
fn close_reset_works_after_a_shutdown_of_the_socket_itself() {
    let event_loop = test_loop();
    let (ours, _peer) = sockets();
    ours.shutdown(Shutdown::Write).expect("shutdown");
    let tcp = Tcp::new(&event_loop);
    tcp.open(ours.into()).expect("open");
    assert_eq!(tcp.close_reset(), Ok(()));
    event_loop.finish();
}

#[test]
fn a_blocking_socket_writes_everything_and_reading_it_does_not_wait() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    assert_eq!(errno(Tcp::new(&event_loop).set_blocking(true)), Errno::EBADF);
    tcp.set_blocking(true).expect("blocking");
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; 1 << 22];
        peer.read_exact(&mut all).expect("read");
        peer.write_all(b"thanks").expect("write");
        peer
    });
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.read_start().expect("read_start");
    event_loop.turn();
    assert_eq!(tcp.try_write(&vec![0; 1 << 22]), Ok(1 << 22));
    event_loop.until(|| log.has("tcp read 6"));
    reader.join().expect("join");
    event_loop.close_and_finish();
}
