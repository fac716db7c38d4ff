//! `UdpSocket`: its states, its calls and their order, and what is refused.

mod common;

use common::{Log, new_loop, run_to_the_end};
use net::async_wrap::Environment;
use net::udp::{Envelope, Interface, SendOptions, UdpSocket, UdpSocketOptions};
use net::upcall::UdpHandler;
use net::uv_core::RunMode;
use net::{Error, ErrorCode};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as Plain};
use std::rc::Rc;

type Hook = Box<dyn FnMut(&UdpSocket)>;

/// Logs every event, then calls the test's closure for it.
struct Events {
    log: Log,
    hooks: Vec<(&'static str, Hook)>,
}

impl Events {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), hooks: Vec::new() }
    }

    fn on(mut self, event: &'static str, hook: impl FnMut(&UdpSocket) + 'static) -> Self {
        self.hooks.push((event, Box::new(hook)));
        self
    }

    fn event(&mut self, socket: &UdpSocket, event: &'static str, note: &str) {
        self.log.push(format!("{event}{note}"));
        for (_, hook) in self.hooks.iter_mut().filter(|(name, _)| *name == event) {
            hook(socket);
        }
    }
}

impl UdpHandler for Events {
    fn on_message(&mut self, socket: &UdpSocket, data: &[u8], _: &Envelope) {
        self.event(socket, "message", &format!(" {}", String::from_utf8_lossy(data)));
    }

    fn on_listening(&mut self, socket: &UdpSocket) {
        self.event(socket, "listening", "");
    }

    fn on_connect(&mut self, socket: &UdpSocket) {
        self.event(socket, "connect", "");
    }

    fn on_error(&mut self, socket: &UdpSocket, error: Error) {
        let name = error.errno().map_or("own", |errno| errno.name());
        self.event(socket, "error", &format!(" {name}"));
    }

    fn on_close(&mut self, socket: &UdpSocket) {
        self.event(socket, "close", "");
    }
}

fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn plain() -> (Plain, SocketAddr) {
    let peer = Plain::bind(localhost()).expect("a free port");
    let addr = peer.local_addr().expect("bound");
    (peer, addr)
}

fn socket(env: &Environment, events: Events) -> UdpSocket {
    UdpSocket::new(env, UdpSocketOptions::v4(), events)
}

fn code<T: std::fmt::Debug>(result: net::Result<T>) -> ErrorCode {
    result.expect_err("it is refused").code()
}

// Node: test-dgram-bind, test-dgram-listen-after-bind, test-dgram-close-in-listening
#[test]
fn listening_is_told_later_and_messages_follow_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = socket(&env, Events::new(&log).on("message", |server| server.close().expect("open")));
    server.bind(localhost()).expect("a free port");
    let addr = server.address().expect("bound");
    assert_ne!(addr.port(), 0);
    plain().0.send_to(b"hello", addr).expect("sent");
    assert_eq!(log.take(), [""; 0], "nothing inside of bind");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["listening", "message hello", "close"]);
}

// Node: test-dgram-close-in-listening, test-dgram-close-during-bind
#[test]
fn a_close_in_listening_is_the_end_and_tells_what_was_sent_before() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (peer, addr) = plain();
    let client = socket(&env, Events::new(&log).on("listening", |client| client.close().expect("open")));
    client.bind(localhost()).expect("a free port");
    let sent = log.clone();
    let on_sent = move |_: &UdpSocket, result: net::Result<()>| sent.push(format!("sent {}", result.is_ok()));
    client.send_with("hello", &SendOptions::to(addr), on_sent).expect("it is open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(peer.recv(&mut [0; 8]).expect("a datagram"), 5);
    let mut all = log.take();
    assert_eq!(all.pop().as_deref(), Some("close"), "{all:?}");
    all.sort();
    assert_eq!(all, ["listening", "sent true"]);
}

