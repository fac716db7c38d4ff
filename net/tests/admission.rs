//! Which connections a server admits: by its block list, by a limit for each address, and by a decision of the program.

mod common;

use async_wrap::{AsyncHook, AsyncId, Environment, Provider};
use common::{Host, Log, Peer, TempPath, anywhere, new_loop, port_of, run_to_a_panic, run_to_the_end, to};
use net::admission::{BlockList, DropReason};
use net::names::Resolver;
use net::{Address, ConnectOptions, Dropped, ErrorCode, ListenOptions, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

fn list(rules: &[&str]) -> BlockList {
    rules.iter().map(|rule| rule.parse().expect("a rule")).collect()
}

/// What a server has admitted and dropped. Its sockets stay open.
#[derive(Clone, Default)]
struct Seen {
    log: Log,
    sockets: Rc<RefCell<Vec<Socket>>>,
    dropped: Rc<RefCell<Vec<Dropped>>>,
}

impl Seen {
    fn reasons(&self) -> Vec<DropReason> {
        self.dropped.borrow().iter().map(|dropped| dropped.reason).collect()
    }

    /// A server that closes, with its connections, when it has admitted or dropped `count`.
    fn serve(
        &self,
        env: &Environment,
        options: ServerOptions,
        listen: ListenOptions,
        count: usize,
    ) -> Server {
        let server = Server::new(env, options);
        let (taking, dropping, me, other) = (self.clone(), self.clone(), server.clone(), server.clone());
        let host = Host::new(&self.log, move |socket| {
            Peer::new("here", &taking.log).attach(&socket);
            taking.sockets.borrow_mut().push(socket);
            taking.end_after(&me, count);
        });
        let host = host.on_dropped(move |info| {
            dropping.dropped.borrow_mut().push(info);
            dropping.end_after(&other, count);
        });
        server.listen(listen, host).expect("the server listens");
        server
    }

    fn end_after(&self, server: &Server, count: usize) {
        if self.sockets.borrow().len() + self.dropped.borrow().len() == count {
            self.sockets.take().iter().for_each(Socket::destroy);
            server.close().expect("it listens");
        }
    }
}

fn visitors(server: &Server, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(port_of(server)).expect("it listens")).collect()
}

/// Connects from an address of this machine.
fn connect_from(env: &Environment, log: &Log, server: &Server, host: [u8; 4]) -> Socket {
    Peer::new("there", log).connect(env, to(server).local(Some(SocketAddr::from((host, 0)))))
}

// Node: test-net-server-blocklist
#[test]
fn a_blocked_peer_gets_no_byte_and_is_reported_with_its_address() {
    let (event_loop, env) = new_loop();
    let seen = Seen::default();
    let options = ServerOptions::default().block_list(&list(&["127.0.0.1"]));
    let server = seen.serve(&env, options, anywhere(), 2);
    let addr = port_of(&server);
    let mut blocked = TcpStream::connect(addr).expect("it listens");
    connect_from(&env, &Log::default(), &server, [127, 0, 0, 2]);
    run_to_the_end(&event_loop, &env);
    assert_eq!(blocked.read(&mut [0]).expect("a FIN"), 0);
    let dropped = seen.dropped.take().remove(0);
    assert_eq!(dropped.reason, DropReason::Blocked);
    assert_eq!(dropped.local, Some(Address::Tcp(addr)));
    assert_eq!(dropped.remote, Some(Address::Tcp(blocked.local_addr().expect("an address"))));
    assert_eq!((server.drops().blocked, server.drops().total()), (1, 1));
    assert_eq!(seen.log.count("here close"), 1);
}

#[test]
fn a_list_that_changes_applies_from_the_next_connection_on() {
    let (event_loop, env) = new_loop();
    let (seen, blocked) = (Seen::default(), BlockList::new());
    let options = ServerOptions::default().block_list(&blocked);
    let server = Server::new(&env, options);
    let (served, dropped, me) = (seen.clone(), seen.clone(), server.clone());
    let growing = blocked.clone();
    let host = Host::new(&seen.log, move |socket| {
        Peer::new("here", &served.log).attach(&socket);
        socket.destroy();
        growing.add_address([127, 0, 0, 1].into());
    });
    let host = host.on_dropped(move |info| {
        dropped.dropped.borrow_mut().push(info);
        assert!(blocked.remove("127.0.0.1".parse().expect("a rule")), "it was added");
        me.close().expect("it listens");
    });
    server.listen(anywhere(), host).expect("the server listens");
    let _visitors = visitors(&server, 2);
    run_to_the_end(&event_loop, &env);
    assert_eq!((seen.log.count("here close"), seen.reasons()), (1, vec![DropReason::Blocked]));
}

