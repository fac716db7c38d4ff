//! Listening on a host by its name.

mod common;
#[path = "../../tests/shared/dns.rs"]
mod dns;

use common::{Host, Log, Peer, new_loop, port_of, run_to_the_end, to};
use dns::{Reply, in_namespace, serve};
use net::names::{Answer, Resolver};
use net::{ErrorCode, ListenOptions, Server, ServerOptions, Socket};
use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A resolver that answers when the test does.
fn later() -> (Resolver, Rc<Cell<Option<Answer>>>) {
    let kept: Rc<Cell<Option<Answer>>> = Rc::default();
    let keep = Rc::clone(&kept);
    (Resolver::new(move |_, _, answer| keep.set(Some(answer))), kept)
}

fn by(answer: impl Fn(Answer) + 'static) -> ListenOptions {
    ListenOptions::host("host.test", 0).resolver(Resolver::new(move |_, _, given| answer(given)))
}

// Node: test-net-server-listen-options
#[test]
fn a_server_listens_on_the_first_address_of_its_host_that_needs_no_scope() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let closing = server.clone();
    let host = Host::new(&log, move |socket: Socket| {
        socket.destroy();
        closing.close().expect("it listens");
    });
    let connecting = (server.clone(), env.clone());
    let host = host.on("listening", move || {
        let (server, env) = &connecting;
        Peer::new("there", &Log::default()).connect(env, to(server));
    });
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let addresses = [SocketAddr::from((link_local, 0)), (Ipv4Addr::LOCALHOST, 0).into()];
    server.listen(by(move |answer| answer.found(addresses)), host.telling_drop()).expect("it is looked up");
    assert_eq!(log.take(), Vec::<String>::new(), "never from inside the call");
    assert_eq!(port_of(&server).ip(), Ipv4Addr::LOCALHOST);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "server close", "server dropped"]);
}

// Node: test-net-listen-error (dns)
#[test]
fn a_host_without_an_address_is_an_error_and_the_server_may_listen_again() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let host = || Host::new(&log, |socket: Socket| socket.destroy()).telling_drop();
    server.listen(by(|answer| answer.missing()), host()).expect("it is looked up");
    run_once(&env);
    let error = "server error getaddrinfo host.test: Name or service not known (ENOTFOUND, EAI_NONAME)";
    assert_eq!(log.take(), [error, "server dropped"]);
    assert!(!server.is_listening());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address");
    server.listen(by(move |answer| answer.found([addr])), host()).expect("it is looked up");
    run_once(&env);
    let error = format!("server error listen {addr}: Address already in use (EADDRINUSE)");
    assert_eq!(log.take(), [&error, "server dropped"]);
    server.listen(by(|answer| answer.found([([127, 0, 0, 1], 0)])), host()).expect("it is looked up");
    assert!(server.is_listening());
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server close", "server dropped"]);
}

fn run_once(env: &async_wrap::Environment) {
    env.run(net::uv_core::RunMode::NoWait).expect("a turn");
}

// Node: test-net-listen-close-server
#[test]
fn a_close_during_the_look_up_ends_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let (resolver, kept) = later();
    let options = ListenOptions::host("host.test", 0).resolver(resolver);
    server.listen(options, Host::new(&log, |_| {}).telling_drop()).expect("it is looked up");
    assert!(!server.is_listening() && server.address().is_none());
    let again =
        server.listen_with(ListenOptions::default(), |_, _| {}).expect_err("it is starting to listen");
    assert_eq!(again.code(), ErrorCode::ServerAlreadyListen);
    server.close().expect("it is starting to listen");
    let answer = kept.take().expect("it was asked");
    assert!(!answer.is_wanted());
    answer.found([([127, 0, 0, 1], 0)]);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server close", "server dropped"]);
}

#[test]
fn a_close_does_not_wait_for_a_name_server_that_is_silent() {
    let name = "a_close_does_not_wait_for_a_name_server_that_is_silent";
    in_namespace(name, "127.0.0.1 localhost\\n", || {
        serve(|_, _| Reply::Silence);
        let (event_loop, env) = new_loop();
        let begun = Instant::now();
        let server = Server::new(&env, ServerOptions::default());
        server.listen_with(ListenOptions::host("silent.test", 0), |_, _| {}).expect("it is looked up");
        env.set_timeout(Duration::from_millis(20), move || server.close().expect("it is looked up"));
        run_to_the_end(&event_loop, &env);
        assert!(begun.elapsed() < Duration::from_millis(800), "the loop waits for the server");
    });
}

#[test]
fn a_server_listens_on_localhost() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let closing = server.clone();
    let host = Host::new(&log, |_| {}).on("listening", move || closing.close().expect("it listens"));
    server.listen(ListenOptions::host("localhost", 0), host).expect("it is looked up");
    assert!(!server.is_listening(), "after the look-up");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "server close"]);
}

#[test]
fn a_wrong_host_is_refused_at_once() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    let refused = |options: ListenOptions| {
        server.listen_with(options, |_, _| {}).expect_err("it makes no sense").to_string()
    };
    assert!(refused(ListenOptions::host("", 0)).contains("the host is empty"));
    assert!(refused(ListenOptions::host("ü", 0)).contains("not ASCII"));
    assert!(refused(ListenOptions::host("localhost", 0).readable_by_all(true)).contains("Unix sockets"));
    run_to_the_end(&event_loop, &env);
}
