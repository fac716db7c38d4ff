//! Sockets whose program reads by itself: `set_pulled`, `on_readable` and `try_read`. Node: 'readable' and `socket.read()`.

mod common;

use async_wrap::Environment;
use common::{Log, Peer, close, new_loop, run_to_the_end, serve_one, to};
use net::upcall::SocketHandler;
use net::uv_core::{Errno, RunMode};
use net::{ErrorCode, Pulled, ReadyState, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

type OnReadable = Box<dyn FnMut(&Socket)>;

/// Logs its calls, and lets the test's closure pull.
struct Puller(Log, OnReadable);

impl SocketHandler for Puller {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        self.0.push(format!("data {}", String::from_utf8_lossy(data)));
    }

    fn on_readable(&mut self, socket: &Socket) {
        self.0.push("readable");
        (self.1)(socket);
    }

    fn on_connect(&mut self, _: &Socket) {
        self.0.push("connect");
    }

    fn on_end(&mut self, _: &Socket) {
        self.0.push("end");
    }

    fn on_unread_end(&mut self, _: &Socket) {
        self.0.push("unread end");
    }

    fn on_timeout(&mut self, _: &Socket) {
        self.0.push("timeout");
    }

    fn on_finish(&mut self, _: &Socket) {
        self.0.push("finish");
    }

    fn on_error(&mut self, _: &Socket, error: net::Error) {
        self.0.push(format!("error {error}"));
    }

    fn on_close(&mut self, _: &Socket, had_error: bool) {
        self.0.push(if had_error { "close after an error" } else { "close" });
    }
}

/// A connection that the program pulls, and its peer, outside of the loop.
fn pulled(env: &Environment, log: &Log, readable: impl FnMut(&Socket) + 'static) -> (Socket, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let peer = TcpStream::connect(listener.local_addr().expect("it has an address")).expect("it listens");
    let socket = Socket::from_fd(env, listener.accept().expect("connected").0.into()).expect("a socket");
    socket.set_pulled(true);
    socket.set_handler(Puller(log.clone(), Box::new(readable)));
    (socket, peer)
}

/// Turns of the loop in which nothing has to happen.
fn turn(env: &Environment, turns: usize) {
    for _ in 0..turns {
        env.run(RunMode::NoWait).expect("the loop runs");
    }
}

fn until(env: &Environment, is_so: impl Fn() -> bool) {
    while !is_so() {
        env.run(RunMode::Once).expect("the loop runs");
    }
}

fn pull(socket: &Socket, log: &Log) {
    let mut buffer = [0; 64];
    log.push(match socket.try_read(&mut buffer) {
        Ok(Pulled::Bytes(count)) => format!("pulled {}", String::from_utf8_lossy(&buffer[..count])),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("failed {error}"),
    });
}

#[test]
fn bytes_nothing_and_the_end_are_told_apart_and_the_loop_reads_nothing() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let told = log.clone();
    let (socket, mut peer) = pulled(&env, &log, move |socket| pull(socket, &told));
    assert_eq!(socket.try_read(&mut [0; 8]), Ok(Pulled::WouldBlock));
    peer.write_all(b"hello").expect("to write");
    until(&env, || log.has("pulled hello"));
    assert_eq!((socket.bytes_read(), socket.ready_state()), (5, ReadyState::Open));
    log.take();
    turn(&env, 5);
    assert_eq!(log.take(), [] as [&str; 0], "nothing is there, and nothing is reported");
    drop(peer);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["readable", "End", "finish", "close"], "try_read alone has told the end");
}