#[test]
fn an_ipv4_peer_of_a_socket_for_both_families_is_checked_as_ipv4() {
    let (event_loop, env) = new_loop();
    let seen = Seen::default();
    let options = ServerOptions::default().block_list(&list(&["127.0.0.0/8"]));
    let server = seen.serve(&env, options, ListenOptions::port(0), 1);
    let port = server.address().and_then(|address| address.port()).expect("a port");
    let _visitor = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(seen.reasons(), [DropReason::Blocked]);
}

#[test]
fn an_address_has_a_limit_which_others_do_not_notice() {
    let (event_loop, env) = new_loop();
    let seen = Seen::default();
    let options = ServerOptions::default().max_connections_per_address(Some(2));
    let server = seen.serve(&env, options, anywhere(), 6);
    let _many = visitors(&server, 4);
    for _ in 0..2 {
        connect_from(&env, &Log::default(), &server, [127, 0, 0, 2]);
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(seen.reasons(), [DropReason::MaxPerAddress; 2]);
    assert!(seen.dropped.borrow().iter().all(|dropped| {
        dropped.remote.as_ref().and_then(Address::as_tcp).is_some_and(|addr| addr.ip() == Ipv4Addr::LOCALHOST)
    }));
    assert_eq!((seen.log.count("here close"), server.drops().max_per_address), (4, 2));
}

#[test]
fn a_closed_connection_makes_room_for_its_address_before_anybody_hears_of_the_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default().max_connections_per_address(Some(1)));
    let (me, theirs, served) = (server.clone(), log.clone(), Cell::new(0));
    let host = Host::new(&log, move |socket| {
        served.set(served.get() + 1);
        let is_last = served.get() == 3;
        if is_last {
            me.close().expect("it listens");
        }
        let (server, log) = (me.clone(), theirs.clone());
        let next = move |_: &Socket| {
            if !is_last {
                let end = |socket: &Socket| socket.end();
                Peer::new("there", &log).on("connect", end).connect(server.environment(), to(&server));
            }
        };
        Peer::new("here", &theirs).on("close", next).attach(&socket);
    });
    server.listen(anywhere(), host).expect("the server listens");
    Peer::new("there", &log).on("connect", |socket| socket.end()).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("here close"), log.count("server drop")), (3, 0));
}

#[test]
fn connections_that_end_in_every_way_leave_no_count_behind() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default().max_connections_per_address(Some(1)));
    let (me, theirs, served) = (server.clone(), log.clone(), Cell::new(0));
    let host = Host::new(&log, move |socket| {
        served.set(served.get() + 1);
        match served.get() {
            1 => socket.destroy(),
            2 => socket.reset_and_destroy().expect("it is open"),
            // Neither a handler nor a handle is left.
            3 => {}
            4 => Peer::new("here", &theirs).on("close", |_| {}).attach(&socket),
            5 => {
                let kept = socket.clone();
                let late = Peer::new("here", &theirs);
                socket.environment().set_immediate(move || {
                    kept.set_handler(late);
                    kept.destroy();
                });
            }
            _ => {
                socket.destroy();
                me.close().expect("it listens");
            }
        }
    });
    server.listen(anywhere(), host).expect("the server listens");
    // Each connects when the one before it was closed.
    for _ in 0..6 {
        let client = Peer::new("there", &Log::default()).on("connect", |socket| socket.end());
        let socket = client.connect(&env, to(&server));
        while !socket.is_destroyed() || server.connections() > 0 {
            env.run(net::uv_core::RunMode::Once).expect("the loop runs");
        }
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!((server.drops().total(), server.connections()), (0, 0));
}

