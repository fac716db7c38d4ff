//! Accepted sockets that get their handler after `on_connection`, or never.

mod common;

use common::{Log, Peer, new_loop, run_to_the_end, serve_one, to};
use net::{ServerOptions, Socket};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

// Node: a socket without listeners is not read, and loses nothing
#[test]
fn a_connection_that_is_claimed_in_a_task_or_a_timer_gets_every_byte() {
    for in_a_task in [true, false] {
        let (event_loop, env) = new_loop();
        let (log, theirs, tasks) = (Log::default(), Log::default(), env.clone());
        let noted = log.clone();
        let server = serve_one(&env, ServerOptions::default(), move |socket| {
            let claim = move || {
                Peer::new("here", &noted)
                    .on("data", |socket| socket.end_with(b"back").expect("to end"))
                    .attach(&socket);
            };
            if in_a_task {
                tasks.spawn_local(async move { claim() });
            } else {
                tasks.set_timeout(Duration::from_millis(5), claim);
            }
        });
        Peer::new("there", &theirs)
            .on("connect", |socket| assert!(socket.write(b"abc").expect("to write")))
            .connect(&env, to(&server));
        run_to_the_end(&event_loop, &env);
        assert_eq!(log.take(), ["here data abc", "here finish", "here end", "here close"]);
        assert_eq!(
            theirs.take(),
            ["there connect", "there data back", "there end", "there finish", "there close"]
        );
        assert_eq!(server.connections(), 0);
    }
}

#[test]
fn a_connection_that_is_resumed_before_it_is_claimed_gets_every_byte() {
    let (event_loop, env) = new_loop();
    let (log, theirs, timers) = (Log::default(), Log::default(), env.clone());
    let noted = log.clone();
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        let resumed = socket.clone();
        timers.set_timeout(Duration::from_millis(1), move || resumed.resume());
        let noted = noted.clone();
        timers.set_timeout(Duration::from_millis(5), move || {
            Peer::new("here", &noted).attach(&socket);
        });
    });
    Peer::new("there", &theirs)
        .on("connect", |socket| socket.end_with(b"abc").expect("to write"))
        .connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here data abc", "here end", "here finish", "here close"]);
}

#[test]
fn a_connection_that_is_held_is_closed_with_its_last_handle() {
    let (event_loop, env) = new_loop();
    let (theirs, timers) = (Log::default(), env.clone());
    let counted = Rc::new(RefCell::new(Vec::new()));
    let counts = Rc::clone(&counted);
    let server_handle = Rc::new(RefCell::new(None::<net::Server>));
    let of_timer = Rc::clone(&server_handle);
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        let another = socket.clone();
        timers.clone().set_timeout(Duration::from_millis(1), move || {
            drop(socket);
            assert!(!another.is_destroyed());
            counts.borrow_mut().push(of_timer.borrow().as_ref().map(net::Server::connections));
            timers.set_timeout(Duration::from_millis(1), move || drop(another));
        });
    });
    *server_handle.borrow_mut() = Some(server.clone());
    Peer::new("there", &theirs).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert_eq!(*counted.borrow(), [Some(1)]);
    assert_eq!(server.connections(), 0);
    assert_eq!(theirs.take(), ["there connect", "there end", "there finish", "there close"]);
}

#[test]
fn what_was_written_to_a_held_connection_is_sent_before_it_is_closed() {
    let (event_loop, env) = new_loop();
    let (theirs, timers) = (Log::default(), env.clone());
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        assert!(socket.write(b"busy").expect("to write"));
        timers.set_timeout(Duration::from_millis(1), move || drop(socket));
    });
    Peer::new("there", &theirs).connect(&env, to(&server));
    run_to_the_end(&event_loop, &env);
    assert!(theirs.has("there data busy"));
    assert!(theirs.has("there close"));
}

#[test]
fn a_claim_that_comes_when_the_connection_is_gone_hears_of_it() {
    let (event_loop, env) = new_loop();
    let (log, timers) = (Log::default(), env.clone());
    let held = Rc::new(RefCell::new(None::<Socket>));
    let (keep, noted) = (Rc::clone(&held), log.clone());
    let server = serve_one(&env, ServerOptions::default(), move |socket| {
        *keep.borrow_mut() = Some(socket);
    });
    Peer::new("there", &Log::default())
        .on("connect", |socket| socket.reset_and_destroy().expect("it is open"))
        .connect(&env, to(&server));
    let (listening, own) = (server, Rc::new(RefCell::new(None::<async_wrap::Timeout>)));
    let own_timer = Rc::clone(&own);
    let interval = timers.set_interval(Duration::from_millis(1), move || {
        let is_gone =
            held.borrow().as_ref().is_some_and(Socket::is_destroyed) && listening.connections() == 0;
        if is_gone && let Some(socket) = held.take() {
            Peer::new("here", &noted).attach(&socket);
            own_timer.take().expect("it runs").clear();
        }
    });
    *own.borrow_mut() = Some(interval);
    run_to_the_end(&event_loop, &env);
    let reset = "here error read: Connection reset by peer (ECONNRESET)";
    assert_eq!(log.take(), [reset, "here close after an error"]);
}
