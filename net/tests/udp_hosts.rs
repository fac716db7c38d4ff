//! Datagrams to hosts by name: look-ups, their failures, and a close while they last.

mod common;

use common::{Log, new_loop, run_to_the_end};
use net::async_wrap::Environment;
use net::names::{Answer, Resolver};
use net::udp::{Envelope, UdpSocket, UdpSocketOptions};
use net::upcall::UdpHandler;
use net::uv_core::names::{Family, SocketType};
use net::{Error, ErrorCode};
use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

/// Logs what comes, and closes when it has got "last".
struct Events(Log);

impl UdpHandler for Events {
    fn on_message(&mut self, socket: &UdpSocket, data: &[u8], _: &Envelope) {
        self.0.push(format!("message {}", String::from_utf8_lossy(data)));
        if data == b"last" {
            socket.close().expect("open");
        }
    }

    fn on_listening(&mut self, _: &UdpSocket) {
        self.0.push("listening");
    }

    fn on_connect(&mut self, _: &UdpSocket) {
        self.0.push("connect");
    }

    fn on_error(&mut self, _: &UdpSocket, error: Error) {
        self.0.push(format!("error {error}"));
    }

    fn on_close(&mut self, _: &UdpSocket) {
        self.0.push("close");
    }
}

fn socket(env: &Environment, log: &Log) -> (UdpSocket, u16) {
    let socket = UdpSocket::new(env, UdpSocketOptions::v4(), Events(log.clone()));
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let port = socket.address().expect("bound").port();
    (socket, port)
}

/// Logs the result of a datagram.
fn told(log: &Log, name: &'static str) -> impl FnOnce(&UdpSocket, Result<(), Error>) + use<> {
    let log = log.clone();
    move |_, sent| match sent {
        Ok(()) => log.push(format!("{name} sent")),
        Err(error) => log.push(format!("{name}: {error}")),
    }
}

fn code(result: Result<(), Error>) -> ErrorCode {
    result.expect_err("it is refused").code()
}

// Node: test-dgram-custom-lookup, test-dgram-send-callback-buffer-length-empty-address
#[test]
fn a_host_is_looked_up_in_the_sockets_family_and_its_first_address_gets_the_datagram() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, port) = socket(&env, &log);
    let asked = log.clone();
    socket.set_resolver(Resolver::new(move |env, query, answer| {
        assert_eq!((query.family, query.socket_type), (Some(Family::V4), Some(SocketType::Datagram)));
        let host = query.host.expect("a host");
        asked.push(format!("asked {host}"));
        let addresses: [SocketAddr; 2] = [(Ipv6Addr::LOCALHOST, 0).into(), (Ipv4Addr::LOCALHOST, 0).into()];
        match &*host {
            "at.once" => answer.found(addresses),
            _ => drop(env.set_immediate(move || answer.found(addresses))),
        }
    }));
    let tell = told(&log, "later");
    let and_then_last = move |socket: &UdpSocket, sent: Result<(), Error>| {
        tell(socket, sent);
        socket.send_to_host("last", "at.once", port, |_, sent| sent.expect("sent")).expect("it is asked");
    };
    socket.send_to_host("later", "some.time", port, and_then_last).expect("it is asked");
    socket.send_to_host("now", "at.once", port, told(&log, "now")).expect("it is asked");
    // A numeric address is not looked up.
    socket.send_to_host("numeric", "127.0.0.1", port, told(&log, "numeric")).expect("it is queued");
    assert_eq!(log.take(), ["asked some.time", "asked at.once"], "never inside the call");
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    for expected in
        ["later sent", "now sent", "numeric sent", "message later", "message now", "message numeric"]
    {
        assert_eq!(all.iter().filter(|event| *event == expected).count(), 1, "{expected}: {all:?}");
    }
    assert_eq!(all[all.len() - 2..], ["message last", "close"]);
}