// Node: test-dgram-bind-error-repeat, test-dgram-bind, test-dgram-reuseport
#[test]
fn a_second_bind_is_refused_and_a_failed_one_may_be_repeated() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (taken, addr) = plain();
    let one = socket(&env, Events::new(&log));
    let error = one.bind(addr).expect_err("in use");
    assert_eq!(error.errno().map(|errno| errno.name()), Some("EADDRINUSE"));
    drop(taken);
    one.bind(addr).expect("free now");
    assert_eq!(code(one.bind(localhost())), ErrorCode::AlreadyBound);
    one.close().expect("open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["close"], "a close overtakes `listening`");
}

// Node: test-dgram-implicit-bind, test-dgram-send-callback-buffer
#[test]
fn a_send_binds_and_its_callback_comes_later() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (peer, addr) = plain();
    let client = socket(&env, Events::new(&log));
    let sent = log.clone();
    client
        .send_with("hello", &SendOptions::to(addr), move |client, result| {
            sent.push(format!("sent {}", result.is_ok()));
            client.close().expect("open");
        })
        .expect("it binds");
    client.send_to("no callback", addr).expect("open");
    assert_eq!(log.take(), [""; 0]);
    assert_eq!((client.send_queue_count(), client.send_queue_size()), (2, 16));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["listening", "sent true", "close"]);
    let mut buffer = [0; 16];
    assert_eq!(peer.recv(&mut buffer).expect("a datagram"), 5);
    assert_eq!(peer.recv(&mut buffer).expect("a datagram"), 11);
}

// Node: test-dgram-connect, test-dgram-connect-send-default-host, test-dgram-connect-send-callback-buffer
#[test]
fn a_peer_decides_which_sends_there_are() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (peer, addr) = plain();
    let client = socket(&env, Events::new(&log));
    assert_eq!(code(client.disconnect()), ErrorCode::NotConnected);
    assert_eq!(code(client.remote_address()), ErrorCode::NotConnected);
    assert_eq!(code(client.send("nowhere")), ErrorCode::NotConnected);
    assert_eq!(code(client.connect(SocketAddr::new(addr.ip(), 0))), ErrorCode::BadPort);
    assert_eq!(code(client.send_to("nowhere", SocketAddr::new(addr.ip(), 0))), ErrorCode::BadPort);
    client.connect(addr).expect("an address of this machine");
    assert_eq!(client.remote_address().expect("connected"), addr);
    assert_eq!(code(client.connect(addr)), ErrorCode::IsConnected);
    assert_eq!(code(client.send_to("twice", addr)), ErrorCode::IsConnected);
    client.send("hello").expect("connected");
    env.run(RunMode::NoWait).expect("the loop runs");
    assert_eq!(log.take(), ["listening", "connect"]);
    assert_eq!(peer.recv(&mut [0; 16]).expect("a datagram"), 5);
    client.disconnect().expect("connected");
    assert_eq!(code(client.send("nowhere")), ErrorCode::NotConnected);
    client.send_to("again", addr).expect("not connected");
    client.close().expect("open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(peer.recv(&mut [0; 16]).expect("a datagram"), 5);
}

// Node: test-dgram-close, test-dgram-close-signal, test-dgram-send-after-close
#[test]
fn a_closed_socket_refuses_everything() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (_peer, addr) = plain();
    let closed = socket(&env, Events::new(&log));
    closed.close().expect("open");
    assert!(closed.is_closed());
    let group = IpAddr::V4(Ipv4Addr::new(239, 255, 0, 1));
    let refused = [
        closed.close(),
        closed.bind(localhost()),
        closed.connect(addr),
        closed.disconnect(),
        closed.send("late"),
        closed.send_to("late", addr),
        closed.send_copy(&[], &SendOptions::to(addr)),
        closed.address().map(drop),
        closed.remote_address().map(drop),
        closed.set_ttl(1),
        closed.set_broadcast(true),
        closed.add_membership(group, Interface::Any),
        closed.recv_buffer_size().map(drop),
    ];
    for result in refused {
        assert_eq!(code(result), ErrorCode::NotRunning);
    }
    closed.ref_();
    closed.unref();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn what_keeps_the_loop_alive_was_made_where_the_program_made_it() {
    let (event_loop, env) = new_loop();
    let made = line!() + 1;
    let socket = UdpSocket::new_with(&env, UdpSocketOptions::v4(), |_, _, _| {});
    let timeout = env.set_timeout(std::time::Duration::from_secs(60), || {});
    socket.bind(localhost()).expect("a free port");
    let why = event_loop.why_alive();
    assert!(why.contains(&format!("receives on {}", socket.address().expect("bound"))), "{why}");
    if cfg!(debug_assertions) {
        for line in [made, made + 1] {
            assert!(why.contains(&format!(", made at net/tests/udp.rs:{line}:")), "{why}");
        }
    }
    socket.close().expect("open");
    timeout.clear();
    run_to_the_end(&event_loop, &env);
}