#[test]
fn what_is_left_is_reported_again_and_a_pause_ends_the_reports() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, mut peer) = pulled(&env, &log, |_| {});
    peer.write_all(b"left").expect("to write");
    until(&env, || log.has("readable"));
    turn(&env, 2);
    assert_eq!(log.take(), ["readable"; 3]);
    socket.pause();
    assert!(socket.is_paused() && socket.is_pulled());
    turn(&env, 5);
    assert_eq!(log.take(), [] as [&str; 0]);
    // A paused socket can be pulled.
    let mut byte = [0];
    assert_eq!((socket.try_read(&mut byte), byte), (Ok(Pulled::Bytes(1)), *b"l"));
    turn(&env, 2);
    assert_eq!(log.take(), [] as [&str; 0]);
    socket.resume();
    until(&env, || log.has("readable"));
    let mut rest = [0; 8];
    assert_eq!(socket.try_read(&mut rest), Ok(Pulled::Bytes(3)));
    assert_eq!(&rest[..3], b"eft");
    socket.destroy();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_paused_socket_tells_an_unread_end_and_the_end_comes_when_it_is_pulled() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, mut peer) = pulled(&env, &log, |_| {});
    socket.pause();
    peer.write_all(b"last").expect("to write");
    drop(peer);
    // A paused socket does not keep the loop alive.
    let alive = env.set_timeout(Duration::from_secs(3600), || {});
    until(&env, || log.has("unread end"));
    alive.clear();
    pull(&socket, &log);
    pull(&socket, &log);
    pull(&socket, &log);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["unread end", "pulled last", "End", "End", "finish", "close"]);
}

#[test]
fn the_loop_and_the_program_may_read_by_turns_without_loss() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let told = log.clone();
    let (socket, mut peer) = pulled(&env, &log, move |socket| {
        let mut two = [0; 2];
        assert_eq!(socket.try_read(&mut two), Ok(Pulled::Bytes(2)));
        told.push(format!("pulled {}", String::from_utf8_lossy(&two)));
        socket.set_pulled(false);
    });
    peer.write_all(b"abcd").expect("to write");
    until(&env, || log.has("data cd"));
    let refused = socket.try_read(&mut [0; 8]).expect_err("the loop reads");
    assert_eq!(refused.system().map(|error| (error.op(), error.errno())), Some(("read", Errno::EALREADY)));
    assert!(!socket.is_destroyed(), "a mistake changes nothing");
    peer.write_all(b"e").expect("to write");
    until(&env, || log.has("data e"));
    socket.set_pulled(true);
    socket.set_pulled(true);
    peer.write_all(b"fg").expect("to write");
    until(&env, || log.has("pulled fg"));
    drop(peer);
    run_to_the_end(&event_loop, &env);
    let all =
        ["readable", "pulled ab", "data cd", "data e", "readable", "pulled fg", "end", "finish", "close"];
    assert_eq!(log.take(), all);
}

#[test]
fn after_the_end_a_half_open_socket_writes_on() {
    let (event_loop, env) = new_loop();
    let (log, told) = (Log::default(), Log::default());
    let noted = log.clone();
    let server = serve_one(&env, ServerOptions::default().allow_half_open(true), move |socket| {
        socket.set_pulled(true);
        socket.set_handler(Puller(
            noted,
            Box::new(move |socket| {
                if socket.try_read(&mut [0; 8]) == Ok(Pulled::End) {
                    assert_eq!(socket.ready_state(), ReadyState::WriteOnly);
                    assert!(socket.is_ended_by_peer());
                    socket.end_with(b"bye").expect("it is half open");
                    assert_eq!(socket.try_read(&mut [0; 8]), Ok(Pulled::End), "the end stays");
                }
            }),
        ));
    });
    Peer::new("there", &told).on("connect", |socket| socket.end()).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["readable", "finish", "close"]);
    assert!(told.has("there data bye"), "{:?}", told.take());
}

