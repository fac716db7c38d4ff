//! Attempts to connect to the addresses of a host ("happy eyeballs").

mod common;

use common::named::{Client, Silent, connect, greet, host_of, refusing_v6};
use common::{Log, listen_for_one, new_loop, port_of, refusing_addr, run_to_the_end, serve_one};
use net::upcall::SocketHandler;
use net::uv_core::{Errno, RunMode};
use net::{ConnectOptions, Error, ErrorCode, ReadyState, Server, ServerOptions, Socket};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

// Node: test-net-autoselectfamily, test-net-dns-custom-lookup, test-net-options-lookup
#[test]
fn addresses_are_tried_by_turns_of_their_families_until_one_connects() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let ((bound, refused), six, here) = (refusing_addr(&event_loop), refusing_v6(), port_of(&server));
    let socket = connect(
        &env,
        host_of(&[six, six, refused, here]),
        Client::new(&log).on("connect", move |_| {
            bound.close();
        }),
    );
    assert_eq!(log.take(), Vec::<String>::new(), "never from inside the call");
    assert_eq!((socket.ready_state(), socket.remote_address()), (ReadyState::Opening, None));
    run_to_the_end(&event_loop, &env);
    let mut all = log.take();
    // The errno of a machine without IPv6 is another.
    assert!(all.remove(2).starts_with(&format!("failed {six} E")));
    let expected = [
        "lookup host.test 4",
        &format!("attempt {six}"),
        &format!("attempt {refused}"),
        &format!("failed {refused} ECONNREFUSED"),
        &format!("attempt {here}"),
        &format!("connect {here}"),
        "data hello",
        "end",
        "close",
    ];
    assert_eq!(all, expected);
}

// Node: test-net-autoselectfamily (AggregateError)
#[test]
fn the_error_of_all_attempts_lists_every_address_with_its_errno() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let ((first, refused), (second, again)) = (refusing_addr(&event_loop), refusing_addr(&event_loop));
    let told = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&told);
    struct Keep(Rc<RefCell<Option<Error>>>);
    impl SocketHandler for Keep {
        fn on_data(&mut self, _: &Socket, _: &[u8]) {}

        fn on_error(&mut self, _: &Socket, error: Error) {
            self.0.replace(Some(error));
        }
    }
    Socket::connect(&env, host_of(&[refused, again]), Keep(keep)).expect("it is looked up");
    connect(
        &env,
        host_of(&[refused, again]),
        Client::new(&log).on("close", move |_| {
            first.close();
            second.close();
        }),
    );
    run_to_the_end(&event_loop, &env);
    let error = told.take().expect("on_error was called");
    assert_eq!(error.code(), ErrorCode::AllAttemptsFailed);
    let addr = [refused, again].map(|addr| addr.to_string());
    let targets: Vec<_> = error.attempts().iter().filter_map(|error| error.target()).collect();
    assert_eq!(targets, addr);
    assert_eq!(error.errno(), Some(Errno::ECONNREFUSED));
    let text = format!(
        "connect host.test:7: all 2 addresses failed: connect {}: Connection refused (ECONNREFUSED); connect {}: \
         Connection refused (ECONNREFUSED)",
        addr[0], addr[1]
    );
    assert_eq!(error.to_string(), text);
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(log.take().split_off(5), [format!("error {text}"), "close after an error".to_owned()]);
}

// Node: test-net-better-error-messages-port-hostname
#[test]
fn a_host_with_one_address_fails_with_the_error_of_that_address() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (bound, refused) = refusing_addr(&event_loop);
    connect(&env, host_of(&[refused]), Client::new(&log).on("close", move |_| bound.close()));
    run_to_the_end(&event_loop, &env);
    let expected = [
        "lookup host.test 1",
        &format!("attempt {refused}"),
        &format!("failed {refused} ECONNREFUSED"),
        &format!("error connect {refused}: Connection refused (ECONNREFUSED)"),
        "close after an error",
    ];
    assert_eq!(log.take(), expected);
}

