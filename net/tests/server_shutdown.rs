//! How a server shuts down: without losing a connection that the kernel has completed.

mod common;

use async_wrap::Environment;
use common::{Host, Log, Peer, TempPath, anywhere, new_loop, port_of, run_to_the_end};
use net::uv_core::RunMode;
use net::{ListenOptions, Server, ServerOptions, Socket};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::thread;
use std::time::Duration;

/// Connections that the kernel has completed and no process has accepted, each with a byte of input.
fn waiting(addr: SocketAddr, count: usize) -> Vec<TcpStream> {
    let waiting = (0..count).map(|_| TcpStream::connect(addr).expect("the kernel takes it"));
    waiting.inspect(|mut peer| peer.write_all(b"?").expect("it is open")).collect()
}

/// Returns how many of them get an answer.
fn answered(waiting: Vec<TcpStream>) -> usize {
    waiting.into_iter().filter(|mut peer| matches!(peer.read(&mut [0]), Ok(1))).count()
}

/// A server that answers, with this backlog.
fn answering(env: &Environment, log: &Log, backlog: u32) -> Server {
    answering_on(env, log, anywhere().backlog(backlog))
}

fn answering_on(env: &Environment, log: &Log, options: ListenOptions) -> Server {
    let server = Server::new(env, ServerOptions::default());
    let theirs = log.clone();
    let host = Host::new(log, move |socket| {
        let answer = |socket: &Socket, _: &[u8]| {
            socket.write(b"!").expect("it is open");
            socket.destroy_soon();
        };
        Peer::new("here", &theirs).on_bytes(answer).attach(&socket);
    });
    server.listen(options, host).expect("the server listens");
    server
}

// Node resets them: nodejs/node issue 10194
#[test]
fn a_shutdown_takes_the_connections_that_wait_in_the_kernel_and_closes_then() {
    for calls in ["before the loop runs", "from a tick", "from an immediate"] {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let server = answering(&env, &log, 200);
        let waiting = waiting(port_of(&server), 100);
        let (me, told) = (server.clone(), log.clone());
        let shut_down = move || {
            me.shutdown().expect("it listens");
            me.shutdown().expect_err("once");
            assert!(!me.is_listening() && me.address().is_none());
            me.shutdown_with(move || told.push("closed")).expect("it is being shut down");
        };
        match calls {
            "from a tick" => env.next_tick(shut_down),
            "from an immediate" => drop(env.set_immediate(shut_down)),
            _ => shut_down(),
        }
        assert_eq!(log.count("server connection"), 0, "no upcall from a downcall");
        let begun = event_loop.now();
        run_to_the_end(&event_loop, &env);
        // The wait for memory, which lasts up to 5 s, is over when the kernel has no connection left.
        assert!(
            event_loop.now() - begun < Duration::from_secs(4),
            "the server does not notice the end of the queue"
        );
        assert_eq!(answered(waiting), 100, "{calls}");
        let log = log.take();
        assert_eq!(&log[log.len() - 2..], ["server close", "closed"]);
        assert_eq!(log.iter().filter(|entry| *entry == "here close").count(), 100);
    }
}

#[test]
fn all_who_ask_are_told_of_the_end_of_a_shutdown_although_one_panics() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = answering(&env, &log, 4);
    for word in ["first", "second", "third"] {
        let told = log.clone();
        let on_closed = move || {
            told.push(word);
            if word == "second" {
                resume_unwind(Box::new("on purpose"));
            }
        };
        server.shutdown_with(on_closed).expect("it listens, or is being shut down");
    }
    std::panic::catch_unwind(AssertUnwindSafe(|| env.run(RunMode::Default))).expect_err("the second panics");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["server close", "first", "second", "third"]);
}

#[test]
fn a_shutdown_takes_no_more_than_the_kernel_holds_at_once() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = answering(&env, &log, 4);
    let addr = port_of(&server);
    let first = waiting(addr, 5);
    server.shutdown().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(answered(first), 5);
    TcpStream::connect(addr).expect_err("no process listens");
}

#[test]
fn a_server_may_listen_at_the_same_address_while_it_is_shut_down() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = answering(&env, &log, 4);
    let addr = port_of(&server);
    server.shutdown().expect("it listens");
    server.listen(ListenOptions::addr(addr), Host::new(&log, |_| {})).expect("the address is free");
    server.close().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.count("server close"), 2);
}

/// Visits until the server is closed. Returns how many connections had no answer.
fn unanswered<S: Read + Write>(connect: impl Fn() -> io::Result<S>) -> usize {
    let mut unanswered = 0;
    while let Ok(mut visitor) = connect() {
        let answer = visitor.write_all(b"?").and_then(|()| visitor.read_exact(&mut [0]));
        unanswered += usize::from(answer.is_err());
    }
    unanswered
}

/// Shuts the server down while twelve clients connect one time after the other.
fn none_is_reset<S: Read + Write>(
    env: &Environment,
    server: &Server,
    connect: impl Fn() -> io::Result<S> + Clone + Send + 'static,
) {
    let clients: Vec<_> = (0..12).map(|_| connect.clone()).collect();
    let clients: Vec<_> =
        clients.into_iter().map(|connect| thread::spawn(move || unanswered(connect))).collect();
    let me = server.clone();
    env.set_timeout(Duration::from_millis(50), move || me.shutdown().expect("it listens"));
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    let unanswered: Vec<_> =
        clients.into_iter().map(|client| client.join().expect("it does not panic")).collect();
    assert_eq!(unanswered, [0; 12]);
}

#[test]
fn no_client_is_reset_that_connects_while_the_server_is_shut_down() {
    for _ in 0..3 {
        let (event_loop, env) = new_loop();
        let server = answering(&env, &Log::default(), 511);
        let addr = port_of(&server);
        // The kernel ignores the last SYN of each.
        none_is_reset(&env, &server, move || TcpStream::connect_timeout(&addr, Duration::from_millis(100)));
        run_to_the_end(&event_loop, &env);
    }
}

#[test]
fn no_client_of_a_unix_socket_is_reset_that_connects_while_the_server_is_shut_down() {
    for round in 0..3 {
        let (event_loop, env) = new_loop();
        let path = TempPath::new(&format!("shutdown-{round}"));
        let log = Log::default();
        let server = answering_on(&env, &log, ListenOptions::path(&path.0));
        let there = path.0.clone();
        none_is_reset(&env, &server, move || UnixStream::connect(&there));
        run_to_the_end(&event_loop, &env);
        let log = log.take();
        assert!(!log.iter().any(|entry| entry.starts_with("server error")), "{log:?}");
    }
}

#[test]
fn a_close_cuts_a_shutdown_short() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = answering(&env, &log, 4);
    let waiting = waiting(port_of(&server), 2);
    server.shutdown().expect("it listens");
    let told = log.clone();
    server.close_with(move || told.push("closed")).expect("it is being shut down");
    server.close().expect_err("it is closed");
    run_to_the_end(&event_loop, &env);
    assert_eq!((answered(waiting), log.take()), (0, vec!["server close".to_owned(), "closed".to_owned()]));
}

#[test]
fn an_adopted_socket_goes_on_for_its_other_owners_after_a_shutdown() {
    let (event_loop, env) = new_loop();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let addr = listener.local_addr().expect("it has an address");
    let copy = listener.try_clone().expect("a descriptor is free");
    let server = answering_on(&env, &Log::default(), ListenOptions::fd(copy.into()));
    let first = waiting(addr, 3);
    server.shutdown().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert_eq!(answered(first), 3);
    let _later = TcpStream::connect_timeout(&addr, Duration::from_secs(5)).expect("it still listens");
}
