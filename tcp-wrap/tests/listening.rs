//! Binding, listening, accepting and connecting.

mod common;

use common::{Logger, bound_tcp, loopback, new_loop, run_to_the_end};
use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::upcall::OnConnection;
use tcp_wrap::{PipeWrap, StreamWrap, TcpWrap};
use uv_core::socket::{KeepAlive, PipeName};
use uv_core::{BindOptions, Errno, Result};

fn no_connection(_: &StreamWrap, _: Result<StreamWrap>) {
    panic!("no client connects");
}

// Node: test-net-bind-twice, test-net-eaddrinuse
#[test]
fn a_port_in_use_is_reported_by_listen_not_by_bind() {
    let event_loop = new_loop();
    let (first, addr) = bound_tcp(&event_loop);
    first.listen(1, no_connection).expect("bound");
    let second = TcpWrap::new(&event_loop);
    second.bind(addr, BindOptions::default()).expect("reported later");
    assert_eq!(second.listen(1, no_connection).expect_err("in use").errno(), Errno::EADDRINUSE);
    first.close();
    second.close();
    run_to_the_end(&event_loop);
}

// Node: test-tcp-wrap, test-tcp-wrap-listen
#[test]
fn binding_twice_is_a_mistake() {
    let event_loop = new_loop();
    let (wrap, _) = bound_tcp(&event_loop);
    assert_eq!(wrap.bind(loopback(), BindOptions::default()).expect_err("bound").errno(), Errno::EINVAL);
    wrap.close();
    run_to_the_end(&event_loop);
}

// Node: test-tcp-wrap-connect
#[test]
fn a_connect_that_fails_at_once_is_not_reported_again() {
    let event_loop = new_loop();
    let wrap = TcpWrap::new(&event_loop);
    let log = Logger::set(&wrap);
    let error =
        wrap.connect("224.0.0.1:80".parse().expect("an address")).expect_err("a group has no connections");
    assert_eq!(error.errno().name(), "ENETUNREACH");
    assert_eq!(error.target(), Some("224.0.0.1:80"));
    wrap.close();
    run_to_the_end(&event_loop);
    assert_eq!(log.take(), ["close"]);
}

