//! Ending connects, connections and servers by an abort.

mod common;

use common::{Host, Log, Peer, anywhere, new_loop, port_of, run_to_the_end, serve_one, to};
use net::abort::AbortHandle;
use net::names::Resolver;
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use std::cell::Cell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

const ABORTED: [&str; 2] = ["there error the operation was aborted", "there close after an error"];

/// A listener whose connects succeed, and its address.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let addr = listener.local_addr().expect("it has an address");
    (listener, addr)
}

// Node: test-net-connect-abort-controller (preAbort, testConstructor)
#[test]
fn a_connect_that_was_aborted_before_ends_from_the_loop_without_a_system_call() {
    let (event_loop, env) = new_loop();
    let (log, abort) = (Log::default(), AbortHandle::new());
    abort.abort();
    let (listener, addr) = listener();
    listener.set_nonblocking(true).expect("a mode");
    let options = ConnectOptions::addr(addr).abort(&abort);
    let socket = Peer::new("there", &log).telling_drop().connect(&env, options);
    assert!(socket.is_destroyed() && socket.stream().fd().is_err());
    assert_eq!(log.take(), Vec::<String>::new(), "never inside the call");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [ABORTED[0], ABORTED[1], "there dropped"]);
    listener.accept().expect_err("nothing was connected");
}

// Node: test-net-connect-abort-controller (postAbort, tickAbort)
#[test]
fn a_connect_is_aborted_right_after_it_began_and_in_a_tick() {
    for in_tick in [false, true] {
        let (event_loop, env) = new_loop();
        let (log, abort) = (Log::default(), AbortHandle::new());
        let (_listener, addr) = listener();
        Peer::new("there", &log).connect(&env, ConnectOptions::addr(addr).abort(&abort));
        if in_tick {
            let abort = abort.clone();
            env.next_tick(move || abort.abort());
        } else {
            abort.abort();
        }
        assert_eq!((log.take().len(), abort.is_aborted()), (0, !in_tick));
        run_to_the_end(&event_loop, &env);
        assert_eq!(log.take(), ABORTED);
    }
}

// Node: test-net-connect-abort-controller, test-net-socket-constructor (a signal ends a connected socket, too)
#[test]
fn a_connection_is_aborted_although_it_is_established() {
    let (event_loop, env) = new_loop();
    let (log, abort) = (Log::default(), AbortHandle::new());
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket);
    });
    let ending = abort.clone();
    let there = Peer::new("there", &log).on("connect", move |_| ending.abort());
    let socket = there.connect(&env, to(&server).abort(&abort));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", ABORTED[0], ABORTED[1]]);
    assert!(socket.write(b"late").is_err());
}

#[test]
fn several_share_one_handle_and_those_that_have_ended_are_left_alone() {
    let (event_loop, env) = new_loop();
    let (log, abort) = (Log::default(), AbortHandle::new());
    let (_listener, addr) = listener();
    let connect = || Peer::new("there", &log).connect(&env, ConnectOptions::addr(addr).abort(&abort));
    let sockets: Vec<_> = (0..3).map(|_| connect()).collect();
    sockets[0].destroy();
    let server = Server::new(&env, ServerOptions::default());
    server.listen(anywhere().abort(&abort), Host::new(&log, |_| {})).expect("the server listens");
    let closed = Server::new(&env, ServerOptions::default());
    closed.listen(anywhere().abort(&abort), Host::new(&Log::default(), |_| {})).expect("the server listens");
    closed.close().expect("it listens");
    abort.abort();
    abort.abort();
    assert!(!server.is_listening());
    // What begins afterwards ends as well.
    let late = connect();
    assert!(late.is_destroyed());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count(ABORTED[0]), 3);
    assert_eq!((log.count("there close"), log.count("server close")), (1, 1));
}

#[test]
fn a_dropped_handle_has_no_effect_and_a_handle_keeps_nothing_alive() {
    let (event_loop, env) = new_loop();
    let (log, kept) = (Log::default(), AbortHandle::new());
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket);
        socket.end();
    });
    let dropped = AbortHandle::new();
    let there = Peer::new("there", &log).telling_drop();
    drop(there.connect(&env, to(&server).abort(&dropped)));
    drop(dropped);
    run_to_the_end(&event_loop, &env);
    assert!(log.has("there close") && log.has("there dropped"), "{:?}", log.take());
    drop(kept);
}

#[test]
fn a_handler_may_abort_all_of_them_from_any_call() {
    let (event_loop, env) = new_loop();
    let (log, abort) = (Log::default(), AbortHandle::new());
    let server = Server::new(&env, ServerOptions::default());
    let (theirs, ending) = (log.clone(), abort.clone());
    let host = Host::new(&log, move |socket| {
        let abort = ending.clone();
        // Within the close of a socket that the abort before did not reach.
        Peer::new("here", &theirs).on("close", move |_| abort.abort()).attach(&socket);
        ending.abort();
    });
    server.listen(anywhere().abort(&abort), host).expect("the server listens");
    let again = abort.clone();
    Peer::new("there", &log).on("error", move |_| again.abort()).connect(&env, to(&server).abort(&abort));
    run_to_the_end(&event_loop, &env);
    assert!(log.has(ABORTED[0]) && log.has("here close") && log.has("server close"), "{:?}", log.take());
}