#[test]
fn an_ipv6_network_shares_one_limit() {
    let (event_loop, env) = new_loop();
    let seen = Seen::default();
    let options = ServerOptions::default().max_connections_per_address(Some(1)).ipv6_prefix(128);
    let here = ListenOptions::addr((Ipv6Addr::LOCALHOST, 0).into());
    if TcpStream::connect((Ipv6Addr::LOCALHOST, 1))
        .is_err_and(|error| error.kind() != ErrorKind::ConnectionRefused)
    {
        println!("skipped: this machine has no IPv6");
        return common::close(&event_loop, &env);
    }
    let server = seen.serve(&env, options, here, 2);
    let _visitors = visitors(&server, 2);
    run_to_the_end(&event_loop, &env);
    assert_eq!(seen.reasons(), [DropReason::MaxPerAddress]);
}

#[test]
fn a_program_decides_by_the_address_in_the_context_of_the_server() {
    let (event_loop, env) = new_loop();
    let (seen, ids, ticks) = (Seen::default(), Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let (told, inner, ticked) = (Rc::clone(&ids), env.clone(), Rc::clone(&ticks));
    let listen = anywhere().admit(move |peer| {
        told.borrow_mut().push(inner.execution_async_id());
        let count = Rc::clone(&ticked);
        inner.next_tick(move || count.set(count.get() + 1));
        peer.as_tcp().is_some_and(|peer| peer.ip() == Ipv4Addr::new(127, 0, 0, 2))
    });
    let server = seen.serve(&env, ServerOptions::default(), listen, 2);
    let _refused = visitors(&server, 1);
    connect_from(&env, &Log::default(), &server, [127, 0, 0, 2]);
    run_to_the_end(&event_loop, &env);
    assert_eq!((seen.reasons(), server.drops().not_admitted), (vec![DropReason::NotAdmitted], 1));
    assert_eq!((seen.log.count("here close"), ticks.get()), (1, 2));
    let ids = ids.take();
    assert!(ids.len() == 2 && ids[0] == ids[1] && ids[0] != AsyncId::NONE, "{ids:?}");
}

#[test]
fn a_server_that_is_closed_while_it_decides_takes_no_connection() {
    for admits in [true, false] {
        let (event_loop, env) = new_loop();
        let (log, own) = (Log::default(), Rc::new(RefCell::new(None::<Server>)));
        let closing = Rc::clone(&own);
        let listen = anywhere().admit(move |_| {
            if let Some(server) = closing.take() {
                server.close().expect("it listens");
            }
            admits
        });
        let server = Server::new(&env, ServerOptions::default());
        *own.borrow_mut() = Some(server.clone());
        server.listen(listen, Host::new(&log, |_| unreachable!("it is closed"))).expect("the server listens");
        let mut visitor = visitors(&server, 1).remove(0);
        run_to_the_end(&event_loop, &env);
        assert!(matches!(visitor.read(&mut [0]), Ok(0) | Err(_)));
        assert_eq!(log.count("server close"), 1);
    }
}

#[test]
fn a_panic_of_the_decision_closes_that_connection_and_no_other() {
    let (event_loop, env) = new_loop();
    let (seen, asked) = (Seen::default(), Cell::new(0));
    let options = ServerOptions::default().max_connections_per_address(Some(2));
    let listen = anywhere().admit(move |_| {
        asked.set(asked.get() + 1);
        assert!(asked.get() != 1, "the first is one too many");
        true
    });
    let server = seen.serve(&env, options, listen, 2);
    let mut visitors = visitors(&server, 3);
    assert_eq!(run_to_a_panic(&env), "the first is one too many");
    run_to_the_end(&event_loop, &env);
    assert!(matches!(visitors[0].read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!((seen.log.count("here close"), server.drops().total()), (2, 0));
}

/// Counts the resources of connections.
struct Wraps(Rc<Cell<usize>>);

impl AsyncHook for Wraps {
    fn on_init(&mut self, _: AsyncId, provider: Provider, _: AsyncId) {
        self.0.set(self.0.get() + usize::from(provider == Provider::TcpWrap));
    }
}

#[test]
fn no_resource_is_made_for_a_connection_that_is_dropped() {
    let blocked = || ServerOptions::default().block_list(&list(&["127.0.0.0/8"]));
    let cases = [
        (blocked(), anywhere()),
        (ServerOptions::default().max_connections(Some(0)), anywhere()),
        (ServerOptions::default().max_connections_per_address(Some(0)), anywhere()),
        (ServerOptions::default(), anywhere().admit(|_| false)),
    ];
    for (options, listen) in cases {
        let (event_loop, env) = new_loop();
        let (seen, wraps) = (Seen::default(), Rc::new(Cell::new(0)));
        env.hook(Wraps(Rc::clone(&wraps))).enable();
        let server = seen.serve(&env, options, listen, 20);
        let _visitors = visitors(&server, 20);
        run_to_the_end(&event_loop, &env);
        assert_eq!((seen.dropped.borrow().len(), wraps.get()), (20, 0));
    }
}

#[test]
fn a_flood_from_one_address_keeps_no_other_client_from_being_served() {
    let (event_loop, env) = new_loop();
    let seen = Seen::default();
    let options = ServerOptions::default().max_connections_per_address(Some(3));
    let server = seen.serve(&env, options, anywhere().backlog(1000), 501);
    let (addr, served) = (port_of(&server), Rc::new(Cell::new(0)));
    let flood: Vec<_> = (0..500).map(|_| TcpStream::connect(addr).expect("it listens")).collect();
    let late = Rc::clone(&served);
    let turns = Rc::new(Cell::new(0));
    let (count, at) = (Rc::clone(&turns), Rc::new(Cell::new(0)));
    let when = Rc::clone(&at);
    Peer::new("there", &Log::default())
        .on("close", move |_| {
            late.set(late.get() + 1);
            when.set(count.get());
        })
        .connect(&env, to(&server).local(Some(SocketAddr::from(([127, 0, 0, 2], 0)))));
    while served.get() == 0 {
        turns.set(turns.get() + 1);
        env.run(net::uv_core::RunMode::Once).expect("the loop runs");
    }
    // 64 are refused in a turn, and a batch is accepted.
    assert!((7..=16).contains(&at.get()), "{} turns", at.get());
    run_to_the_end(&event_loop, &env);
    assert_eq!((server.drops().max_per_address, seen.log.count("here close")), (497, 4));
    drop(flood);
}

#[test]
fn a_unix_socket_has_no_addresses_to_limit_and_the_program_is_asked_all_the_same() {
    let (event_loop, env) = new_loop();
    let (seen, path) = (Seen::default(), TempPath::new("admission"));
    let asked = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&asked);
    let options = ServerOptions::default()
        .max_connections_per_address(Some(1))
        .block_list(&list(&["0.0.0.0/0", "::/0"]));
    let listen = ListenOptions::path(&path.0).admit(move |peer| {
        told.borrow_mut().push(peer.clone());
        told.borrow().len() < 3
    });
    let server = seen.serve(&env, options, listen, 3);
    let _visitors: Vec<_> = (0..3).map(|_| UnixStream::connect(&path.0).expect("it listens")).collect();
    run_to_the_end(&event_loop, &env);
    assert_eq!((seen.reasons(), seen.log.count("here close")), (vec![DropReason::NotAdmitted], 2));
    assert_eq!(asked.take(), [Address::Unnamed, Address::Unnamed, Address::Unnamed]);
    assert_eq!(seen.dropped.borrow()[0].local, Some(Address::Path(path.0.clone())));
    drop(server);
}

#[test]
fn a_prefix_longer_than_an_address_is_refused() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default().ipv6_prefix(129));
    let refused = server.listen_with(anywhere(), |_, _| {}).expect_err("too long");
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    common::close(&event_loop, &env);
}

