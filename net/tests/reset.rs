//! Connections that fail.

mod common;

use common::{Log, Peer, TempPath, connection, new_loop, port_of, refusing_addr, run_to_the_end, serve_one};
use net::{ConnectOptions, ErrorCode, ListenOptions, Server, ServerOptions, Socket};
use std::cell::RefCell;
use std::net::TcpStream;
use std::rc::Rc;

const RESET: &str = "error read: Connection reset by peer (ECONNRESET)";

// Node: test-net-socket-reset-send, test-net-server-reset, test-net-connect-reset-until-connected
#[test]
fn a_reset_reaches_the_peer_as_an_error_and_this_side_as_a_plain_close() {
    let (event_loop, env) = new_loop();
    let (log, theirs) = (Log::default(), Log::default());
    let there = Peer::new("there", &theirs).on("connect", |socket| {
        socket.reset_and_destroy().expect("it is open");
        assert!(socket.is_destroyed());
    });
    connection(&env, ServerOptions::default(), Peer::new("here", &log), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(theirs.take(), ["there connect", "there close"]);
    assert_eq!(log.take(), [&format!("here {RESET}"), "here close after an error"]);
}

// Node: test-net-socket-reset-twice
#[test]
fn a_second_reset_is_refused() {
    let (event_loop, env) = new_loop();
    let there = Peer::new("there", &Log::default()).on("connect", |socket| {
        socket.reset_and_destroy().expect("it is open");
        let refused = socket.reset_and_destroy().expect_err("it is destroyed");
        assert_eq!(refused.code(), ErrorCode::SocketClosed);
    });
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-connect-reset-before-connected
#[test]
fn a_reset_while_connecting_gives_up() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (bound, addr) = refusing_addr(&event_loop);
    let there = Peer::new("there", &log).connect(&env, ConnectOptions::addr(addr));
    there.reset_and_destroy().expect("it is connecting");
    bound.close();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there close"]);
}

// Node: test-net-connect-reset (ERR_INVALID_HANDLE_TYPE for pipes)
#[test]
fn a_unix_socket_cannot_be_reset() {
    let (event_loop, env) = new_loop();
    let path = TempPath::new("reset");
    let server = Server::new(&env, ServerOptions::default());
    common::listen_for_one(&server, ListenOptions::path(&path.0), |socket| {
        Peer::new("here", &Log::default()).attach(&socket);
    });
    let there = Peer::new("there", &Log::default()).on("connect", |socket| {
        let refused = socket.reset_and_destroy().expect_err("this is not TCP");
        assert_eq!(refused.code(), ErrorCode::InvalidHandleType);
        assert_eq!(socket.set_no_delay(true).expect_err("nor here").code(), ErrorCode::InvalidHandleType);
        assert!(!socket.is_destroyed());
        socket.end();
    });
    there.connect(&env, ConnectOptions::path(&path.0));
    run_to_the_end(&event_loop, &env);
}

// A reset before the accept: whether the kernel still returns the connection or not, nothing leaks.
#[test]
fn a_connection_that_is_reset_before_it_is_accepted_leaves_nothing_behind() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let theirs = log.clone();
    let handler = move |server: &Server, socket: Socket| {
        // The connection is reset already, so it has no address.
        let _ = socket.remote_address();
        let me = server.clone();
        Peer::new("here", &theirs).on("close", move |_| me.close().expect("it listens")).attach(&socket);
    };
    server.listen(common::anywhere(), handler).expect("the server listens");
    let addr = port_of(&server);
    let peer = Peer::new("there", &Log::default()).on("connect", |socket| {
        socket.reset_and_destroy().expect("it is open");
    });
    peer.connect(&env, ConnectOptions::addr(addr));
    run_to_the_end(&event_loop, &env);
    assert_eq!(server.connections(), 0);
    assert_eq!(log.take(), [&format!("here {RESET}"), "here close after an error"]);
}

/// Makes the peer reset the connection, by closing with unread input.
fn reset_by(client: &RefCell<Option<TcpStream>>, socket: &Socket) {
    socket.write(b"never read").expect("it is open");
    drop(client.take());
}

/// A paused, half-open connection that its peer resets in `on_connection`. Then calls `act`.
fn with_a_broken_connection(log: &Log, act: impl FnOnce(&Socket) + 'static) {
    let (event_loop, env) = new_loop();
    let options = ServerOptions::default().pause_on_connect(true).allow_half_open(true);
    let client = Rc::new(RefCell::new(None));
    let (here, peer) = (Peer::new("here", log), Rc::clone(&client));
    let server = serve_one(&env, options, move |socket| {
        here.attach(&socket);
        reset_by(&peer, &socket);
        act(&socket);
    });
    client.replace(Some(TcpStream::connect(port_of(&server)).expect("it listens")));
    run_to_the_end(&event_loop, &env);
}

// Node: `_final`: ENOTCONN counts as done; the reset shows when it is read
#[test]
fn an_end_after_the_peers_reset_closes() {
    let log = Log::default();
    with_a_broken_connection(&log, |socket| {
        socket.end();
        socket.resume();
    });
    assert_eq!(log.take(), ["here finish", &format!("here {RESET}"), "here close after an error"]);
}

#[test]
fn a_destroy_soon_after_the_peers_reset_closes_although_nothing_is_read() {
    let log = Log::default();
    with_a_broken_connection(&log, Socket::destroy_soon);
    assert_eq!(log.take(), ["here finish", "here close"]);
}

// Node: test-net-error-twice: a write that fails destroys the socket, once
#[test]
fn a_write_to_a_broken_connection_ends_it_with_one_error() {
    let log = Log::default();
    let noted = log.clone();
    with_a_broken_connection(&log, move |socket| {
        let refused = socket.write(b"not read").expect_err("the peer is closed");
        assert_eq!(refused.code(), ErrorCode::System);
        let again = socket.write(b"nor this").expect_err("it is destroyed");
        assert_eq!(again.code(), ErrorCode::SocketClosed);
        noted.push("refused");
    });
    let log = log.take();
    assert_eq!(log.len(), 3, "{log:?}");
    assert_eq!(log[0], "refused");
    assert!(log[1].starts_with("here error write"), "{log:?}");
    assert_eq!(log[2], "here close after an error");
}

#[test]
fn a_reset_while_much_waits_to_be_written_ends_with_one_error() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &Log::default()).on_bytes(|socket, _| {
        let _ = socket.reset_and_destroy();
    });
    let there = Peer::new("there", &log).on("connect", |socket| {
        socket.pause();
        for _ in 0..4 {
            socket.write(&vec![b'x'; 8 * 1024 * 1024]).expect("it is open");
        }
        socket.end();
    });
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    let log = log.take();
    assert_eq!(log.len(), 3, "{log:?}");
    assert!(log[1].starts_with("there error write"), "{log:?}");
    assert_eq!(log[2], "there close after an error");
}