// Node: test-dgram-error-message-address, test-dgram-udp6-send-default-host
#[test]
fn an_address_of_the_wrong_family_is_refused() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let four = socket(&env, Events::new(&log));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
    let refused = four.send_to("six", six).expect_err("the wrong family");
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    let text = "an IPv6 address, and a socket of IPv4 (UdpSocketOptions::v4): [::1]:9";
    assert_eq!(refused.to_string(), text);
    assert_eq!(code(four.connect(six)), ErrorCode::InvalidArgument);
    assert_eq!(four.address().expect_err("unbound").errno().map(|errno| errno.name()), Some("EBADF"));
    four.close().expect("open");
    if Plain::bind(six).is_ok() {
        let server = UdpSocket::new(&env, UdpSocketOptions::v6().ipv6_only(true), Events::new(&log));
        server.bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).expect("a free port");
        let to = server.address().expect("bound");
        let echo = server.clone();
        let client = UdpSocket::new_with(&env, UdpSocketOptions::v6(), move |client, _, _| {
            let _ = (client.close(), echo.close());
        });
        let own = client.clone();
        client.send_to("hello", to).expect("IPv6");
        server
            .send_to("hello", SocketAddr::new(to.ip(), own.address().expect("bound").port()))
            .expect("IPv6");
    }
    run_to_the_end(&event_loop, &env);
}

// Node: test-dgram-connect-send-multi-string-array, test-dgram-cluster-bind-error (the event)
#[test]
fn an_error_of_an_earlier_datagram_is_an_event_and_the_socket_works_on() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let closed = plain().1;
    let client = socket(&env, Events::new(&log).on("error", |client| client.close().expect("open")));
    client.connect(closed).expect("an address of this machine");
    client.send("lost").expect("connected");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["listening", "connect", "error ECONNREFUSED", "close"]);
}