#[test]
fn without_half_open_connections_the_end_ends_this_side_too() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, peer) = pulled(&env, &log, |_| {});
    drop(peer);
    until(&env, || socket.try_read(&mut [0; 8]) == Ok(Pulled::End));
    assert_eq!(socket.ready_state(), ReadyState::Closed);
    assert_eq!(socket.write(b"late").expect_err("it has ended").code(), ErrorCode::EndedByPeer);
    assert!(!log.has("finish") && !log.has("close"), "a downcall calls no handler");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_reset_destroys_the_socket_with_its_error_whether_it_is_paused_or_not() {
    for pauses in [false, true] {
        let (event_loop, env) = new_loop();
        let (log, told) = (Log::default(), Log::default());
        let noted = told.clone();
        let (socket, peer) = pulled(&env, &log, move |socket| pull(socket, &noted));
        if pauses {
            socket.pause();
        }
        // A socket with unread input is closed with a reset.
        socket.write(b"unread").expect("it is open");
        turn(&env, 2);
        drop(peer);
        let alive = env.set_timeout(Duration::from_secs(3600), || {});
        until(&env, || log.has("close after an error"));
        alive.clear();
        run_to_the_end(&event_loop, &env);
        let error = "read: Connection reset by peer (ECONNRESET)";
        let found = told.take();
        let expected = if pauses { Vec::new() } else { vec![format!("failed {error}")] };
        assert_eq!(found, expected);
        let calls: Vec<_> = log.take().into_iter().filter(|call| call != "readable").collect();
        assert_eq!(calls, [format!("error {error}"), "close after an error".to_owned()]);
        assert_eq!(socket.try_read(&mut [0; 8]).map_err(|error| error.code()), Err(ErrorCode::SocketClosed));
    }
}

#[test]
fn mistakes_are_typed_errors_and_change_nothing() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, mut peer) = pulled(&env, &log, |socket| socket.pause());
    peer.write_all(b"x").expect("to write");
    until(&env, || log.has("readable"));
    assert_eq!(socket.try_read(&mut []).map_err(|error| error.code()), Err(ErrorCode::InvalidArgument));
    assert_eq!(socket.try_read(&mut [0; 8]), Ok(Pulled::Bytes(1)));
    socket.destroy();
    assert_eq!(socket.try_read(&mut [0; 8]).map_err(|error| error.code()), Err(ErrorCode::SocketClosed));
    socket.set_pulled(false);
    socket.set_pulled(true);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["readable", "close"]);
}

#[test]
fn a_socket_can_be_pulled_from_its_connect_on_and_has_nothing_before() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let told = log.clone();
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket);
        socket.end_with(b"greeting").expect("it is open");
    });
    let readable = move |socket: &Socket| pull(socket, &told);
    let handler = Puller(log.clone(), Box::new(readable));
    let socket = Socket::connect(&env, to(&server), handler).expect("nothing is refused at once");
    socket.set_pulled(true);
    assert_eq!(socket.try_read(&mut [0; 8]), Ok(Pulled::WouldBlock), "it is connecting");
    run_to_the_end(&event_loop, &env);
    let calls: Vec<_> = log.take().into_iter().filter(|call| call != "readable").collect();
    assert_eq!(calls, ["connect", "pulled greeting", "End", "finish", "close"]);
}

#[test]
fn only_bytes_and_the_end_count_as_activity() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let told = log.clone();
    let (socket, mut peer) = pulled(&env, &log, move |socket| pull(socket, &told));
    socket.set_timeout(Duration::from_millis(20));
    let asking = socket.clone();
    // Finding nothing is no activity, however often.
    let asks = env.set_interval(Duration::from_millis(2), move || {
        assert!(matches!(asking.try_read(&mut [0; 8]), Ok(Pulled::WouldBlock) | Err(_)));
    });
    until(&env, || log.has("timeout"));
    asks.clear();
    peer.write_all(b"x").expect("to write");
    until(&env, || log.has("pulled x"));
    until(&env, || log.count("timeout") == 2);
    socket.destroy();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_pulled_socket_that_lingers_is_read_to_its_end_and_told_no_more() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, peer) = pulled(&env, &log, |_| {});
    socket.write(&vec![7; 8 << 20]).expect("it is open");
    socket.destroy_soon();
    let reading = std::thread::spawn(move || {
        let mut peer = peer;
        // As long as it is not closed by a reset.
        let _ = peer.write_all(b"input that is discarded");
        let mut all = Vec::new();
        peer.read_to_end(&mut all).map(|_| all.len())
    });
    until(&env, || log.has("finish") || log.has("close"));
    assert_eq!(
        socket.try_read(&mut [0; 8]).map_err(|error| error.code()),
        Err(ErrorCode::SocketClosed),
        "input is discarded from here on"
    );
    run_to_the_end(&event_loop, &env);
    assert_eq!(reading.join().expect("no panic").expect("no reset"), 8 << 20);
    assert_eq!(log.take().last().map(String::as_str), Some("close"));
}

