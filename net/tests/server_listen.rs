//! How a server starts to listen, and how `listen` fails.

mod common;

use common::{Host, Log, Peer, anywhere, listen_for_one, new_loop, port_of, run_to_the_end, serve_one, to};
use net::{ErrorCode, ListenOptions, ListenPhase, Server, ServerOptions, Socket};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Listens and closes from `on_listening`.
fn listen_and_close(log: &Log, server: &Server, options: ListenOptions) -> net::Result<()> {
    let me = server.clone();
    let handler = Host::new(log, |_| {}).on("listening", move || me.close().expect("the server listens"));
    server.listen(options, handler)
}

// Node: test-net-server-listen-remove-callback, test-net-listening
#[test]
fn listening_is_told_from_the_loop_and_never_inside_listen() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    listen_and_close(&log, &server, anywhere()).expect("the server listens");
    log.push("listen returned");
    assert!(server.is_listening());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["listen returned", "server listening", "server close"]);
}

// Node: test-net-listen-close-server
#[test]
fn a_server_closed_at_once_is_never_told_that_it_listens() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    server.listen(anywhere(), Host::new(&log, |_| {})).expect("the server listens");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server close"]);
}

// Node: test-net-server-call-listen-multiple-times, second part
#[test]
fn a_second_listen_is_refused_and_changes_nothing() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    listen_and_close(&log, &server, anywhere()).expect("the server listens");
    let addr = port_of(&server);
    let refused = server.listen_with(anywhere(), |_, _| {}).expect_err("it listens already");
    assert_eq!(refused.code(), ErrorCode::ServerAlreadyListen);
    assert_eq!(port_of(&server), addr);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "server close"]);
}

// Node: test-net-server-call-listen-multiple-times, first part
#[test]
fn after_a_refusal_it_may_listen_at_once() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let addr = taken.local_addr().expect("it has an address");
    let server = Server::new(&env, ServerOptions::default());
    let unused = Host::new(&log, |_| {}).telling_drop();
    let refused = server.listen(ListenOptions::addr(addr), unused).expect_err("the port is taken");
    assert_eq!(refused.errno().map(|errno| errno.name()), Some("EADDRINUSE"));
    assert_eq!(log.take(), ["server dropped"]);
    assert!(!server.is_listening());
    listen_and_close(&log, &server, anywhere()).expect("another port is free");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server listening", "server close"]);
}

// Node: test-net-server-call-listen-multiple-times, third part
#[test]
fn after_close_it_may_listen_at_once() {
    let (event_loop, env) = new_loop();
    let (first, second) = (Log::default(), Log::default());
    let server = Server::new(&env, ServerOptions::default());
    let (me, log) = (server.clone(), second.clone());
    let handler = Host::new(&first, |_| {}).on("listening", move || {
        me.close().expect("it listens");
        listen_and_close(&log, &me, anywhere()).expect("it may listen again");
    });
    server.listen(anywhere(), handler).expect("the server listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(first.take(), ["server listening", "server close"]);
    assert_eq!(second.take(), ["server listening", "server close"]);
}

// Node: sequential/test-net-server-address
#[test]
fn port_zero_becomes_a_real_port_at_once() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    assert_eq!(server.address(), None);
    server.listen_with(anywhere(), |_, _| {}).expect("the server listens");
    assert_ne!(port_of(&server).port(), 0);
    assert_eq!(port_of(&server).ip(), Ipv4Addr::LOCALHOST);
    server.close().expect("it listens");
    assert_eq!(server.address(), None);
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-connect-options-ipv6, test-net-remote-address
#[test]
fn without_a_host_ipv4_comes_through_the_ipv6_socket() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let theirs = log.clone();
    listen_for_one(&server, ListenOptions::port(0), move |socket| {
        Peer::new("here", &theirs).attach(&socket);
        socket.end();
    });
    let bound = port_of(&server);
    assert_eq!(bound.is_ipv6(), has_ipv6());
    assert!(bound.ip().is_unspecified());
    let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, bound.port())).expect("it takes IPv4");
    drop(_client);
    run_to_the_end(&event_loop, &env);
    assert!(log.has("here close"), "{:?}", log.take());
}