// Node: test-net-blocklist
#[test]
fn a_blocked_address_is_not_connected_to() {
    let (event_loop, env) = new_loop();
    let blocked = list(&["127.0.0.1", "127.0.0.2"]);
    for addr in ["127.0.0.1:9999", "127.0.0.2:9999", "[::ffff:127.0.0.1]:9999"] {
        let options = ConnectOptions::addr(addr.parse().expect("an address")).block_list(&blocked);
        let peer = Peer::new("there", &Log::default());
        let error = Socket::connect(&env, options, peer).expect_err("it is blocked");
        assert_eq!(error.code(), ErrorCode::IpBlocked);
        let text = error.to_string();
        assert!(
            text.starts_with("connect: the block list has the address: ") && text.contains("127.0.0."),
            "{text}"
        );
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::PermissionDenied);
    }
    common::close(&event_loop, &env);
}

#[test]
fn an_unspecified_address_is_blocked_with_this_machine() {
    let (event_loop, env) = new_loop();
    let connect = |addr: &str, rules: &[&str], local: Option<&str>| {
        let options = ConnectOptions::addr(addr.parse().expect("an address")).block_list(&list(rules));
        let local = local.map(|local| local.parse().expect("an address"));
        let socket = Socket::connect(&env, options.local(local), Peer::new("there", &Log::default()));
        socket.map(|socket| socket.destroy()).map_err(|error| error.code())
    };
    let blocked = Err(ErrorCode::IpBlocked);
    assert_eq!(connect("0.0.0.0:9", &["127.0.0.0/8"], None), blocked);
    assert_eq!(connect("0.0.0.0:9", &["0.0.0.0"], None), blocked);
    assert_eq!(connect("[::ffff:0.0.0.0]:9", &["127.0.0.1"], None), blocked);
    assert_eq!(connect("[::]:9", &["::1"], None), blocked);
    // With a local address that is where it leads.
    assert_eq!(connect("0.0.0.0:9", &["127.0.0.5"], Some("127.0.0.5:0")), blocked);
    assert_eq!(connect("0.0.0.0:9", &["127.0.0.1"], Some("0.0.0.0:0")), blocked);
    assert_eq!(connect("0.0.0.0:9", &["127.0.0.1"], Some("127.0.0.5:0")), Ok(()));
    assert_eq!(connect("0.0.0.0:9", &["10.0.0.0/8", "::1"], None), Ok(()));
    // An address of a host, too.
    let log = Log::default();
    let resolver = Resolver::new(|_, _, answer| answer.found([([0, 0, 0, 0], 0)]));
    let options = ConnectOptions::host("host", 9).resolver(resolver).block_list(&list(&["127.0.0.0/8"]));
    Peer::new("there", &log).connect(&env, options);
    run_to_the_end(&event_loop, &env);
    assert!(log.has("there error connect: the block list has the address: 0.0.0.0"), "{:?}", log.take());
}

