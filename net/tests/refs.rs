//! Which handles keep the loop alive.

mod common;

use common::{Log, Peer, anywhere, new_loop, run_to_the_end, serve_one, to};
use net::uv_core::RunMode;
use net::{Server, ServerOptions, Socket};

// Node: test-net-server-unref, test-net-server-unref-persistent, test-net-persistent-ref-unref
#[test]
fn an_unreferenced_server_lets_the_loop_end_also_if_it_was_so_before_it_listened() {
    let (event_loop, env) = new_loop();
    for before in [true, false] {
        let server = Server::new(&env, ServerOptions::default());
        if before {
            server.unref();
        }
        server.listen_with(anywhere(), |_, _| {}).expect("the server listens");
        if !before {
            server.unref();
        }
        assert!(!env.run(RunMode::Default).expect("the loop runs"));
        server.ref_();
        assert!(env.run(RunMode::NoWait).expect("the loop runs"), "alive again");
        server.close().expect("it listens");
    }
    run_to_the_end(&event_loop, &env);
}

// Node: test-net-server-unref
#[test]
fn connections_of_an_unreferenced_server_keep_the_loop_alive_by_themselves() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let noted = log.clone();
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        Peer::new("here", &noted).attach(&socket);
    });
    server.unref();
    Peer::new("there", &log)
        .on("connect", |socket| socket.end_with(b"hello").expect("open"))
        .connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert!(log.has("here data hello") && log.has("here close"), "{:?}", log.take());
}

// Node: test-net-connect-unref, test-net-persistent-ref-unref, test-net-socket-unref
#[test]
fn unreferenced_connections_let_the_loop_end() {
    let (event_loop, env) = new_loop();
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        Peer::new("here", &Log::default()).on("end", Socket::destroy).attach(&socket);
        socket.unref();
    });
    let there = Peer::new("there", &Log::default()).connect(&env, to(&server));
    there.unref();
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    assert!(!there.is_destroyed());
    there.ref_();
    assert!(env.run(RunMode::NoWait).expect("the loop runs"), "alive again");
    there.end();
    run_to_the_end(&event_loop, &env);
    assert!(there.is_destroyed());
}
