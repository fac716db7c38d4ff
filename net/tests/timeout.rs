//! The inactivity timeout.

mod common;

use common::{Log, Peer, TempPath, connection, new_loop, run_to_the_end, serve_one, to};
use net::uv_core;
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(10);
/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(3600);

fn silent() -> Peer {
    Peer::new("here", &Log::default())
}

// Node: test-net-socket-timeout, test-net-settimeout
#[test]
fn a_timeout_is_told_and_the_socket_stays_open() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log)
        .on("connect", |socket| {
            socket.set_timeout(LONG);
            socket.set_timeout(SHORT);
        })
        .on("timeout", |socket| {
            assert!(!socket.is_destroyed());
            socket.end_with(b"still open").expect("it is open");
        });
    connection(&env, ServerOptions::default(), Peer::new("here", &log), there);
    run_to_the_end(&event_loop, &env);
    assert!(log.has("there timeout") && log.has("here data still open"), "{:?}", log.take());
}

// Node: `_onTimeout` emits once and is armed again by activity
#[test]
fn each_silence_times_out_once() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let again = env.clone();
    let there = Peer::new("there", &log).on("connect", |socket| socket.set_timeout(SHORT)).on(
        "timeout",
        move |socket| {
            let late = socket.clone();
            // Long after further timeouts would have fired.
            again.set_timeout(10 * SHORT, move || match late.bytes_written() {
                0 => drop(late.write(b"x")),
                _ => late.destroy(),
            });
        },
    );
    connection(&env, ServerOptions::default(), silent(), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there timeout", "there timeout", "there close"]);
}

// Node: test-net-can-reset-timeout
#[test]
fn zero_turns_it_off_even_in_the_last_moment() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (off, later) = (env.clone(), env.clone());
    let there = Peer::new("there", &log).on("connect", move |socket| {
        socket.set_timeout(SHORT);
        let (early, late) = (socket.clone(), socket.clone());
        off.set_timeout(SHORT, move || early.set_timeout(Duration::ZERO));
        later.set_timeout(10 * SHORT, move || late.destroy());
        // Both are due in the same turn: the socket's timer fires first, and would be reported in the next turn.
        std::thread::sleep(2 * SHORT);
    });
    connection(&env, ServerOptions::default(), silent(), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there close"]);
}

// Node: test-net-socket-timeout-unref
#[test]
fn a_timeout_does_not_keep_the_loop_alive() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log).on("connect", |socket| socket.set_timeout(LONG));
    let server = serve_one(&env, ServerOptions::default(), |socket| {
        silent().attach(&socket);
        socket.unref();
    });
    let there = there.connect(&env, to(&server));
    there.unref();
    assert!(!env.run(uv_core::RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["there connect"]);
    there.destroy();
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there close"]);
}

// Node: test-net-timeout-no-handle, test-net-socket-timeout
#[test]
fn a_destroyed_socket_does_not_time_out() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let (destroying, later) = (env.clone(), env.clone());
    let there = Peer::new("there", &log).on("connect", move |socket| {
        socket.set_timeout(SHORT);
        let victim = socket.clone();
        destroying.set_timeout(SHORT, move || victim.destroy());
        later.set_timeout(5 * SHORT, || {});
        // Both are due in the same turn, as above.
        std::thread::sleep(2 * SHORT);
    });
    connection(&env, ServerOptions::default(), silent(), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there close"]);
}

#[test]
fn a_socket_that_still_connects_may_time_out() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    // A listener whose loop never runs: the kernel queues one connection for it, and no second one.
    let (elsewhere, other) = new_loop();
    let server = Server::new(&other, ServerOptions::default());
    server.listen_with(common::anywhere().backlog(0), |_, _| {}).expect("the server listens");
    let _first = std::net::TcpStream::connect(common::port_of(&server)).expect("the only one");
    let there = Peer::new("there", &log).on("timeout", |socket| {
        assert_eq!(socket.ready_state(), net::ReadyState::Opening);
        socket.destroy();
    });
    there.connect(&env, to(&server).timeout(SHORT));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there timeout", "there close"]);
    server.close().expect("it listens");
    common::close(&elsewhere, &other);
}

// The loop runs timers before it polls the network: input that arrived in time is read first all the same.
#[test]
fn a_connection_that_stood_in_time_does_not_time_out_in_a_late_loop() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let server = serve_one(&env, ServerOptions::default(), |socket| silent().attach(&socket));
    let there = Peer::new("there", &log).on("connect", Socket::end);
    there.connect(&env, to(&server).timeout(SHORT));
    std::thread::sleep(2 * SHORT);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there finish", "there end", "there close"]);
}

