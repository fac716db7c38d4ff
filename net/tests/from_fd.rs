//! A socket from a descriptor.

mod common;

use common::{Log, Peer, new_loop, run_to_the_end};
use net::{ErrorCode, Socket};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let peer = TcpStream::connect(listener.local_addr().expect("it has an address")).expect("it listens");
    (listener.accept().expect("it is connected").0, peer)
}

// Node: test-net-socket-constructor, `new net.Socket({ fd })`
#[test]
fn a_connection_that_was_made_elsewhere_is_served_like_any_other() {
    let (tcp, mut tcp_peer) = tcp_pair();
    let (unix, mut unix_peer) = UnixStream::pair().expect("a pair");
    let (event_loop, env) = new_loop();
    let log = Log::default();
    for fd in [OwnedFd::from(tcp), OwnedFd::from(unix)] {
        let socket = Socket::from_fd(&env, fd).expect("a connected socket");
        let echo =
            Peer::new("here", &log).on_bytes(|socket, data| assert!(socket.write(data).expect("it is open")));
        echo.attach(&socket);
    }
    tcp_peer.write_all(b"tcp").expect("to write");
    unix_peer.write_all(b"unix").expect("to write");
    tcp_peer.shutdown(Shutdown::Write).expect("to end");
    unix_peer.shutdown(Shutdown::Write).expect("to end");
    run_to_the_end(&event_loop, &env);
    let (mut from_tcp, mut from_unix) = (String::new(), String::new());
    tcp_peer.read_to_string(&mut from_tcp).expect("to read");
    unix_peer.read_to_string(&mut from_unix).expect("to read");
    assert_eq!((from_tcp.as_str(), from_unix.as_str()), ("tcp", "unix"));
    assert_eq!((log.count("here end"), log.count("here close")), (2, 2));
}

#[test]
fn what_is_no_connected_stream_socket_is_refused_and_closed() {
    let (event_loop, env) = new_loop();
    let udp = UdpSocket::bind(("127.0.0.1", 0)).expect("a port is free");
    udp.connect(udp.local_addr().expect("it has an address")).expect("to itself");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let name = format!("net-from-fd-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let unix = UnixListener::bind(&path).expect("a fresh path");
    std::fs::remove_file(&path).expect("it is there");
    let file = File::open("/dev/null").expect("it is there");
    for fd in [OwnedFd::from(udp), listener.into(), unix.into(), file.into()] {
        let refused = Socket::from_fd(&env, fd).expect_err("no connection");
        assert_eq!(refused.code(), ErrorCode::InvalidHandleType);
    }
    run_to_the_end(&event_loop, &env);
}
