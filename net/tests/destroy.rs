//! Destroying a socket from its own side.

mod common;

use common::{Log, Peer, connection, new_loop, refusing_addr, run_to_the_end, serve_one, to};
use net::{ConnectOptions, Error, ErrorCode, ReadyState, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const A_LOT: usize = 16 * 1024 * 1024;

/// A system error, as a program may get it elsewhere.
fn some_error() -> Error {
    net::uv_core::Error::new("think", net::uv_core::Errno::EINVAL).into()
}

// Node: test-net-connect-immediate-destroy, test-net-connect-destroy
#[test]
fn destroy_right_after_connect_emits_nothing_but_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (bound, addr) = refusing_addr(&event_loop);
    let there = Peer::new("there", &log).telling_drop().connect(&env, ConnectOptions::addr(addr));
    assert_eq!(there.ready_state(), ReadyState::Opening);
    there.destroy();
    assert_eq!(there.ready_state(), ReadyState::Closed);
    bound.close();
    assert_eq!(log.take(), Vec::<String>::new(), "nothing is called from inside a call");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there close", "there dropped"]);
}

// Node: test-net-connect-destroy
#[test]
fn destroy_inside_on_connect_is_followed_by_close_only() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log).on("connect", Socket::destroy);
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there close"]);
}

// Node: test-net-write-cb-on-destroy-before-connect
#[test]
fn a_write_to_a_socket_destroyed_before_it_was_connected_says_so() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (bound, addr) = refusing_addr(&event_loop);
    let there = Peer::new("there", &log).connect(&env, ConnectOptions::addr(addr));
    there.write(b"waits").expect("it is connecting");
    there.destroy();
    bound.close();
    let refused = |socket: &Socket| socket.write(b"late").expect_err("it is destroyed").code();
    assert_eq!(refused(&there), ErrorCode::SocketClosedBeforeConnection);
    run_to_the_end(&event_loop, &env);
    assert_eq!(refused(&there), ErrorCode::SocketClosedBeforeConnection);
    assert_eq!(log.take(), ["there close"]);
}

// Node: test-net-socket-write-after-close, test-net-write-after-close
#[test]
fn everything_about_a_destroyed_socket_is_refused_or_ignored() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log).on("connect", |socket| socket.destroy());
    let here = Peer::new("here", &Log::default());
    let there = connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(there.write(b"late").expect_err("it is destroyed").code(), ErrorCode::SocketClosed);
    assert_eq!(there.reset_and_destroy().expect_err("it is destroyed").code(), ErrorCode::SocketClosed);
    assert!(there.set_no_delay(true).is_err() && there.set_keep_alive(None).is_err());
    there.pause();
    there.resume();
    there.end();
    there.destroy_soon();
    there.notify();
    there.set_timeout(std::time::Duration::from_millis(1));
    there.destroy_with(some_error());
    there.set_handler(Peer::new("late", &log).telling_drop());
    assert_eq!(there.local_address(), None);
    assert_eq!(log.take(), ["there connect", "there close", "late dropped"]);
}

// Node: test-net-error-twice, test-net-better-error-messages-listen
#[test]
fn the_reason_comes_once_before_close_and_never_inside_the_call() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let noted = log.clone();
    let there = Peer::new("there", &log).on("connect", move |socket| {
        socket.destroy_with(some_error());
        socket.destroy_with(Error::from(net::uv_core::Error::new("again", net::uv_core::Errno::EINVAL)));
        socket.destroy();
        noted.push("destroyed");
    });
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
    let expected = [
        "there connect",
        "destroyed",
        "there error think: Invalid argument (EINVAL)",
        "there close after an error",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn nothing_is_read_after_a_destroy_inside_on_data() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let noted = log.clone();
    let here = Peer::new("here", &log).on_bytes(move |socket, _| {
        noted.push("here data");
        socket.destroy();
    });
    let there = Peer::new("there", &Log::default()).on("connect", |socket| {
        socket.write(&vec![b'x'; A_LOT]).expect("it is open");
    });
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here data", "here close"]);
}

