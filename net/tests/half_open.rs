//! One direction ends before the other.

mod common;

use common::{Log, Peer, connection, new_loop, run_to_a_panic, run_to_the_end};
use net::{ErrorCode, ReadyState, ServerOptions};
use std::panic::resume_unwind;

fn half_open() -> ServerOptions {
    ServerOptions::default().allow_half_open(true)
}

fn ending_at_once(log: &Log) -> Peer {
    Peer::new("there", log).on("connect", |socket| socket.end())
}

// Node: test-net-socket-no-halfopen-enforcer, test-net-end-close
#[test]
fn the_peers_fin_ends_this_side_too() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    connection(&env, ServerOptions::default(), Peer::new("here", &log), ending_at_once(&Log::default()));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here end", "here finish", "here close"]);
}

// Node: test-net-allow-half-open
#[test]
fn with_half_open_connections_writing_goes_on_after_the_peers_fin() {
    let (event_loop, env) = new_loop();
    let (log, theirs) = (Log::default(), Log::default());
    let here = Peer::new("here", &log).on("end", |socket| {
        assert_eq!(socket.ready_state(), ReadyState::WriteOnly);
        let late = socket.clone();
        socket.environment().set_timeout(std::time::Duration::from_millis(5), move || {
            assert!(late.write(b"late").expect("it is half open"));
            late.end();
            assert_eq!(late.ready_state(), ReadyState::Closed);
        });
    });
    connection(&env, half_open(), here, ending_at_once(&theirs));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here end", "here finish", "here close"]);
    assert_eq!(
        theirs.take(),
        ["there connect", "there finish", "there data late", "there end", "there close"]
    );
}

// Node: doc of 'end': writing is possible until the automatic end
#[test]
fn inside_on_end_there_is_still_time_to_write() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &Log::default()).on("end", |socket| {
        assert!(socket.is_ended_by_peer());
        socket.write(b"bye").expect("this side is open");
    });
    connection(&env, ServerOptions::default(), here, ending_at_once(&log));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there finish", "there data bye", "there end", "there close"]);
}

// Node: test-net-write-after-end-nt, test-net-writeAfterFIN
#[test]
fn a_write_after_the_peers_fin_says_whose_end_it_was() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &log).on("finish", |socket| {
        let refused = socket.write(b"late").expect_err("the peer ended it");
        assert_eq!(refused.code(), ErrorCode::EndedByPeer);
        assert_eq!(refused.to_string(), "write: this socket has been ended by the other party");
    });
    connection(&env, ServerOptions::default(), here, ending_at_once(&Log::default()));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here end", "here finish", "here close"]);
}

// Node: test-net-write-after-end-nt, test-net-end-destroyed
#[test]
fn a_write_after_our_own_end_says_so() {
    let (event_loop, env) = new_loop();
    let there = Peer::new("there", &Log::default()).on("connect", |socket| {
        socket.end();
        socket.end();
        assert_eq!(socket.ready_state(), ReadyState::ReadOnly);
        let refused = socket.write(b"late").expect_err("it was ended");
        assert_eq!(refused.code(), ErrorCode::WriteAfterEnd);
        assert_eq!(socket.end_with(b"late").expect_err("it was ended").code(), ErrorCode::WriteAfterEnd);
    });
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
}

#[test]
fn both_sides_may_end_at_the_same_time() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = common::serve_one(&env, half_open(), {
        let log = log.clone();
        move |socket| {
            Peer::new("here", &log).attach(&socket);
            socket.end();
        }
    });
    ending_at_once(&log).connect(&env, common::to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("here close"), log.count("there close")), (1, 1));
    assert_eq!((log.count("here end"), log.count("there end")), (1, 1));
}

// Node: a paused stream emits no 'end'
#[test]
fn a_paused_socket_learns_of_the_fin_when_it_is_resumed() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let options = ServerOptions::default().pause_on_connect(true);
    let (noted, later) = (log.clone(), env.clone());
    let server = common::serve_one(&env, options, move |socket| {
        Peer::new("here", &noted).attach(&socket);
        later.set_timeout(std::time::Duration::from_millis(20), move || {
            noted.push("resume");
            socket.resume();
        });
    });
    ending_at_once(&Log::default()).connect(&env, common::to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["resume", "here end", "here finish", "here close"]);
}

#[test]
fn a_panic_in_on_end_does_not_keep_the_connection_open() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &log).on("end", |_| resume_unwind(Box::new("in on_end")));
    connection(&env, ServerOptions::default(), here, ending_at_once(&Log::default()));
    assert_eq!(run_to_a_panic(&env), "in on_end");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here end", "here finish", "here close"]);
}

#[test]
fn a_panic_in_on_finish_does_not_keep_the_connection_open() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &log).on("finish", |_| resume_unwind(Box::new("in on_finish")));
    connection(&env, ServerOptions::default(), here, ending_at_once(&Log::default()));
    assert_eq!(run_to_a_panic(&env), "in on_finish");
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here end", "here finish", "here close"]);
}

// A layer above has shut down the stream directly: there is no connection left to send a FIN on.
#[test]
fn an_end_that_finds_nothing_to_end_still_finishes() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log).on("connect", |socket| {
        socket.stream().shutdown().expect("it is open");
        socket.destroy_soon();
        assert!(!socket.is_destroyed(), "told from the loop, like any other end");
    });
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there finish", "there close"]);
}