// Node: test-dgram-setBroadcast, test-dgram-setTTL, test-dgram-multicast-setTTL, test-dgram-socket-buffer-size
#[test]
fn settings_need_a_bound_socket() {
    let (event_loop, env) = new_loop();
    let group = IpAddr::V4(Ipv4Addr::new(239, 255, 0, 2));
    let here = Interface::Address(Ipv4Addr::LOCALHOST);
    let set = |socket: &UdpSocket| {
        [
            socket.set_broadcast(true),
            socket.set_ttl(16),
            socket.set_multicast_ttl(0),
            socket.set_multicast_loopback(true),
            socket.set_multicast_interface(here),
            socket.set_receive_destination(true),
            socket.set_receive_ecn(true),
            socket.set_gro(true),
        ]
    };
    let unbound = socket(&env, Events::new(&Log::default()));
    let text = unbound.set_ttl(1).expect_err("unbound").to_string();
    assert!(text.contains("(there is no socket yet: bind it)"), "{text}");
    for result in set(&unbound) {
        assert_eq!(result.expect_err("unbound").errno().map(|errno| errno.name()), Some("EBADF"));
    }
    for result in [unbound.set_recv_buffer_size(9000), unbound.send_buffer_size().map(drop)] {
        assert_eq!(code(result), ErrorCode::BufferSize);
    }
    unbound.add_membership(group, here).expect("it binds");
    assert_ne!(unbound.address().expect("bound").port(), 0);
    for result in set(&unbound) {
        result.expect("bound");
    }
    unbound.drop_membership(group, here).expect("a member");
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    unbound.add_source_specific_membership(source, group, here).expect("bound");
    unbound.drop_source_specific_membership(source, group, here).expect("a member");
    unbound.set_recv_buffer_size(9000).expect("a size");
    unbound.set_send_buffer_size(8000).expect("a size");
    let sizes = (unbound.recv_buffer_size().ok(), unbound.send_buffer_size().ok());
    assert_eq!(sizes, (Some(18_000), Some(16_000)));
    assert_eq!(code(unbound.set_recv_buffer_size(usize::MAX)), ErrorCode::BufferSize);
    let options = UdpSocketOptions::v4().recv_buffer_size(9000).send_buffer_size(8000).batch(4);
    let sized = UdpSocket::new(&env, options, Events::new(&Log::default()));
    sized.bind(localhost()).expect("a free port");
    assert_eq!(sized.recv_buffer_size().expect("bound"), 18_000);
    // A size that cannot be set leaves nothing bound.
    let giant = UdpSocket::new(&env, options.recv_buffer_size(usize::MAX), Events::new(&Log::default()));
    for _ in 0..2 {
        assert_eq!(code(giant.bind(localhost())), ErrorCode::BufferSize);
        assert!(giant.address().is_err());
    }
    for socket in [unbound, sized, giant] {
        socket.close().expect("open");
    }
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_loop_that_is_dropped_drops_callbacks_that_hold_their_socket() {
    let (event_loop, env) = new_loop();
    let (_peer, addr) = plain();
    let client = socket(&env, Events::new(&Log::default()));
    let kept = Rc::new(());
    for _ in 0..2 {
        let own = (client.clone(), Rc::clone(&kept));
        client.send_with("hello", &SendOptions::to(addr), move |_, _| drop(own)).expect("it is queued");
    }
    let own = (client.clone(), Rc::clone(&kept));
    client.send_to_host("hello", "localhost", 9, move |_, _| drop(own)).expect("it is asked");
    drop(client);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&kept), 1);
}

// Node: test-dgram-ref, test-dgram-unref, test-dgram-unref-in-cluster
#[test]
fn an_unreferenced_socket_lets_the_loop_end() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = socket(&env, Events::new(&log));
    server.bind(localhost()).expect("a free port");
    server.unref();
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    server.ref_();
    assert!(env.run(RunMode::NoWait).expect("the loop runs"), "alive again");
    server.close().expect("open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["listening", "close"]);
}

// Node: test-dgram-bind-fd, test-dgram-bind-fd-error
#[test]
fn a_socket_of_the_program_is_adopted() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (ours, addr) = plain();
    let (peer, peer_addr) = plain();
    ours.connect(peer_addr).expect("an address of this machine");
    let events = Events::new(&log).on("message", |socket| socket.close().expect("open"));
    let socket = UdpSocket::from_fd(&env, ours.into(), UdpSocketOptions::v4(), events).expect("a socket");
    assert_eq!(socket.remote_address().expect("connected"), peer_addr);
    peer.send_to(b"hello", addr).expect("sent");
    let stream = std::net::TcpListener::bind(localhost()).expect("a free port");
    let unused = Log::default();
    let refused = UdpSocket::from_fd(&env, stream.into(), UdpSocketOptions::v4(), Events::new(&unused));
    assert_eq!(refused.expect_err("no UDP").errno().map(|errno| errno.name()), Some("EPROTOTYPE"));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["listening", "message hello", "close"]);
    assert_eq!(unused.take(), [""; 0], "the handler of a socket that there never was");
}