#[test]
fn a_held_socket_is_pulled_once_the_program_wants_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (kept, told) = (Rc::new(RefCell::new(None)), log.clone());
    let into = Rc::clone(&kept);
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        socket.set_pulled(true);
        into.replace(Some(socket));
    });
    let mut peer = TcpStream::connect(common::port_of(&server)).expect("it listens");
    peer.write_all(b"early").expect("to write");
    until(&env, || kept.borrow().is_some());
    turn(&env, 3);
    let socket: Socket = kept.take().expect("it was kept");
    socket.set_handler(Puller(log.clone(), Box::new(move |socket| pull(socket, &told))));
    until(&env, || log.has("pulled early"));
    drop((peer, socket));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn every_call_may_be_made_in_on_readable() {
    let calls: [fn(&Socket); 7] = [
        |socket| socket.destroy(),
        |socket| socket.pause(),
        |socket| socket.set_pulled(false),
        |socket| socket.end(),
        |socket| socket.destroy_soon(),
        |socket| drop(socket.reset_and_destroy()),
        |socket| socket.set_handler(Puller(Log::default(), Box::new(|socket| socket.destroy()))),
    ];
    for (index, call) in calls.into_iter().enumerate() {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let (socket, mut peer) = pulled(&env, &log, call);
        peer.write_all(b"x").expect("to write");
        until(&env, || log.has("readable"));
        turn(&env, 3);
        socket.destroy();
        drop(peer);
        run_to_the_end(&event_loop, &env);
        assert!(!log.has("error"), "call {index}");
    }
}

#[test]
fn a_panic_in_on_readable_leaves_the_input_and_the_socket() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (has_panicked, told) = (Cell::new(false), log.clone());
    let (socket, mut peer) = pulled(&env, &log, move |socket| {
        assert!(has_panicked.replace(true), "once");
        pull(socket, &told);
    });
    peer.write_all(b"safe").expect("to write");
    let run = || while env.run(RunMode::Once).expect("the loop runs") {};
    catch_unwind(AssertUnwindSafe(run)).expect_err("the handler panics");
    until(&env, || log.has("pulled safe"));
    socket.destroy();
    until(&env, || log.has("close"));
    close(&event_loop, &env);
}

#[test]
fn the_calls_are_made_in_the_context_of_the_socket() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (socket, mut peer) = pulled(&env, &log, |socket| {
        assert_eq!(socket.environment().execution_async_id(), socket.async_id());
        socket.destroy();
    });
    peer.write_all(b"x").expect("to write");
    run_to_the_end(&event_loop, &env);
    assert!(socket.is_destroyed() && log.has("close"));
}

#[test]
fn what_the_kernel_has_is_seen_before_the_loop_has_heard_of_it() {
    for what in ["data x", "end", "close after an error"] {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let (socket, mut peer) = pulled(&env, &log, |_| {});
        socket.set_pulled(false);
        turn(&env, 2);
        assert!(!socket.may_have_input(), "nothing was sent");
        match what {
            "data x" => peer.write_all(b"x").expect("to write"),
            "end" => peer.shutdown(Shutdown::Write).expect("connected"),
            _ => {
                // What the peer has not read turns its close into a reset.
                socket.write(b"unread").expect("connected");
                drop(peer);
            }
        }
        assert!(socket.may_have_input(), "{what}");
        assert!(socket.may_have_input(), "{what}: the question changes nothing");
        turn(&env, 2);
        assert!(log.has(what), "{what}: {:?}", log.take());
        socket.destroy();
        assert!(socket.may_have_input(), "{what}: a socket that is destroyed is of no use");
        run_to_the_end(&event_loop, &env);
    }
}
