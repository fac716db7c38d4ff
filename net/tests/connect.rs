//! Connecting.

mod common;

use common::{Log, Peer, TempPath, new_loop, port_of, refusing_addr, run_to_the_end, serve_one, to};
use net::{ConnectOptions, ErrorCode, ReadyState, ServerOptions, Socket};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::time::Duration;

// Node: test-net-dns-lookup-skip, test-net-connect-after-destroy
#[test]
fn connect_is_told_from_the_loop_and_never_inside_the_call() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket)
    });
    let there = Peer::new("there", &log)
        .on("connect", |socket| {
            assert_eq!(socket.ready_state(), ReadyState::Open);
            socket.end();
        })
        .connect(&env, to(&server));
    log.push("connect returned");
    assert_eq!(there.ready_state(), ReadyState::Opening);
    run_to_the_end(&event_loop, &env);
    assert_eq!(there.ready_state(), ReadyState::Closed);
    let expected = ["connect returned", "there connect", "there finish", "there end", "there close"];
    assert_eq!(log.take(), expected);
}

// Node: test-net-connect-handle-econnrefused, test-net-better-error-messages-port
#[test]
fn a_refused_connect_names_the_address_before_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (bound, addr) = refusing_addr(&event_loop);
    Peer::new("there", &log)
        .telling_drop()
        .on("error", move |_| bound.close())
        .connect(&env, ConnectOptions::addr(addr));
    assert_eq!(log.take(), Vec::<String>::new());
    run_to_the_end(&event_loop, &env);
    let error = format!("there error connect {addr}: Connection refused (ECONNREFUSED)");
    assert_eq!(log.take(), [&error, "there close after an error", "there dropped"]);
}

// Node: test-net-connect-options-invalid
#[test]
fn options_that_contradict_each_other_are_refused_at_once() {
    let (event_loop, env) = new_loop();
    let refused = |options: ConnectOptions| {
        let error = Socket::connect(&env, options, Peer::new("there", &Log::default()));
        let error = error.expect_err("it makes no sense");
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        error.to_string()
    };
    let v4 = SocketAddr::from(([127, 0, 0, 1], 1));
    let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
    assert_eq!(refused(ConnectOptions::path("")), "connect: the path is empty");
    let from = |local, options: ConnectOptions| options.local(Some(local));
    assert!(refused(from(v6, ConnectOptions::addr(v4))).contains("another family"));
    assert!(refused(from(v4, ConnectOptions::path("/run/x"))).contains("is for TCP"));
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_high_water_mark_or_a_keep_alive_of_zero_is_refused_at_once() {
    let (event_loop, env) = new_loop();
    let target = || ConnectOptions::addr(SocketAddr::from(([127, 0, 0, 1], 1)));
    for (options, name) in [
        (target().high_water_mark(0), "high_water_mark"),
        (target().keep_alive(Some(Duration::ZERO)), "keep_alive"),
        (ConnectOptions::path("/run/x").high_water_mark(0), "high_water_mark"),
    ] {
        let refused = Socket::connect(&env, options, Peer::new("there", &Log::default()));
        let refused = refused.expect_err("zero makes no sense");
        assert_eq!(refused.code(), ErrorCode::InvalidArgument);
        assert!(refused.to_string().starts_with(&format!("{name} is zero")), "{refused}");
    }
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-better-error-messages-path
#[test]
fn a_missing_path_is_named() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let path = TempPath::new("missing");
    Peer::new("there", &log).connect(&env, ConnectOptions::path(&path.0));
    run_to_the_end(&event_loop, &env);
    let error = format!("there error connect {}: No such file or directory (ENOENT)", path.0.display());
    assert_eq!(log.take(), [&error, "there close after an error"]);
}

// Node: test-net-connect-options-invalid, test-net-better-error-messages-port
#[test]
fn what_is_refused_at_once_is_returned_and_no_handler_is_called() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let handler = || Peer::new("there", &log).telling_drop();
    let name = "x".repeat(200);
    let refused = Socket::connect(&env, ConnectOptions::path(name), handler()).expect_err("too long a name");
    assert_eq!(refused.errno().map(|errno| errno.name()), Some("ENAMETOOLONG"));
    // 203.0.113.0/24 is reserved for documentation: no machine has it.
    let foreign = SocketAddr::from(([203, 0, 113, 1], 0));
    let options = ConnectOptions::addr(SocketAddr::from(([127, 0, 0, 1], 1))).local(Some(foreign));
    let refused = Socket::connect(&env, options, handler()).expect_err("this is not our address");
    assert_eq!(refused.to_string(), "bind 203.0.113.1:0: Cannot assign requested address (EADDRNOTAVAIL)");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there dropped", "there dropped"]);
}