#[test]
fn a_connect_by_name_is_aborted_before_and_during_its_look_up() {
    for is_early in [true, false] {
        let (event_loop, env) = new_loop();
        let (log, abort, asked) = (Log::default(), AbortHandle::new(), Rc::new(Cell::new(0)));
        let (count, ending) = (Rc::clone(&asked), abort.clone());
        let resolver = Resolver::new(move |env, _, answer| {
            count.set(count.get() + 1);
            let abort = ending.clone();
            env.set_immediate(move || {
                abort.abort();
                assert!(!answer.is_wanted());
            });
        });
        if is_early {
            abort.abort();
        }
        let options = ConnectOptions::host("somewhere", 1).resolver(resolver).abort(&abort);
        Peer::new("there", &log).connect(&env, options);
        run_to_the_end(&event_loop, &env);
        assert_eq!((log.take(), asked.get()), (ABORTED.map(str::to_owned).to_vec(), usize::from(!is_early)));
    }
}

// Node: test-net-server-listen-options-signal
#[test]
fn a_listening_server_is_closed_by_an_abort() {
    let (event_loop, env) = new_loop();
    let (log, abort) = (Log::default(), AbortHandle::new());
    let server = Server::new(&env, ServerOptions::default());
    let ending = abort.clone();
    let host = Host::new(&log, |_| {}).on("listening", move || ending.abort()).telling_drop();
    server.listen(anywhere().abort(&abort), host).expect("the server listens");
    let addr = port_of(&server);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "server close", "server dropped"]);
    TcpStream::connect(addr).expect_err("no process listens");
}

// Node: test-net-server-listen-options-signal (aborted before listen)
#[test]
fn a_server_that_was_aborted_before_it_listened_closes_from_the_loop_and_binds_nothing() {
    let (event_loop, env) = new_loop();
    let (log, abort) = (Log::default(), AbortHandle::new());
    abort.abort();
    // An address that is in use: binding it would fail.
    let (_listener, addr) = listener();
    let server = Server::new(&env, ServerOptions::default());
    let host = Host::new(&log, |_| {}).telling_drop();
    server.listen(ListenOptions::addr(addr).abort(&abort), host).expect("the close comes later");
    assert!(!server.is_listening() && server.address().is_none());
    assert_eq!(log.take(), Vec::<String>::new(), "never inside the call");
    // It may listen again at once.
    server.listen(anywhere(), Host::new(&log, |_| {})).expect("the server listens");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server close", "server dropped", "server close"]);
}

#[test]
fn a_server_that_looks_its_host_up_is_closed_by_an_abort_and_binds_nothing() {
    let (event_loop, env) = new_loop();
    let (log, abort, asked) = (Log::default(), AbortHandle::new(), Rc::new(Cell::new(None)));
    let keep = Rc::clone(&asked);
    let resolver = Resolver::new(move |_, _, answer| keep.set(Some(answer)));
    let (_listener, addr) = listener();
    let server = Server::new(&env, ServerOptions::default());
    let listen = ListenOptions::host("host.test", addr.port()).resolver(resolver).abort(&abort);
    server.listen(listen, Host::new(&log, |_| {}).telling_drop()).expect("it is looked up");
    abort.abort();
    let answer = asked.take().expect("it was asked");
    assert!(!answer.is_wanted());
    answer.found([addr]);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server close", "server dropped"]);
}

#[test]
fn an_abort_cuts_a_shutdown_short_and_leaves_open_connections_to_themselves() {
    let (event_loop, env) = new_loop();
    let (log, abort) = (Log::default(), AbortHandle::new());
    let server = Server::new(&env, ServerOptions::default());
    let (theirs, ending, me) = (log.clone(), abort.clone(), server.clone());
    let host = Host::new(&log, move |socket| {
        Peer::new("here", &theirs).attach(&socket);
        me.shutdown().expect("it listens");
        ending.abort();
        assert!(!socket.is_destroyed());
    });
    server.listen(anywhere().abort(&abort), host).expect("the server listens");
    let there = Peer::new("there", &log).on("connect", |socket: &Socket| socket.end());
    there.connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert!(log.has("here close") && log.has("there close"), "{:?}", log.take());
}

#[test]
fn ten_thousand_connections_with_one_handle_leave_nothing_in_it() {
    let (event_loop, env) = new_loop();
    let (abort, closed) = (AbortHandle::new(), Rc::new(Cell::new(0)));
    for round in 1..=10_000 {
        let count = Rc::clone(&closed);
        let there = Peer::new("there", &Log::default()).on("close", move |_| count.set(count.get() + 1));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        there.connect(&env, ConnectOptions::addr(nowhere).abort(&abort)).destroy();
        if round % 100 == 0 {
            env.run(net::uv_core::RunMode::NoWait).expect("the loop runs");
        }
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(closed.get(), 10_000);
    assert_eq!(format!("{abort:?}"), "AbortHandle { is_aborted: false, targets: 0 }");
}