// Node: test-net-autoselectfamily-attempt-timeout-cli-option
#[test]
fn an_address_that_is_silent_holds_up_the_next_one_for_the_attempts_time_only() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let (silent, here) = (Silent::new(), port_of(&server));
    let begun = Instant::now();
    let options = host_of(&[silent.addr(), here]).attempt_timeout(Duration::from_millis(50));
    connect(&env, options, Client::new(&log));
    run_to_the_end(&event_loop, &env);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    let silent = silent.addr();
    let expected = [
        "lookup host.test 2",
        &format!("attempt {silent}"),
        &format!("late {silent}"),
        &format!("attempt {here}"),
        &format!("connect {here}"),
        "data hello",
        "end",
        "close",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn attempts_from_one_local_port_go_on_beside_each_other() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let (silent, here) = (Silent::new(), port_of(&server));
    let local =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let options = host_of(&[silent.addr(), here]).attempt_timeout(Duration::from_millis(10));
    let log_local = log.clone();
    let client = Client::new(&log).on("connect", move |socket| {
        let addr = socket.local_address().and_then(|addr| addr.as_tcp());
        log_local.push(format!("from {}", addr.expect("it has an address")));
    });
    connect(&env, options.local(Some(local)), client);
    run_to_the_end(&event_loop, &env);
    let lines = log.take();
    assert!(
        lines.contains(&format!("connect {here}")) && lines.contains(&format!("from {local}")),
        "{lines:?}"
    );
}

#[test]
fn an_attempt_that_fails_at_once_is_followed_by_the_next_address() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    // No TCP connection leads to a group of multicast.
    let (group, here) = (SocketAddr::from(([224, 0, 0, 1], 7)), port_of(&server));
    connect(&env, host_of(&[group, here]), Client::new(&log));
    run_to_the_end(&event_loop, &env);
    let expected = [
        "lookup host.test 2",
        &format!("attempt {group}"),
        &format!("failed {group} ENETUNREACH"),
        &format!("attempt {here}"),
        &format!("connect {here}"),
        "data hello",
        "end",
        "close",
    ];
    assert_eq!(log.take(), expected);
}

// RFC 8305, section 5: "a subsequent connection MUST NOT be started within 10 milliseconds of the previous attempt."
#[test]
fn attempts_begin_ten_milliseconds_apart_whatever_is_asked() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let silent = [Silent::new(), Silent::new()];
    let mut options = host_of(&[silent[0].addr(), silent[1].addr(), port_of(&server)]);
    options.attempt_timeout = Duration::ZERO;
    let begun = Instant::now();
    connect(&env, options, Client::new(&log));
    run_to_the_end(&event_loop, &env);
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!(log.take().iter().filter(|line| line.starts_with("late")).count(), 2);
}

// RFC 8305, section 5: in Node such an attempt is given up at its limit.
#[test]
fn an_attempt_beyond_its_limit_goes_on_and_may_be_the_first_to_connect() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (slow, silent) = (Rc::new(Silent::new()), Silent::new());
    let addr = [slow.addr(), silent.addr()];
    let options = host_of(&addr).attempt_timeout(Duration::from_millis(10));
    let of_slow = Rc::clone(&slow);
    let on_late = move |_: &Socket| {
        // Room for the attempt, which the kernel repeats.
        of_slow.listener.accept().expect("a connection waits");
    };
    connect(&env, options, Client::new(&log).on("late", on_late));
    while !log.has(&format!("connect {}", addr[0])) {
        assert!(env.run(RunMode::Once).expect("the loop runs"), "the loop ended");
    }
    event_loop.close_all();
    assert_eq!(env.run(RunMode::Default), Ok(false));
    let all = log.take();
    assert_eq!(
        all[..5],
        [
            "lookup host.test 2".to_owned(),
            format!("attempt {}", addr[0]),
            format!("late {}", addr[0]),
            format!("attempt {}", addr[1]),
            format!("connect {}", addr[0]),
        ]
    );
}

#[test]
fn an_attempt_that_fails_when_it_has_begun_fails_once_and_names_its_address() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let (first, second, here) = (Silent::new(), Silent::new(), port_of(&server));
    let addresses = [first.addr(), second.addr(), here];
    // The kernel refuses so long a time once the connect has begun: the stream that is closed then tells of its end, too.
    let options = host_of(&addresses).keep_alive(Some(Duration::from_secs(100_000)));
    let client = Client::new(&log).on("failed", |socket| {
        socket.set_keep_alive(None).expect("for the attempts that follow");
    });
    connect(&env, options.attempt_timeout(Duration::from_millis(10)), client);
    run_to_the_end(&event_loop, &env);
    let expected = [
        "lookup host.test 3",
        &format!("attempt {}", addresses[0]),
        &format!("failed {} EINVAL", addresses[0]),
        &format!("attempt {}", addresses[1]),
        &format!("late {}", addresses[1]),
        &format!("attempt {here}"),
        &format!("connect {here}"),
        "data hello",
        "end",
        "close",
    ];
    assert_eq!(log.take(), expected);
    connect(&env, host_of(&[first.addr()]).keep_alive(Some(Duration::from_secs(100_000))), Client::new(&log));
    run_to_the_end(&event_loop, &env);
    let error = format!("error setsockopt {}: Invalid argument (EINVAL)", first.addr());
    assert!(log.has(&error), "{:?}", log.take());
}

