//! Unix sockets.

mod common;

use common::{Host, Log, Peer, TempPath, listen_for_one, new_loop, run_to_the_end};
use net::{Address, ConnectOptions, ListenOptions, Server, ServerOptions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

/// A connection that exchanges greetings in both directions.
fn talk(listen: ListenOptions, connect: ConnectOptions, expected: Address) {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let noted = log.clone();
    listen_for_one(&server, listen, move |socket| {
        assert_eq!(socket.remote_address(), Some(Address::Unnamed));
        Peer::new("here", &noted).attach(&socket);
        socket.end_with(b"from here").expect("it is open");
    });
    assert_eq!(server.address(), Some(expected.clone()));
    Peer::new("there", &log)
        .on("connect", move |socket| {
            assert_eq!(socket.remote_address(), Some(expected.clone()));
            socket.write(b"from there").expect("it is open");
        })
        .connect(&env, connect);
    run_to_the_end(&event_loop, &env);
    for event in ["here data from there", "there data from here", "here close", "there close"] {
        assert_eq!(log.count(event), 1, "{event}: {:?}", log.take());
    }
}

// Node: test-net-server-listen-path, test-pipe-address
#[test]
fn a_path_serves_and_is_gone_after_close() {
    let path = TempPath::new("serve");
    talk(ListenOptions::path(&path.0), ConnectOptions::path(&path.0), Address::Path(path.0.clone()));
    assert!(!path.0.exists());
}

// Node: test-pipe-abstract-socket
#[test]
fn an_abstract_name_serves() {
    let name = format!("net-abstract-{}", std::process::id());
    let path = format!("\0{name}");
    talk(ListenOptions::path(&path), ConnectOptions::path(&path), Address::Abstract(name.into_bytes()));
}

// Node: test-net-server-listen-handle
#[test]
fn a_listener_from_elsewhere_serves() {
    let path = TempPath::new("adopted");
    let listener = UnixListener::bind(&path.0).expect("the path is free");
    talk(ListenOptions::fd(listener.into()), ConnectOptions::path(&path.0), Address::Path(path.0.clone()));
}

// Node: test-net-server-listen-path
#[test]
fn everybody_may_be_let_in() {
    let (event_loop, env) = new_loop();
    for (readable, writable, bits) in [(true, false, 0o444), (false, true, 0o222), (true, true, 0o666)] {
        let path = TempPath::new("modes");
        let server = Server::new(&env, ServerOptions::default());
        let options = ListenOptions::path(&path.0).readable_by_all(readable).writable_by_all(writable);
        server.listen_with(options, |_, _| {}).expect("the server listens");
        let mode = std::fs::metadata(&path.0).expect("it exists").permissions().mode();
        assert_eq!(mode & bits, bits);
        server.close().expect("it listens");
    }
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-pipe-connect-errors, test-net-listen-error
#[test]
fn a_path_that_cannot_be_bound_is_refused_and_left_alone() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let path = TempPath::new("taken");
    let _taken = UnixListener::bind(&path.0).expect("the path is free");
    let server = Server::new(&env, ServerOptions::default());
    let refused = server
        .listen(ListenOptions::path(&path.0), Host::new(&log, |_| {}).telling_drop())
        .expect_err("the path is taken");
    let expected = format!("{}: Address already in use (EADDRINUSE)", path.0.display());
    assert!(refused.to_string().ends_with(&expected), "{refused}");
    assert!(path.0.exists(), "it belongs to another process");
    let missing = path.0.join("no/such/folder");
    server.listen_with(ListenOptions::path(missing), |_, _| {}).expect_err("there is no such folder");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server dropped"]);
}

#[test]
fn a_file_that_took_the_place_of_the_servers_stays() {
    let (event_loop, env) = new_loop();
    let path = TempPath::new("successor");
    let server = Server::new(&env, ServerOptions::default());
    server.listen_with(ListenOptions::path(&path.0), |_, _| {}).expect("the server listens");
    std::fs::remove_file(&path.0).expect("the server's file");
    let _successor = UnixListener::bind(&path.0).expect("the path is free");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
    std::os::unix::net::UnixStream::connect(&path.0).expect("the successor's file is there");
}

#[test]
fn the_error_says_that_a_socket_file_is_left_over() {
    let (event_loop, env) = new_loop();
    let path = TempPath::new("left-over");
    drop(UnixListener::bind(&path.0).expect("the path is free"));
    let server = Server::new(&env, ServerOptions::default());
    let error =
        server.listen_with(ListenOptions::path(&path.0), |_, _| {}).expect_err("a file is in the way");
    assert!(error.to_string().contains("nothing listens on this socket file"), "{error}");
    run_to_the_end(&event_loop, &env);
}