#[test]
fn what_came_in_time_is_read_before_a_late_loop_judges_the_silence() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let path = TempPath::new("late");
    let server = Server::new(&env, ServerOptions::default());
    let noted = log.clone();
    // Far longer than the pauses between.
    let timeout = 20 * SHORT;
    common::listen_for_one(&server, ListenOptions::path(&path.0), move |socket| {
        let here = Peer::new("here", &noted).on("data", |socket| socket.set_timeout(Duration::ZERO));
        here.attach(&socket);
        socket.set_timeout(timeout);
        socket.write(b"go").expect("it is open");
    });
    let there = Peer::new("there", &Log::default()).on_bytes(move |socket, _| {
        // Runs in the poll phase: the timers are next.
        socket.write(b"in time").expect("it is open");
        std::thread::sleep(2 * timeout);
        socket.end();
    });
    there.connect(&env, ConnectOptions::path(&path.0));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here data in time", "here end", "here finish", "here close"]);
}

// The loop's time stands still while callbacks run: a write at the end of a slow callback is later than that time.
#[test]
fn a_write_at_the_end_of_a_slow_callback_begins_a_new_silence() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let timeout = 20 * SHORT;
    let noted = log.clone();
    let there = Peer::new("there", &log)
        .on("connect", move |socket| {
            socket.set_timeout(timeout);
            let (clock, late) = (socket.environment().clone(), socket.clone());
            let noted = noted.clone();
            clock.clone().set_timeout(Duration::ZERO, move || {
                std::thread::sleep(timeout - SHORT);
                late.write(b"x").expect("it is open");
                // After the timeout that began with the connection, and far before the timeout of this write.
                clock.set_timeout(2 * SHORT, move || noted.push("still waiting"));
            });
        })
        .on("timeout", Socket::destroy);
    let here = Peer::new("here", &Log::default()).on_bytes(|_, _| {});
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "still waiting", "there timeout", "there close"]);
}

// The timer checks for activity only when it fires: it finds activity and waits for the rest.
#[test]
fn activity_puts_the_timeout_off() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let beats = Rc::new(Cell::new(0));
    let (count, clock, noted) = (Rc::clone(&beats), env.clone(), log.clone());
    let there = Peer::new("there", &log)
        .on("connect", move |socket| {
            let (beating, count, noted) = (socket.clone(), Rc::clone(&count), noted.clone());
            // Started before the socket's own timer, so that it fires first if both are late.
            let timer = Rc::new(Cell::new(None::<async_wrap::Timeout>));
            let own = Rc::clone(&timer);
            let interval = clock.set_interval(SHORT, move || {
                count.set(count.get() + 1);
                beating.write(b"x").expect("it is open");
                if count.get() == 10 {
                    noted.push("last beat");
                    own.take().expect("it runs").clear();
                }
            });
            timer.set(Some(interval));
            socket.set_timeout(4 * SHORT);
        })
        .on("timeout", Socket::destroy);
    let here = Peer::new("here", &Log::default()).on_bytes(|_, _| {});
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "last beat", "there timeout", "there close"]);
}

// Node: sequential/test-http-keep-alive-large-write
#[test]
fn a_slow_write_that_makes_progress_does_not_time_out() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let path = TempPath::new("progress");
    let server = Server::new(&env, ServerOptions::default());
    // Reads a part, and then no more.
    common::listen_for_one(&server, ListenOptions::path(&path.0), |socket| {
        let here = Peer::new("here", &Log::default());
        let here = here.on_bytes(|socket, _| {
            if socket.bytes_read() > 1024 * 1024 {
                socket.pause();
            }
        });
        here.attach(&socket);
        // Long after all other events.
        let late = socket.clone();
        socket.environment().set_timeout(60 * SHORT, move || late.destroy());
    });
    let (clock, noted) = (env.clone(), log.clone());
    let there = Peer::new("there", &log)
        .on("connect", move |socket| {
            assert!(!socket.write(&vec![b'x'; 8 * 1024 * 1024]).expect("it is open"));
            socket.set_timeout(20 * SHORT);
            // After the first time that the timer fires, before the second.
            let noted = noted.clone();
            clock.set_timeout(30 * SHORT, move || noted.push("half time"));
        })
        .on("timeout", Socket::destroy);
    there.connect(&env, ConnectOptions::path(&path.0));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "half time", "there timeout", "there close"]);
}