// Node: sequential/test-net-connect-handle-econnrefused
#[test]
fn a_refused_connect_is_reported_by_the_loop() {
    let event_loop = new_loop();
    let (closed, addr) = bound_tcp(&event_loop);
    closed.close();
    let wrap = TcpWrap::new(&event_loop);
    let log = Logger::set(&wrap);
    wrap.connect(addr).expect("the answer comes later");
    assert_eq!(wrap.connect(addr).expect_err("connecting").errno(), Errno::EALREADY);
    assert_eq!(log.take(), [""; 0], "never from within the call");
    assert!(!event_loop.run(uv_core::RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["connect failed: ECONNREFUSED"]);
    wrap.close();
    run_to_the_end(&event_loop);
}

#[test]
fn closing_cancels_a_connect() {
    let event_loop = new_loop();
    let (server, addr) = bound_tcp(&event_loop);
    server.listen_with(1, |_, _| {}).expect("bound");
    let wrap = TcpWrap::new(&event_loop);
    let log = Logger::set(&wrap);
    wrap.connect(addr).expect("loopback is reachable");
    wrap.close();
    server.close();
    run_to_the_end(&event_loop);
    let events = log.take();
    // On loopback the kernel may have connected already, and then the connect succeeds.
    assert!(events == ["connect failed: ECANCELED", "close"] || events == ["connect", "close"], "{events:?}");
}

// Node: test-tcp-wrap, test-net-local-address-port
#[test]
fn a_wrap_without_a_socket_has_no_address() {
    let event_loop = new_loop();
    let wrap = TcpWrap::new(&event_loop);
    assert_eq!(wrap.local_addr().expect_err("no socket").errno(), Errno::EBADF);
    assert_eq!(wrap.peer_addr().expect_err("no socket").errno(), Errno::EBADF);
    assert_eq!(wrap.fd().expect_err("no socket").errno(), Errno::EBADF);
    wrap.bind(loopback(), BindOptions::default()).expect("a free port");
    assert_ne!(wrap.local_addr().expect("bound").port(), 0);
    assert_eq!(wrap.peer_addr().expect_err("not connected").errno(), Errno::ENOTCONN);
    wrap.close();
    assert_eq!(wrap.local_addr().expect_err("closing").errno(), Errno::EBADF);
    assert_eq!(wrap.set_nodelay(true).expect_err("closing").errno(), Errno::EBADF);
    run_to_the_end(&event_loop);
}

// Node: test-net-keepalive. Node keeps the delay if it is given zero; here zero is an error.
#[test]
fn probes_are_asked_for_in_whole_seconds() {
    let event_loop = new_loop();
    let (wrap, _peer) = common::tcp_pair(&event_loop);
    wrap.set_keepalive(Some(KeepAlive::after(Duration::from_secs(30)))).expect("connected");
    let refused = wrap.set_keepalive(Some(KeepAlive::after(Duration::from_millis(10))));
    assert_eq!(refused.expect_err("less than a second").errno(), Errno::EINVAL);
    wrap.set_keepalive(None).expect("connected");
    wrap.set_nodelay(true).expect("connected");
    wrap.close();
    run_to_the_end(&event_loop);
}

/// Closes its listener after `left` connections and asserts that `on_close` is the last call.
struct Counting {
    listener: StreamWrap,
    left: u32,
    closed: Rc<Cell<bool>>,
}

impl OnConnection for Counting {
    fn on_connection(&mut self, _: &StreamWrap, connection: Result<StreamWrap>) {
        assert!(!self.closed.get());
        let connection = connection.expect("descriptors are left");
        assert!(connection.is_readable() && connection.is_writable());
        connection.close();
        self.left -= 1;
        if self.left == 0 {
            self.listener.close();
        }
    }

    fn on_close(&mut self, _: &StreamWrap) {
        assert!(!self.closed.replace(true), "once");
    }
}

#[test]
fn connections_come_as_wraps_until_the_listener_is_closed() {
    for batch in [1, 64] {
        let event_loop = new_loop();
        let (server, addr) = bound_tcp(&event_loop);
        let closed = Rc::new(Cell::new(false));
        let handler = Counting { listener: (*server).clone(), left: 5, closed: Rc::clone(&closed) };
        server.set_accept_batch(batch);
        server.listen(16, handler).expect("bound");
        let peers: Vec<_> = (0..7).map(|_| TcpStream::connect(addr).expect("the backlog has room")).collect();
        run_to_the_end(&event_loop);
        assert!(closed.get());
        drop(peers);
    }
}

// Node: async-hooks/test-tcpwrap
#[test]
fn a_client_and_a_server_in_one_loop() {
    let event_loop = new_loop();
    let (server, addr) = bound_tcp(&event_loop);
    let listener = server.clone();
    let peer_log = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&peer_log);
    server
        .listen_with(8, move |_, connection| {
            let connection = connection.expect("descriptors are left");
            let log = Logger::set_reading(&connection, |stream, data| {
                assert_eq!(stream.write(data).expect("connected").later, 0);
                stream.shutdown().expect("connected");
            });
            slot.replace(Some(log));
            connection.read_start().expect("connected");
            listener.close();
        })
        .expect("bound");
    let client = TcpWrap::new(&event_loop);
    let log = Logger::set_reading(&client, |stream, _| stream.shutdown().expect("connected"));
    client.connect(addr).expect("loopback is reachable");
    assert_eq!(client.write(b"ping").expect("connecting").later, 4);
    let starter = client.clone();
    let prepare = uv_core::Prepare::new(&event_loop);
    let started = move |prepare: &uv_core::Prepare| {
        if starter.is_readable() {
            starter.read_start().expect("connected");
            prepare.close();
        }
    };
    prepare.start(started).expect("new");
    run_to_the_end(&event_loop);
    let mut events = log.take();
    // The peer's FIN may arrive before `on_shutdown` reports ours.
    events[3..5].sort();
    assert_eq!(events, ["connect", "write", "read", "end", "shutdown", "close"]);
    assert_eq!((log.bytes(), client.bytes_read(), client.bytes_written()), (b"ping".to_vec(), 4, 4));
    assert_eq!(peer_log.take().expect("it came").take(), ["read", "shutdown", "end", "close"]);
}

#[test]
fn pipes_have_names_and_refuse_what_does_not_fit() {
    let event_loop = new_loop();
    let name = format!("\0tcp-wrap-names-{}", std::process::id());
    let server = PipeWrap::new(&event_loop);
    assert_eq!(server.local_name().expect_err("no socket").errno(), Errno::EBADF);
    assert_eq!(server.listen(1, no_connection).expect_err("no name").errno(), Errno::EINVAL);
    server.bind(&name).expect("a fresh name");
    assert_eq!(server.bind(&name).expect_err("bound").errno(), Errno::EINVAL);
    assert_eq!(server.local_name().expect("bound"), PipeName::Abstract(name.as_bytes()[1..].to_vec()));
    let (taken, long) = (PipeWrap::new(&event_loop), PipeWrap::new(&event_loop));
    assert_eq!(taken.bind(&name).expect_err("in use").errno(), Errno::EADDRINUSE);
    assert_eq!(long.bind("x".repeat(200)).expect_err("too long").errno(), Errno::ENAMETOOLONG);
    for wrap in [server, taken, long] {
        wrap.close();
    }
    run_to_the_end(&event_loop);
}