#[test]
fn a_paused_socket_can_be_destroyed() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log).on("connect", |socket| {
        socket.pause();
        socket.destroy();
        socket.resume();
    });
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there close"]);
}

// Node: destroySoon, as http uses it
#[test]
fn destroy_soon_writes_everything_and_does_not_wait_for_the_peer() {
    let (event_loop, env) = new_loop();
    let (log, received) = (Log::default(), Rc::new(Cell::new(0)));
    let sum = Rc::clone(&received);
    // The peer never sends a FIN by itself.
    let options = ServerOptions::default().allow_half_open(true);
    let here = Peer::new("here", &Log::default())
        .on_bytes(move |_, data| sum.set(sum.get() + data.len()))
        .on("end", |socket| {
            let late = socket.clone();
            socket.environment().set_timeout(std::time::Duration::from_millis(5), move || late.destroy());
        });
    let there = Peer::new("there", &log).on("connect", |socket| {
        socket.write(&vec![b'x'; A_LOT]).expect("it is open");
        socket.destroy_soon();
        assert!(!socket.is_destroyed());
    });
    connection(&env, options, here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(received.get(), A_LOT);
    assert_eq!(log.take(), ["there connect", "there finish", "there close"]);
}

#[test]
fn destroy_soon_holds_whenever_it_comes() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    for moment in ["connecting", "ended", "finished"] {
        let half_open = ServerOptions::default().allow_half_open(true);
        let here = Peer::new("here", &Log::default()).on("end", Socket::destroy);
        let server = serve_one(&env, half_open, move |socket| here.attach(&socket));
        let there = match moment {
            "connecting" => Peer::new("connecting", &log),
            "ended" => Peer::new("ended", &log).on("connect", |socket| {
                socket.end();
                socket.destroy_soon();
            }),
            _ => Peer::new("finished", &log)
                .on("connect", |socket| socket.end())
                .on("finish", Socket::destroy_soon),
        };
        let there = there.connect(&env, to(&server));
        if moment == "connecting" {
            there.write(b"waits").expect("it is connecting");
            there.destroy_soon();
        }
    }
    run_to_the_end(&event_loop, &env);
    for event in ["connecting close", "ended close", "finished close"] {
        assert_eq!(log.count(event), 1, "{event}: {:?}", log.take());
    }
}

// Node: test-net-socket-end-callback, test-net-connect-immediate-finish
#[test]
fn an_end_while_connecting_finishes_after_the_connect() {
    let (event_loop, env) = new_loop();
    let (log, text) = (Log::default(), Rc::new(RefCell::new(Vec::new())));
    let all = Rc::clone(&text);
    let here = Peer::new("here", &log).on_bytes(move |_, data| all.borrow_mut().extend_from_slice(data));
    let server = serve_one(&env, ServerOptions::default(), move |socket| here.attach(&socket));
    let theirs = Log::default();
    let there = Peer::new("there", &theirs).connect(&env, to(&server));
    there.end_with(b"all").expect("it is connecting");
    assert_eq!(there.ready_state(), ReadyState::Opening);
    run_to_the_end(&event_loop, &env);
    assert_eq!(*text.borrow(), b"all");
    assert_eq!(theirs.take(), ["there connect", "there finish", "there end", "there close"]);
}

#[test]
fn an_end_while_connecting_does_not_hide_that_the_connect_failed() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (bound, addr) = refusing_addr(&event_loop);
    let there = Peer::new("there", &log)
        .on("error", move |_| bound.close())
        .connect(&env, ConnectOptions::addr(addr));
    there.end_with(b"lost").expect("it is connecting");
    there.destroy_soon();
    run_to_the_end(&event_loop, &env);
    let error = format!("there error connect {addr}: Connection refused (ECONNREFUSED)");
    assert_eq!(log.take(), [error.as_str(), "there close after an error"]);
}
