//! Connecting to a host by its name: the look-up.

mod common;
#[path = "../../tests/shared/dns.rs"]
mod dns;

use common::named::{Client, connect, greet};
use common::{Log, Peer, close, listen_for_one, new_loop, port_of, run_to_the_end, serve_one};
use dns::{Reply, in_namespace, serve};
use net::names::{Answer, Resolver};
use net::uv_core::RunMode;
use net::uv_core::names::{AddrFlags, Family};
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

// Node: test-net-dns-lookup-skip
#[test]
fn a_numeric_host_is_not_looked_up() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let never = Resolver::new(|_, _, _| unreachable!("a numeric host"));
    let options = ConnectOptions::host("127.0.0.1", port_of(&server).port()).resolver(never);
    let addr = port_of(&server);
    connect(&env, options, Client::new(&log));
    assert_eq!(log.take(), Vec::<String>::new());
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), [&format!("connect {addr}"), "data hello", "end", "close"]);
}

// Node: test-net-connect-buffer, test-net-connect-immediate-finish
#[test]
fn what_is_written_before_the_look_up_ends_arrives_in_order_and_so_does_the_end() {
    let (event_loop, env) = new_loop();
    let received = Rc::new(RefCell::new(Vec::new()));
    let log = Log::default();
    let keep = Rc::clone(&received);
    let here = Peer::new("here", &log).on_bytes(move |_, data| keep.borrow_mut().extend_from_slice(data));
    let server = serve_one(&env, ServerOptions::default(), move |socket| here.attach(&socket));
    let kept: Rc<Cell<Option<Answer>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let later = Resolver::new(move |_, _, answer| keep.set(Some(answer)));
    let options = ConnectOptions::host("host.test", port_of(&server).port()).resolver(later);
    let socket = connect(&env, options.no_delay(true), Client::new(&log));
    let big = vec![b'b'; 300_000];
    assert!(socket.write(b"a").expect("it is queued"));
    assert!(!socket.write(&big).expect("it is queued"), "above the mark");
    socket.end();
    assert_eq!((socket.bytes_written(), socket.buffered()), (300_001, 300_001));
    assert!(event_loop.is_alive(), "the look-up keeps the loop alive");
    env.run(RunMode::NoWait).expect("a turn");
    let answer = kept.take().expect("the resolver was called");
    assert!(answer.is_wanted());
    answer.found([([127, 0, 0, 1], 0)]);
    assert!(!answer.is_wanted(), "one answer");
    answer.missing();
    run_to_the_end(&event_loop, &env);
    assert_eq!(received.borrow().len(), 300_001);
    assert!(received.borrow().starts_with(b"abbb"));
    assert!(log.has("here end") && log.has("close") && !log.has("close after an error"));
}

// Node: test-net-dns-custom-lookup, test-net-dns-error
#[test]
fn an_answer_without_a_usable_address_destroys_the_socket_with_its_error() {
    let refuse = |options: ConnectOptions| {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        connect(&env, options, Client::new(&log));
        run_to_the_end(&event_loop, &env);
        let all = log.take();
        assert_eq!((all.len(), &*all[2]), (3, "close after an error"), "{all:?}");
        assert_eq!(all[0].replace("lookup host.test: ", ""), all[1].replace("error ", ""));
        all[1].clone()
    };
    let by = |answer: fn(Answer)| {
        ConnectOptions::host("host.test", 7).resolver(Resolver::new(move |_, _, given| answer(given)))
    };
    let v4 = || by(|answer| answer.found([([127, 0, 0, 1], 0)]));
    let family = "error connect: the look-up has found no address of the wanted family: host.test";
    assert_eq!(refuse(v4().family(Some(Family::V6))), family);
    assert_eq!(refuse(v4().local(Some((Ipv6Addr::LOCALHOST, 0).into()))), family);
    let nothing = "error getaddrinfo host.test: No address associated with hostname (ENOTFOUND, EAI_NODATA)";
    assert_eq!(refuse(by(|answer| answer.found(Vec::<SocketAddr>::new()))), nothing);
    let missing = "error getaddrinfo host.test: Name or service not known (ENOTFOUND, EAI_NONAME)";
    assert_eq!(refuse(by(|answer| answer.missing())), missing);
    let dropped = "error getaddrinfo host.test (the resolver has dropped its answer): Non-recoverable failure in name \
                   resolution (EAI_FAIL)";
    assert_eq!(refuse(by(drop)), dropped);
}