// Node: test-net-listen-ipv6only
#[test]
fn ipv6_only_takes_no_ipv4() {
    if !has_ipv6() {
        return;
    }
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    server.listen_with(ListenOptions::port(0).ipv6_only(true), |_, _| {}).expect("the server listens");
    let port = port_of(&server).port();
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("IPv4 is refused");
    TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("IPv6 is not");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-server-listen-options, test-net-server-listen-path (a port is a u16 here)
#[test]
fn options_that_contradict_each_other_are_refused_before_anything_is_touched() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    let v4 = || ListenOptions::host(Ipv4Addr::LOCALHOST, 0);
    let fd = || OwnedFd::from(TcpListener::bind(("127.0.0.1", 0)).expect("a port is free"));
    for options in [
        ListenOptions::path(""),
        ListenOptions::path("\0abstract").readable_by_all(true),
        ListenOptions::path("x").ipv6_only(true),
        ListenOptions::path("x").reuse_port(true),
        v4().ipv6_only(true),
        v4().writable_by_all(true),
        ListenOptions::fd(fd()).reuse_port(true),
        ListenOptions::fd(fd()).ipv6_only(true),
    ] {
        let refused = server.listen_with(options, |_, _| {}).expect_err("a contradiction");
        assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    }
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-server-listen-handle's errors, test-net-eaddrinuse, test-net-better-error-messages-listen
#[test]
fn a_refusal_names_the_operation_the_address_and_the_reason() {
    let (event_loop, env) = new_loop();
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let addr = taken.local_addr().expect("it has an address");
    let server = Server::new(&env, ServerOptions::default());
    let refusal = |options| server.listen_with(options, |_, _| {}).expect_err("refused").to_string();
    assert_eq!(
        refusal(ListenOptions::addr(addr)),
        format!("listen {addr}: Address already in use (EADDRINUSE)")
    );
    // 203.0.113.0/24 is reserved for documentation: no machine has it.
    let foreign = SocketAddr::from(([203, 0, 113, 1], 0));
    assert_eq!(
        refusal(ListenOptions::addr(foreign)),
        "bind 203.0.113.1:0: Cannot assign requested address (EADDRNOTAVAIL)"
    );
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-listen-exclusive-random-ports, test-net-reuseport (the worker's side is cluster's)
#[test]
fn several_servers_share_a_port_if_all_say_so() {
    let (event_loop, env) = new_loop();
    let (one, other) =
        (Server::new(&env, ServerOptions::default()), Server::new(&env, ServerOptions::default()));
    one.listen_with(anywhere().reuse_port(true), |_, _| {}).expect("the server listens");
    let addr = port_of(&one);
    other.listen_with(ListenOptions::addr(addr).reuse_port(true), |_, _| {}).expect("both said so");
    assert_eq!(port_of(&other), addr);
    one.close().expect("it listens");
    other.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-listen-fd0, test-net-server-listen-handle
#[test]
fn a_listening_socket_from_elsewhere_serves() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let addr = listener.local_addr().expect("it has an address");
    let server = Server::new(&env, ServerOptions::default());
    let theirs = log.clone();
    listen_for_one(&server, ListenOptions::fd(listener.into()), move |socket| {
        Peer::new("here", &theirs).attach(&socket);
        socket.end();
    });
    assert_eq!(port_of(&server), addr);
    drop(TcpStream::connect(addr).expect("it listens"));
    run_to_the_end(&event_loop, &env);
    assert!(log.has("here close"), "{:?}", log.take());
}

// Node: test-net-listen-fd0, test-net-server-listen-handle
#[test]
fn a_descriptor_that_cannot_listen_is_refused() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    let file = OwnedFd::from(std::fs::File::open("/dev/null").expect("every system has it"));
    let refused = server.listen_with(ListenOptions::fd(file), |_, _| {}).expect_err("no socket");
    assert_eq!(refused.code(), ErrorCode::System);
    assert!(
        refused.to_string().starts_with("listen (the descriptor is no socket to listen on): "),
        "{refused}"
    );
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let connected =
        TcpStream::connect(listener.local_addr().expect("it has an address")).expect("it listens");
    let refused = server.listen_with(ListenOptions::fd(connected.into()), |_, _| {}).expect_err("connected");
    assert_eq!(refused.errno().map(|errno| errno.name()), Some("EINVAL"));
    run_to_the_end(&event_loop, &env);
}

/// What a `listen` of a server with these options says.
fn refused_zero(options: ServerOptions) -> String {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, options);
    let refused = server.listen_with(anywhere(), |_, _| {}).expect_err("zero makes no sense");
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    assert!(!server.is_listening());
    run_to_the_end(&event_loop, &env);
    refused.to_string()
}