#[test]
fn a_panic_when_a_drop_is_told_closes_that_connection_and_no_other() {
    let (event_loop, env) = new_loop();
    let (log, told) = (Log::default(), Cell::new(0));
    let server = Server::new(&env, ServerOptions::default().block_list(&list(&["127.0.0.1"])));
    let me = server.clone();
    let host = Host::new(&log, |_| unreachable!("all are blocked")).on_dropped(move |_| {
        told.set(told.get() + 1);
        if told.get() == 3 {
            me.close().expect("it listens");
        }
        assert!(told.get() != 1, "the first is one too many");
    });
    server.listen(anywhere(), host).expect("the server listens");
    let mut visitors = visitors(&server, 3);
    assert_eq!(run_to_a_panic(&env), "the first is one too many");
    run_to_the_end(&event_loop, &env);
    assert!(visitors.iter_mut().all(|visitor| matches!(visitor.read(&mut [0]), Ok(0) | Err(_))));
    assert_eq!((server.drops().blocked, log.count("server close")), (3, 1));
}

// Node: test-net-blocklist (addresses of a look-up)
#[test]
fn of_a_host_the_blocked_addresses_are_skipped_and_a_host_without_others_is_blocked() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = common::serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).attach(&socket);
        socket.end();
    });
    let port = port_of(&server).port();
    let resolver = Resolver::new(|_, query, answer| match query.host.as_deref() {
        Some("blocked") => answer.found([([127, 0, 0, 2], 0), ([127, 0, 0, 3], 0)]),
        _ => answer.found([([127, 0, 0, 2], 0), ([127, 0, 0, 1], 0)]),
    });
    let blocked = list(&["127.0.0.2-127.0.0.3"]);
    for (name, host) in [("first", "blocked"), ("second", "partly")] {
        let options = ConnectOptions::host(host, port).resolver(resolver.clone()).block_list(&blocked);
        Peer::new(name, &log).connect(&env, options);
    }
    run_to_the_end(&event_loop, &env);
    assert!(log.has("first error connect: the block list has the address: 127.0.0.2"), "{:?}", log.take());
    assert!(log.has("first close after an error") && log.has("second connect") && log.has("second close"));
}