// Node: test-net-socket-connect-invalid-autoselectfamilyattempttimeout
#[test]
fn the_time_of_an_attempt_is_ten_milliseconds_at_least() {
    let timeout = |options: ConnectOptions| options.attempt_timeout;
    let options = || ConnectOptions::host("host.test", 7);
    assert_eq!(timeout(options()), Duration::from_millis(250));
    assert_eq!(timeout(options().attempt_timeout(Duration::from_millis(9))), Duration::from_millis(10));
    assert_eq!(timeout(options().attempt_timeout(Duration::from_millis(11))), Duration::from_millis(11));
}

// Node: test-net-autoselectfamilydefault
#[test]
fn without_auto_select_family_only_the_first_address_is_tried() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (bound, refused) = refusing_addr(&event_loop);
    let options = host_of(&[refused, ([127, 0, 0, 1], 1).into()]).auto_select_family(false);
    connect(&env, options, Client::new(&log).on("close", move |_| bound.close()));
    run_to_the_end(&event_loop, &env);
    assert!(log.has(&format!("error connect {refused}: Connection refused (ECONNREFUSED)")));
    assert_eq!(log.take().iter().filter(|event| event.starts_with("attempt")).count(), 1);
}

// Node: test-net-connect-immediate-destroy, test-net-connect-destroy
#[test]
fn a_destroy_in_any_event_of_a_connect_by_name_ends_everything() {
    for event in ["lookup", "attempt", "failed", "late", "connect"] {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let server = Server::new(&env, ServerOptions::default());
        listen_for_one(&server, common::anywhere(), |socket| socket.destroy());
        let ((bound, refused), silent) = (refusing_addr(&event_loop), Silent::new());
        let addresses = [refused, silent.addr(), port_of(&server)];
        let options = host_of(&addresses).attempt_timeout(Duration::from_millis(10));
        let unused = server.clone();
        let client = Client::new(&log).on(event, move |socket| {
            socket.destroy();
            bound.close();
            let _ = unused.close();
        });
        let socket = connect(&env, options, client);
        socket.write(b"lost").expect("it is queued");
        run_to_the_end(&event_loop, &env);
        let all = log.take();
        assert!(all[all.len() - 2].starts_with(event), "{event}: {all:?}");
        assert_eq!(all.last().map(|last| &**last), Some("close"), "{event}");
    }
}

#[test]
fn a_panic_in_any_event_of_a_connect_by_name_leaves_it_going_on() {
    for event in ["lookup", "attempt", "failed", "late"] {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let server = serve_one(&env, ServerOptions::default(), greet);
        let ((bound, refused), silent) = (refusing_addr(&event_loop), Silent::new());
        let addresses = [refused, silent.addr(), port_of(&server)];
        let options = host_of(&addresses).attempt_timeout(Duration::from_millis(10));
        let mut has_panicked = false;
        let client = Client::new(&log).on(event, move |_| {
            if !std::mem::replace(&mut has_panicked, true) {
                std::panic::resume_unwind(Box::new("a panic"));
            }
        });
        connect(&env, options, client);
        assert_eq!(common::run_to_a_panic(&env), "a panic");
        bound.close();
        run_to_the_end(&event_loop, &env);
        assert!(log.has(&format!("connect {}", addresses[2])), "{event}: {:?}", log.take());
        assert!(log.has("data hello") && log.has("close"));
    }
}

#[test]
fn a_loop_that_is_dropped_calls_back_no_connect_by_name() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let silent = Silent::new();
    let options = host_of(&[silent.addr(), silent.addr()]);
    let attempting = connect(&env, options, Client::new(&log));
    env.run(RunMode::NoWait).expect("a turn");
    let looking_up = connect(&env, ConnectOptions::host("localhost", 7), Client::new(&log));
    log.take();
    drop(event_loop);
    attempting.destroy();
    looking_up.destroy();
    assert_eq!(log.take(), Vec::<String>::new());
}