// Node: test-dgram-send-bad-arguments, test-dgram-custom-lookup (an error goes to the callback)
#[test]
fn a_look_up_that_fails_is_the_result_of_its_datagram_alone() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, port) = socket(&env, &log);
    socket.set_resolver(Resolver::new(|_, query, answer| match query.host.as_deref() {
        Some("six") => answer.found([(Ipv6Addr::LOCALHOST, 0)]),
        Some("silent") => drop(answer),
        Some("here") => answer.found([(Ipv4Addr::LOCALHOST, 0)]),
        _ => answer.missing(),
    }));
    for host in ["nowhere", "six", "silent"] {
        socket.send_to_host("lost", host, port, told(&log, host)).expect("it is asked");
    }
    socket.send_to_host("last", "here", port, told(&log, "here")).expect("it is asked");
    assert_eq!(log.take(), [""; 0], "never inside the call");
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    let expected = [
        "nowhere: getaddrinfo nowhere: Name or service not known (ENOTFOUND, EAI_NONAME)",
        "six: send: the look-up has found no address of the socket's family: six",
    ];
    assert_eq!(all[..2], expected);
    assert!(all[2].starts_with("silent: getaddrinfo silent ") && all[2].contains("EAI_FAIL"), "{}", all[2]);
    assert!(
        ["here sent", "message last", "close"].iter().all(|event| all.iter().any(|other| other == event))
    );
}

#[test]
fn what_waits_for_a_look_up_is_told_as_cancelled_in_order_before_the_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, port) = socket(&env, &log);
    let kept: Rc<RefCell<Vec<Answer>>> = Rc::default();
    let keep = Rc::clone(&kept);
    socket.set_resolver(Resolver::new(move |_, _, answer| keep.borrow_mut().push(answer)));
    for (host, name) in [("one.test", "one"), ("two.test", "two")] {
        socket.send_to_host("lost", host, port, told(&log, name)).expect("it is asked");
    }
    env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
    assert_eq!(log.take(), ["listening"]);
    assert!(kept.borrow().iter().all(Answer::is_wanted));
    socket.close().expect("open");
    assert!(!kept.borrow().iter().any(Answer::is_wanted));
    assert_eq!(log.take(), [""; 0], "never inside the call");
    run_to_the_end(&event_loop, &env);
    // An answer that comes later changes nothing.
    kept.borrow().iter().for_each(|answer| answer.found([(Ipv4Addr::LOCALHOST, 0)]));
    let expected = [
        &format!("one: send one.test:{port}: Operation canceled (ECANCELED)"),
        &format!("two: send two.test:{port}: Operation canceled (ECANCELED)"),
        "close",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn mistakes_are_refused_at_once_and_tell_nothing() {
    let (event_loop, env) = new_loop();
    let (log, unused) = (Log::default(), Log::default());
    let (socket, port) = socket(&env, &log);
    let refused = |socket: &UdpSocket, host: &str, port| {
        let sent = told(&unused, "refused");
        code(socket.send_to_host("lost", host, port, sent))
    };
    assert_eq!(refused(&socket, "host.test", 0), ErrorCode::BadPort);
    assert_eq!(refused(&socket, &"a.".repeat(200), port), ErrorCode::System);
    assert_eq!(refused(&socket, "a\0b", port), ErrorCode::System);
    socket.connect((Ipv4Addr::LOCALHOST, 9).into()).expect("an address");
    assert_eq!(refused(&socket, "host.test", port), ErrorCode::IsConnected);
    socket.close().expect("open");
    assert_eq!(refused(&socket, "host.test", port), ErrorCode::NotRunning);
    run_to_the_end(&event_loop, &env);
    assert_eq!(unused.take(), [""; 0]);
}

/// Keeps each question for an answer that the test gives.
#[derive(Clone, Default)]
struct Asked(Rc<RefCell<Vec<(String, Answer)>>>);

impl Asked {
    fn resolver(&self) -> Resolver {
        let asked = self.clone();
        Resolver::new(move |_, query, answer| {
            asked.0.borrow_mut().push((query.host.expect("a host"), answer));
        })
    }

    /// Answers the question of this number among those that wait.
    fn answer(&self, number: usize) {
        let (_, answer) = self.0.borrow_mut().remove(number);
        answer.found([(Ipv4Addr::LOCALHOST, 0)]);
    }
}

// Node: test-dgram-custom-lookup
#[test]
fn datagrams_to_one_host_leave_in_the_order_of_the_calls_and_hosts_do_not_wait_for_each_other() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, port) = socket(&env, &log);
    let asked = Asked::default();
    socket.set_resolver(asked.resolver());
    for (data, host) in [("one", "a.test"), ("two", "a.test"), ("three", "b.test"), ("last", "a.test")] {
        socket.send_to_host(data, host, port, told(&log, data)).expect("it is asked");
    }
    assert_eq!((socket.send_queue_count(), socket.send_queue_size()), (4, 15));
    // Those of "two", then of "three", "last" and "one".
    asked.answer(1);
    env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
    assert_eq!(log.take(), ["listening"], "it waits for the first");
    asked.answer(1);
    env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
    env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
    assert_eq!(log.take(), ["three sent", "message three"]);
    asked.answer(1);
    asked.answer(0);
    run_to_the_end(&event_loop, &env);
    let mut all = log.take();
    let sent: Vec<_> = all.extract_if(.., |event| event.ends_with(" sent")).collect();
    assert_eq!(sent, ["one sent", "two sent", "last sent"]);
    assert_eq!(all, ["message one", "message two", "message last", "close"]);
}