// Node: test-net-local-address-port, test-net-client-bind-twice
#[test]
fn a_local_address_may_be_chosen() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket)
    });
    // All of 127.0.0.0/8 is this machine.
    let options = to(&server).local(Some(SocketAddr::from(([127, 0, 0, 2], 0))));
    let there = Peer::new("there", &log).on("connect", |socket| {
        let local = socket.local_address().and_then(|address| address.as_tcp()).expect("it is connected");
        assert_eq!(local.ip(), std::net::Ipv4Addr::new(127, 0, 0, 2));
        socket.end();
    });
    there.connect(&env, options);
    run_to_the_end(&event_loop, &env);
    assert!(log.has("there close"), "{:?}", log.take());
}

// Node: test-net-connect-nodelay, test-net-connect-keepalive, test-net-persistent-nodelay
#[test]
fn options_of_the_connection_may_be_set_before_and_after_it_stands() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket)
    });
    let options = to(&server).no_delay(true).keep_alive(Some(Duration::from_secs(9)));
    let there = Peer::new("there", &log)
        .on("connect", |socket| {
            socket.set_no_delay(false).expect("it is connected");
            socket.set_keep_alive(Some(Duration::ZERO)).expect("a second at least");
            socket.set_keep_alive(None).expect("it is connected");
            socket.end();
        })
        .connect(&env, options);
    there.set_no_delay(true).expect("the socket exists already");
    run_to_the_end(&event_loop, &env);
    assert!(log.has("there close"), "{:?}", log.take());
}

// Node: test-net-reconnect (another object here)
#[test]
fn a_new_socket_may_be_made_from_on_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = net::Server::new(&env, ServerOptions::default());
    let left = std::cell::Cell::new(3);
    let closing = server.clone();
    server
        .listen_with(common::anywhere(), move |_, socket| {
            Peer::new("here", &Log::default()).attach(&socket);
            socket.end();
            left.set(left.get() - 1);
            if left.get() == 0 {
                closing.close().expect("it listens");
            }
        })
        .expect("the server listens");
    reconnect(&log, &env, port_of(&server), 3);
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("there connect"), log.count("there close")), (3, 3));
}

fn reconnect(log: &Log, env: &async_wrap::Environment, addr: SocketAddr, times: u32) {
    let (noted, again) = (log.clone(), env.clone());
    Peer::new("there", log)
        .on("close", move |_| {
            if times > 1 {
                reconnect(&noted, &again, addr, times - 1);
            }
        })
        .connect(env, ConnectOptions::addr(addr));
}

#[test]
fn a_panic_in_on_connect_leaves_a_socket_that_reads() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket);
        socket.end_with(b"hello").expect("it is open");
    });
    Peer::new("there", &log)
        .on("connect", |_| resume_unwind(Box::new("in on_connect")))
        .connect(&env, to(&server));
    assert_eq!(common::run_to_a_panic(&env), "in on_connect");
    run_to_the_end(&event_loop, &env);
    let expected = ["there connect", "there data hello", "there end", "there finish", "there close"];
    assert_eq!(log.take(), expected);
}
