//! How a server stops listening and closes.

mod common;

use common::{Host, Log, Peer, anywhere, new_loop, port_of, run_to_the_end, to};
use net::{ErrorCode, Server, ServerOptions};
use std::net::TcpStream;

// Node: test-net-server-close, test-net-listen-close-server-callback-is-not-function
#[test]
fn close_of_a_server_that_does_not_listen_is_refused() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    let refused = |server: &Server| server.close().expect_err("it does not listen").code();
    assert_eq!(refused(&server), ErrorCode::ServerNotRunning);
    server.listen_with(anywhere(), |_, _| {}).expect("the server listens");
    server.close().expect("it listens");
    assert_eq!(refused(&server), ErrorCode::ServerNotRunning);
    run_to_the_end(&event_loop, &env);
    assert_eq!(refused(&server), ErrorCode::ServerNotRunning);
}

// Node: test-net-after-close, test-net-server-close
#[test]
fn close_waits_for_the_last_connection_but_stops_listening_at_once() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let (me, theirs) = (server.clone(), log.clone());
    let host = Host::new(&log, move |socket| {
        let addr = port_of(&me);
        me.close().expect("it listens");
        assert_eq!(me.address(), None);
        assert!(!me.is_listening());
        TcpStream::connect(addr).expect_err("no process listens");
        Peer::new("here", &theirs).attach(&socket);
    });
    server.listen(anywhere(), host).expect("the server listens");
    Peer::new("there", &log).on("connect", |socket| socket.end()).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    let log = log.take();
    let place = |what| log.iter().position(|entry| entry == what).expect(what);
    assert!(place("here end") < place("here close"));
    assert!(place("here close") < place("server close"));
    assert_eq!(server.connections(), 0);
}

#[test]
fn close_inside_on_listening_closes() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let me = server.clone();
    let closed = log.clone();
    let host = Host::new(&log, |_| {}).telling_drop().on("listening", move || {
        let closed = closed.clone();
        me.close_with(move || closed.push("closed")).expect("it listens");
    });
    server.listen(anywhere(), host).expect("the server listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "server close", "server dropped", "closed"]);
}

#[test]
fn the_callback_of_a_refused_close_is_not_called() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    server.close_with(|| unreachable!("it does not listen")).expect_err("it does not listen");
    run_to_the_end(&event_loop, &env);
}

// The old listener's tower is dropped after the new handler is set.
#[test]
fn listening_again_from_on_close_keeps_the_new_handler() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let (me, theirs) = (server.clone(), log.clone());
    let again = Host::new(&log, |_| {}).on("close", move || {
        let (closing, log) = (me.clone(), theirs.clone());
        let next = Host::new(&theirs, move |socket| {
            Peer::new("here", &log).attach(&socket);
            closing.close().expect("it listens");
        });
        me.listen(anywhere(), next).expect("it may listen again");
        Peer::new("there", &theirs).on("connect", |socket| socket.end()).connect(me.environment(), to(&me));
    });
    server.listen(anywhere(), again).expect("the server listens");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("server close"), 2);
    assert!(log.has("server listening") && log.has("here close"), "{:?}", log.take());
}

#[test]
fn connections_of_an_earlier_listen_stay_with_their_handler() {
    let (event_loop, env) = new_loop();
    let (first, second) = (Log::default(), Log::default());
    let server = Server::new(&env, ServerOptions::default());
    let (me, log, other) = (server.clone(), first.clone(), second.clone());
    let host = Host::new(&first, move |socket| {
        Peer::new("here", &log).attach(&socket);
        me.close().expect("it listens");
        let closing = me.clone();
        let next = Host::new(&other, |_| {}).on("listening", move || {
            assert_eq!(closing.connections(), 1);
            closing.close().expect("it listens");
        });
        let next = next.on("close", move || socket.destroy());
        me.listen(anywhere(), next).expect("it may listen again");
    });
    server.listen(anywhere(), host).expect("the server listens");
    let there = Peer::new("there", &Log::default()).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert!(there.is_destroyed());
    assert_eq!(second.take(), ["server listening", "server close"]);
    assert_eq!(first.take(), ["server listening", "here close", "server close"]);
    assert_eq!(server.connections(), 0);
}

// libuv: connections in the backlog are reset with the listener
#[test]
fn close_inside_on_connection_announces_no_further_one() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let (me, theirs) = (server.clone(), log.clone());
    let host = Host::new(&log, move |socket| {
        theirs.push("connection");
        socket.destroy();
        me.close().expect("it listens");
    });
    server.listen(anywhere(), host).expect("the server listens");
    let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(port_of(&server)).expect("it listens")).collect();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "connection", "server close"]);
    drop(clients);
}