#[test]
fn only_the_first_answer_to_a_look_up_counts() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let (addr, later) = (port_of(&server), Rc::new(Cell::new(None::<Answer>)));
    let keep = Rc::clone(&later);
    let options = ConnectOptions::host("host.test", 7).resolver(Resolver::new(move |_, _, answer| {
        answer.found([addr]);
        answer.missing();
        answer.found([addr, addr]);
        keep.set(Some(answer));
    }));
    let hook = Client::new(&log).on("attempt", move |_| {
        let answer = later.take().expect("one attempt");
        assert!(!answer.is_wanted());
        answer.found([addr]);
    });
    connect(&env, options, hook);
    run_to_the_end(&event_loop, &env);
    let (attempt, connected) = (format!("attempt {addr}"), format!("connect {addr}"));
    assert_eq!(log.take(), ["lookup host.test 1", &attempt, &connected, "data hello", "end", "close"]);
}

// Node: test-net-connect-nodelay, test-net-connect-keepalive, test-net-socket-setnodelay
#[test]
fn options_that_are_set_during_the_look_up_hold_for_the_connection() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let kept: Rc<Cell<Option<Answer>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let later = Resolver::new(move |_, _, answer| keep.set(Some(answer)));
    let options = ConnectOptions::host("host.test", port_of(&server).port()).resolver(later);
    let socket = connect(
        &env,
        options,
        Client::new(&log).on("connect", |socket| {
            assert!(is_probing(socket), "the kernel's timer of the probes runs");
        }),
    );
    socket.set_no_delay(true).expect("it is kept");
    socket.set_keep_alive(Some(Duration::from_secs(7))).expect("it is kept");
    kept.take().expect("the resolver was called").found([([127, 0, 0, 1], 0)]);
    run_to_the_end(&event_loop, &env);
    assert!(log.has("data hello") && log.has("close"), "{:?}", log.take());
}

/// Whether the kernel's timer of keepalive probes runs: proc_net_tcp.txt in the kernel's documentation.
fn is_probing(socket: &Socket) -> bool {
    let port = socket.local_address().and_then(|address| address.port()).expect("it is connected");
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the sockets");
    sockets
        .lines()
        .filter(|line| line.contains(&format!(": 0100007F:{port:04X} ")))
        .any(|line| line.contains(" 02:"))
}

#[test]
fn a_wrong_host_is_refused_at_once() {
    let (event_loop, env) = new_loop();
    let refused = |options| {
        let error = Socket::connect(&env, options, Client::new(&Log::default()));
        error.expect_err("it makes no sense").to_string()
    };
    let host = |name: &str| ConnectOptions::host(name, 80);
    assert_eq!(refused(host("")), "getaddrinfo (the host is empty): Invalid argument (EINVAL)");
    assert!(refused(host("a\0b")).contains("the host has a NUL"));
    assert!(refused(host("straße.de")).contains("xn--"));
    assert!(refused(host(&"a.".repeat(128))).contains("ENAMETOOLONG"));
    assert!(refused(host("localhost").high_water_mark(0)).contains("high_water_mark"));
    let local = host("localhost").family(Some(Family::V4)).local(Some((Ipv6Addr::LOCALHOST, 0).into()));
    assert!(refused(local).contains("another family"));
    close(&event_loop, &env);
}