// Node: test-dgram-connect-send-default-host, test-dgram-udp6-send-default-host, test-dgram-send-default-host
#[test]
fn an_empty_host_is_this_machine() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, port) = socket(&env, &log);
    socket.set_resolver(Resolver::new(|_, _, _| unreachable!("an address")));
    socket.send_to_host("first", "", port, told(&log, "first")).expect("an address");
    env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
    socket.connect_to_host("", port).expect("an address");
    assert_eq!(socket.remote_address(), Ok((Ipv4Addr::LOCALHOST, port).into()));
    socket.send("last").expect("it has a peer");
    run_to_the_end(&event_loop, &env);
    let all = log.take();
    for expected in ["first sent", "message first", "connect", "message last", "close"] {
        assert!(all.iter().any(|event| event == expected), "{expected}: {all:?}");
    }
}

// Node: test-dgram-connect (with a host), test-dgram-bind-socket-close-before-lookup
#[test]
fn a_peer_can_be_a_host() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, port) = socket(&env, &log);
    let asked = Asked::default();
    socket.set_resolver(asked.resolver());
    socket.send_to_host("before", "a.test", port, told(&log, "before")).expect("it is asked");
    socket.connect_to_host("a.test", port).expect("it is asked");
    assert_eq!(code(socket.connect((Ipv4Addr::LOCALHOST, port).into())), ErrorCode::IsConnected);
    assert_eq!(code(socket.connect_to_host("b.test", port)), ErrorCode::IsConnected);
    assert_eq!(code(socket.send("nowhere")), ErrorCode::NotConnected);
    assert_eq!(code(socket.disconnect()), ErrorCode::NotConnected);
    asked.answer(1);
    assert_eq!(code(socket.send("nowhere")), ErrorCode::NotConnected);
    asked.answer(0);
    assert_eq!(socket.remote_address(), Ok((Ipv4Addr::LOCALHOST, port).into()));
    for _ in 0..2 {
        env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
    }
    let mut all = log.take();
    all.sort();
    assert_eq!(all, ["before sent", "connect", "listening", "message before"]);
    socket.disconnect().expect("connected");
    socket.connect_to_host("missing.test", port).expect("it is asked");
    asked.0.borrow_mut().remove(0).1.missing();
    assert_eq!(log.take(), [""; 0], "never inside the call");
    env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
    let missing = "error getaddrinfo missing.test: Name or service not known (ENOTFOUND, EAI_NONAME)";
    assert_eq!(log.take(), [missing]);
    assert_eq!(code(socket.connect_to_host("a\0b", port)), ErrorCode::System);
    socket.connect_to_host("a.test", port).expect("nothing is left of those");
    socket.close().expect("open");
    assert!(!asked.0.borrow()[0].1.is_wanted());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["close"]);
}
