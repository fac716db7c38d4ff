//! The limit of connections, and which connections count.

mod common;

use common::{Host, Log, Peer, anywhere, new_loop, port_of, run_to_a_panic, run_to_the_end, to};
use net::{Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;

fn limited(connections: usize) -> ServerOptions {
    ServerOptions::default().max_connections(Some(connections))
}

// Node: test-net-server-drop-connections, test-net-server-max-connections
#[test]
fn connections_above_the_limit_are_dropped_with_their_addresses() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, limited(1));
    let kept: Rc<RefCell<Vec<Socket>>> = Rc::default();
    let dropped = Rc::new(RefCell::new(Vec::new()));
    let (theirs, sockets, seen, me) = (log.clone(), Rc::clone(&kept), Rc::clone(&dropped), server.clone());
    let host = Host::new(&log, move |socket| {
        Peer::new("here", &theirs).attach(&socket);
        sockets.borrow_mut().push(socket);
    });
    let host = host.on_dropped(move |info| {
        seen.borrow_mut().push(info);
        if seen.borrow().len() == 2 {
            kept.take().iter().for_each(Socket::destroy);
            me.close().expect("it listens");
        }
    });
    server.listen(anywhere(), host).expect("the server listens");
    let addr = port_of(&server);
    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).expect("it listens")).collect();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("server drop"), 2);
    assert_eq!(log.count("here close"), 1);
    for (info, client) in dropped.borrow().iter().zip(&clients[1..]) {
        assert_eq!(info.local.as_ref().and_then(|address| address.as_tcp()), Some(addr));
        let peer = client.local_addr().expect("it has an address");
        assert_eq!(info.remote.as_ref().and_then(|address| address.as_tcp()), Some(peer));
    }
}

// Node: test-net-server-max-connections, test-net-server-drop-connections
#[test]
fn a_limit_of_zero_drops_all() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    server.set_max_connections(Some(0));
    let me = server.clone();
    let host = Host::new(&log, |_| unreachable!("there is no room"));
    let host = host.on_dropped(move |_| me.close().expect("it listens"));
    server.listen(anywhere(), host).expect("the server listens");
    Peer::new("there", &log).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("server drop"), 1);
    assert!(log.has("there close"), "{:?}", log.take());
}

// Node: test-net-server-max-connections-close-makes-more-available
#[test]
fn a_closing_connection_frees_its_place_before_anybody_hears_of_the_close() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, limited(1));
    let (me, theirs, served) = (server.clone(), log.clone(), Cell::new(0));
    let host = Host::new(&log, move |socket| {
        served.set(served.get() + 1);
        if served.get() == 3 {
            me.close().expect("it listens");
        }
        let (server, log, last) = (me.clone(), theirs.clone(), served.get() == 3);
        Peer::new("here", &theirs)
            .on("close", move |_| {
                assert_eq!(server.connections(), 0);
                if !last {
                    Peer::new("there", &log)
                        .on("connect", |socket| socket.end())
                        .connect(server.environment(), to(&server));
                }
            })
            .attach(&socket);
    });
    server.listen(anywhere(), host).expect("the server listens");
    Peer::new("there", &log).on("connect", |socket| socket.end()).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("here close"), 3);
    assert_eq!(log.count("server drop"), 0);
}

#[test]
fn a_connection_that_nobody_handles_is_closed_and_counts_no_more() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let me = server.clone();
    // The socket is not kept: a kept socket would wait for a handler.
    let host = Host::new(&log, move |_: Socket| {
        assert_eq!(me.connections(), 1);
        me.close().expect("it listens");
    });
    server.listen(anywhere(), host).expect("the server listens");
    Peer::new("there", &log).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!(server.connections(), 0);
    assert!(log.has("there close") && log.has("server close"), "{:?}", log.take());
}

#[test]
fn a_connection_destroyed_or_reset_inside_on_connection_counts_no_more() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let (me, theirs, served) = (server.clone(), log.clone(), Cell::new(0));
    let host = Host::new(&log, move |socket| {
        served.set(served.get() + 1);
        match served.get() {
            1 => socket.destroy(),
            2 => socket.reset_and_destroy().expect("it is open"),
            3 => {
                Peer::new("here", &theirs).attach(&socket);
                socket.destroy();
            }
            _ => {
                socket.destroy();
                // A handler that is set on a closing socket still hears of the close.
                Peer::new("here", &theirs).attach(&socket);
                me.close().expect("it listens");
            }
        }
    });
    server.listen(anywhere(), host).expect("the server listens");
    let clients: Vec<_> = (0..4).map(|_| TcpStream::connect(port_of(&server)).expect("it listens")).collect();
    run_to_the_end(&event_loop, &env);
    assert_eq!(server.connections(), 0);
    assert_eq!(log.take(), ["server listening", "here close", "here close", "server close"]);
    drop(clients);
}

// Node: test-net-server-capture-rejection (what the listener throws destroys that socket)
#[test]
fn a_panic_in_on_connection_destroys_that_connection_and_no_other() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let (me, theirs, served) = (server.clone(), log.clone(), Cell::new(0));
    let host = Host::new(&log, move |socket| {
        served.set(served.get() + 1);
        assert!(served.get() != 1, "the first is one too many");
        Peer::new("here", &theirs).attach(&socket);
        me.close().expect("it listens");
    });
    server.listen(anywhere(), host).expect("the server listens");
    for name in ["first", "second"] {
        Peer::new(name, &log).on("connect", |socket| socket.end()).connect(&env, to(&server));
    }
    assert_eq!(run_to_a_panic(&env), "the first is one too many");
    run_to_the_end(&event_loop, &env);
    assert_eq!(server.connections(), 0);
    for event in ["first close", "second close", "here close", "server close"] {
        assert!(log.has(event), "{event}: {:?}", log.take());
    }
}

#[test]
fn a_raised_limit_holds_from_the_next_connection_on() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, limited(0));
    let (raising, me, theirs) = (server.clone(), server.clone(), log.clone());
    let host = Host::new(&log, move |socket| {
        Peer::new("here", &theirs).attach(&socket);
        me.close().expect("it listens");
    });
    let host = host.on_dropped(move |_| raising.set_max_connections(None));
    server.listen(anywhere(), host).expect("the server listens");
    let clients: Vec<_> = (0..2).map(|_| TcpStream::connect(port_of(&server)).expect("it listens")).collect();
    drop(clients);
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("server drop"), log.count("here close")), (1, 1));
}
