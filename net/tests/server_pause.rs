//! A paused server leaves connections to the kernel.

mod common;

use common::{Host, Log, Peer, anywhere, new_loop, port_of, run_to_the_end};
use net::uv_core::Check;
use net::{Server, ServerOptions, Socket};
use std::cell::Cell;
use std::io::Read;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

/// Answers each connection, and closes the server after the third.
fn host(log: &Log, server: &Server) -> Host {
    let (theirs, me, served) = (log.clone(), server.clone(), Cell::new(0));
    let answer = move |socket: Socket| {
        theirs.push("connection");
        Peer::new("here", &theirs).attach(&socket);
        socket.write(b"!").expect("it is open");
        socket.destroy_soon();
        served.set(served.get() + 1);
        if served.get() == 3 {
            // Fails if the server is shutting down, and has closed by itself.
            let _ = me.close();
        }
    };
    Host::new(log, answer)
}

fn visitors(server: &Server) -> Vec<TcpStream> {
    (0..3).map(|_| TcpStream::connect(port_of(server)).expect("it listens")).collect()
}

fn are_answered(visitors: Vec<TcpStream>) -> bool {
    visitors.into_iter().all(|mut visitor| matches!(visitor.read(&mut [0]), Ok(1)))
}

#[test]
fn connections_wait_until_a_paused_server_goes_on() {
    for is_early in [true, false] {
        let (event_loop, env) = new_loop();
        let (log, turns) = (Log::default(), Rc::new(Cell::new(0)));
        let server = Server::new(&env, ServerOptions::default());
        if is_early {
            server.pause();
        }
        server.listen(anywhere(), host(&log, &server)).expect("the server listens");
        server.pause();
        let visitors = visitors(&server);
        assert!(server.is_paused() && server.is_listening());
        let (check, count) = (Check::new(&event_loop), Rc::clone(&turns));
        check.start(move |_: &Check| count.set(count.get() + 1)).expect("it is open");
        let (me, told) = (server.clone(), log.clone());
        env.set_timeout(Duration::from_millis(30), move || {
            assert_eq!(told.count("connection"), 0);
            assert!(turns.get() < 10, "the loop spins: {} turns", turns.get());
            check.close();
            me.resume();
            me.resume();
            assert_eq!(told.count("connection"), 0, "no upcall from a downcall");
        });
        run_to_the_end(&event_loop, &env);
        assert!(are_answered(visitors) && !server.is_paused());
        assert_eq!(log.count("connection"), 3);
    }
}

#[test]
fn a_paused_server_takes_those_that_wait_when_it_is_shut_down() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    server.listen(anywhere(), host(&log, &server)).expect("the server listens");
    server.pause();
    let visitors = visitors(&server);
    server.shutdown().expect("it listens");
    run_to_the_end(&event_loop, &env);
    assert!(are_answered(visitors));
}

#[test]
fn a_server_may_pause_and_close_from_within_on_connection() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = Server::new(&env, ServerOptions::default());
    let (theirs, me) = (log.clone(), server.clone());
    let host = Host::new(&log, move |socket| {
        theirs.push("connection");
        Peer::new("here", &theirs).attach(&socket);
        socket.destroy();
        me.pause();
        let closing = me.clone();
        me.environment().set_timeout(Duration::from_millis(5), move || closing.close().expect("it listens"));
    });
    server.listen(anywhere(), host).expect("the server listens");
    let visitors = visitors(&server);
    run_to_the_end(&event_loop, &env);
    // The batch of the turn ends with the pause.
    assert_eq!((log.count("connection"), log.count("server close")), (1, 1));
    drop(visitors);
}