#[test]
fn an_accept_batch_of_zero_is_refused() {
    assert!(refused_zero(ServerOptions::default().accept_batch(0)).starts_with("accept_batch is zero"));
}

#[test]
fn a_high_water_mark_of_zero_is_refused() {
    assert!(refused_zero(ServerOptions::default().high_water_mark(0)).starts_with("high_water_mark is zero"));
}

#[test]
fn a_keep_alive_of_zero_is_refused() {
    let options = ServerOptions::default().keep_alive(Some(std::time::Duration::ZERO));
    assert!(refused_zero(options).starts_with("keep_alive is zero"));
}

#[test]
fn the_default_is_a_port_of_the_kernels_choice() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    server.listen_with(ListenOptions::default(), |_, _| {}).expect("a port is free");
    assert_ne!(port_of(&server).port(), 0);
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-server-keepalive, test-net-server-nodelay
#[test]
fn connections_have_the_options_of_their_server_before_anybody_sees_them() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let options =
        ServerOptions::default().no_delay(true).keep_alive(Some(std::time::Duration::from_millis(1)));
    let theirs = log.clone();
    let server = serve_one(&env, options, move |socket| {
        theirs.push(format!("probed {}", is_probed(&socket)));
        Peer::new("here", &theirs).attach(&socket);
        socket.end();
    });
    let there = Peer::new("there", &Log::default()).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert!(there.is_destroyed());
    assert_eq!(log.take()[0], "probed true");
}

/// Whether the kernel has scheduled a keepalive probe of this connection: timer 2 in `/proc/net/tcp`.
fn is_probed(socket: &Socket) -> bool {
    let port = |address: Option<net::Address>| address.and_then(|address| address.port()).expect("connected");
    let (local, remote) = (port(socket.local_address()), port(socket.remote_address()));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    table.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 5
            && fields[1].ends_with(&format!(":{local:04X}"))
            && fields[2].ends_with(&format!(":{remote:04X}"))
            && fields[5].starts_with("02:")
    })
}

// Node: test-net-listen-error, test-net-server-try-ports
#[test]
fn a_port_that_is_free_again_can_be_listened_on() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    server.listen_with(anywhere(), |_, _| {}).expect("the server listens");
    let again = ListenOptions::addr(port_of(&server)).backlog(1);
    server.close().expect("it listens");
    server.listen_with(again, |_, _| {}).expect("the port is free");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_refusal_tells_whether_it_was_met_at_the_address_or_when_listening() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let taken = ListenOptions::addr(other.local_addr().expect("an address"));
    let nowhere = ListenOptions::path("/there/is/no/such/folder/socket");
    for (options, phase) in [(taken, ListenPhase::Listen), (nowhere, ListenPhase::Bind)] {
        let refused = server.listen(options, Host::new(&log, |_| {})).expect_err("refused");
        assert_eq!(refused.phase(), Some(phase));
    }
    server.listen(anywhere(), Host::new(&log, |_| {})).expect("the server listens");
    let own = server.listen(anywhere(), Host::new(&log, |_| {})).expect_err("it listens already");
    assert_eq!(own.phase(), None);
    server.close().expect("the server listens");
    run_to_the_end(&event_loop, &env);
}