// Node: test-net-socket-timeout-unref
#[test]
fn the_timeout_of_a_socket_counts_during_its_look_up() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let kept: Rc<Cell<Option<Answer>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let never = Resolver::new(move |_, _, answer| {
        keep.set(Some(answer));
    });
    let options = ConnectOptions::host("host.test", 7).resolver(never).timeout(Duration::from_millis(5));
    connect(&env, options, Client::new(&log).on("timeout", |socket| socket.destroy()));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["timeout", "close"]);
    let answer = kept.take().expect("it was asked");
    assert!(!answer.is_wanted());
    answer.found([([127, 0, 0, 1], 7)]);
    assert_eq!(log.take(), Vec::<String>::new());
}

#[test]
fn localhost_leads_to_a_server_on_either_family() {
    let name = "localhost_leads_to_a_server_on_either_family";
    in_namespace(name, "127.0.0.1 localhost\\n::1 localhost\\n", || {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (event_loop, env) = new_loop();
            let log = Log::default();
            let server = Server::new(&env, ServerOptions::default());
            listen_for_one(&server, ListenOptions::addr(address.parse().expect("an address")), greet);
            let here = port_of(&server);
            connect(&env, ConnectOptions::host("localhost", here.port()), Client::new(&log));
            run_to_the_end(&event_loop, &env);
            assert!(log.has("lookup localhost 2") && log.has(&format!("connect {here}")), "{:?}", log.take());
        }
    });
}

#[test]
fn a_destroy_does_not_wait_for_a_name_server_that_is_silent() {
    let name = "a_destroy_does_not_wait_for_a_name_server_that_is_silent";
    in_namespace(name, "127.0.0.1 localhost\\n", || {
        serve(|_, _| Reply::Silence);
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let begun = Instant::now();
        let options = ConnectOptions::host("silent.test", 7).timeout(Duration::from_millis(20));
        connect(&env, options, Client::new(&log).on("timeout", |socket| socket.destroy()));
        run_to_the_end(&event_loop, &env);
        assert!(begun.elapsed() < Duration::from_millis(800), "the loop waits for the server");
        assert_eq!(log.take(), ["timeout", "close"]);
    });
}

#[test]
fn a_name_of_a_name_server_leads_to_its_addresses() {
    let name = "a_name_of_a_name_server_leads_to_its_addresses";
    in_namespace(name, "127.0.0.1 localhost\\n", || {
        serve(|name, _| match name {
            "here.test" => Reply::Addresses(vec![IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()]),
            _ => Reply::Missing,
        });
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let server = serve_one(&env, ServerOptions::default(), greet);
        let here = port_of(&server);
        let options = ConnectOptions::host("here.test", here.port()).hints(Some(AddrFlags::default()));
        connect(&env, options, Client::new(&log));
        connect(&env, ConnectOptions::host("example.invalid.", 80), Client::new(&log));
        run_to_the_end(&event_loop, &env);
        assert!(log.has("lookup here.test 2") && log.has(&format!("connect {here}")), "{:?}", log.take());
        let error = "getaddrinfo example.invalid.: Name or service not known (ENOTFOUND, EAI_NONAME)";
        assert!(log.has(&format!("error {error}")), "{:?}", log.take());
    });
}

#[test]
fn a_resolver_may_let_the_system_answer() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), greet);
    let addr = port_of(&server);
    let resolver = Resolver::new(|env, query, answer| answer.by_system(env, query));
    let options = ConnectOptions::host("localhost", addr.port()).family(Family::V4).resolver(resolver);
    connect(&env, options, Client::new(&log));
    run_to_the_end(&event_loop, &env);
    let lines = log.take();
    assert!(lines.contains(&format!("connect {addr}")), "{lines:?}");
}

#[test]
fn an_error_says_everything_itself_and_what_prints_a_chain_does_not_say_it_twice() {
    let (event_loop, env) = new_loop();
    let error = Server::new(&env, ServerOptions::default())
        .listen_with(ListenOptions::path("/no/such/folder/socket"), |_, _| {})
        .expect_err("there is no such folder");
    let as_error: &dyn std::error::Error = &error;
    assert!(as_error.source().is_none() && error.system().is_some());
    assert_eq!(error.to_string(), error.system().expect("of the system").to_string());
    run_to_the_end(&event_loop, &env);
}