// Node: test-dgram-oob-buffer, test-dgram-send-empty-buffer, test-dgram-msgsize
#[test]
fn each_callback_has_the_result_of_its_own_datagram() {
    let (event_loop, env) = new_loop();
    let (_peer, addr) = plain();
    let client = socket(&env, Events::new(&Log::default()));
    let results = Rc::new(Cell::new(0));
    for (number, len) in [10, 70_000, 0].into_iter().enumerate() {
        let seen = Rc::clone(&results);
        client
            .send_with(vec![0; len], &SendOptions::to(addr), move |client, result| {
                assert_eq!(seen.replace(number + 1), number, "in order");
                assert_eq!(result.is_ok(), len < 65_508);
                if number == 2 {
                    client.close().expect("open");
                }
            })
            .expect("open");
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(results.get(), 3);
}

#[test]
fn callbacks_of_what_is_cancelled_come_before_the_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (_peer, addr) = plain();
    let client = socket(&env, Events::new(&log));
    for _ in 0..2 {
        let sent = log.clone();
        client.send_with("last", &SendOptions::to(addr), move |_, _| sent.push("sent")).expect("open");
    }
    client.close().expect("open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["sent", "sent", "close"]);
}

// Node: test-dgram-bind (a bind of 'udp4' to an IPv6 address is an error)
#[test]
fn a_socket_is_bound_to_an_address_of_its_own_family_only() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (four, six) = (localhost(), SocketAddr::from((Ipv6Addr::LOCALHOST, 0)));
    for (options, other) in [(UdpSocketOptions::v4(), six), (UdpSocketOptions::v6(), four)] {
        let socket = UdpSocket::new(&env, options, Events::new(&log));
        assert_eq!(code(socket.bind(other)), ErrorCode::InvalidArgument);
        socket.address().expect_err("it is unbound still");
        socket.close().expect("open");
    }
    let adopted = UdpSocket::from_fd(&env, plain().0.into(), UdpSocketOptions::v6(), Events::new(&log));
    assert_eq!(code(adopted), ErrorCode::InvalidArgument);
    let only = UdpSocket::new(&env, UdpSocketOptions::v6().ipv6_only(true), Events::new(&log));
    for to in [SocketAddr::from(([127, 0, 0, 1], 9)), "[::ffff:127.0.0.1]:9".parse().expect("an address")] {
        assert_eq!(code(only.send_to("four", to)), ErrorCode::InvalidArgument);
        assert_eq!(code(only.connect(to)), ErrorCode::InvalidArgument);
    }
    only.close().expect("open");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["close"; 3]);
}

// Node: test-dgram-membership
#[test]
fn a_group_is_not_left_by_a_socket_that_is_not_bound_which_may_be_bound_later() {
    let (event_loop, env) = new_loop();
    let socket = socket(&env, Events::new(&Log::default()));
    let (group, here) = (IpAddr::V4(Ipv4Addr::new(239, 255, 0, 3)), Interface::Address(Ipv4Addr::LOCALHOST));
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for left in
        [socket.drop_membership(group, here), socket.drop_source_specific_membership(source, group, here)]
    {
        assert_eq!(left.expect_err("unbound").errno().map(|errno| errno.name()), Some("EBADF"));
    }
    socket.bind(localhost()).expect("a free port");
    socket.add_membership(group, here).expect("bound");
    socket.close().expect("open");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn listening_and_connect_are_told_before_what_was_sent_since() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (_peer, addr) = plain();
    for connects in [false, true] {
        let client = socket(&env, Events::new(&log));
        let (sent, options) = (log.clone(), SendOptions::to(addr));
        let options = if connects { SendOptions::default() } else { options };
        if connects {
            client.connect(addr).expect("an address of this machine");
        } else {
            client.bind(localhost()).expect("a free port");
        }
        let on_sent = move |client: &UdpSocket, _| {
            sent.push("sent");
            client.close().expect("open");
        };
        client.send_with("hello", &options, on_sent).expect("open");
        assert!(env.run(RunMode::NoWait).is_ok());
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["listening", "sent", "close", "listening", "connect", "sent", "close"]);
}
