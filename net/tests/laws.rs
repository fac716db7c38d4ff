//! The laws of upcalls: which code calls which, which value owns which, and that nothing leaks.

mod common;

use async_wrap::Environment;
use common::{Host, Log, Peer, anywhere, connection, new_loop, port_of, run_to_a_panic, run_to_the_end, to};
use net::upcall::{ServerHandler, SocketHandler};
use net::uv_core;
use net::uv_core::RunMode;
use net::{Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

/// Asserts that calls do not nest, and counts its drops.
struct Guarded {
    inside: Rc<Cell<bool>>,
    dropped: Rc<Cell<usize>>,
    step: usize,
}

impl Guarded {
    fn enter(&mut self, socket: &Socket) {
        assert!(!self.inside.replace(true), "upcalls nest");
        self.step += 1;
        // Every method that a program may call inside of an upcall.
        socket.pause();
        socket.resume();
        socket.notify();
        socket.set_timeout(Duration::from_millis(1));
        let _ = socket.write(b"x");
        let _ = (socket.local_address(), socket.remote_address(), format!("{socket:?}"));
        match self.step {
            4 => socket.end(),
            8 => socket.destroy_soon(),
            12 => socket.destroy(),
            _ => {}
        }
        self.inside.set(false);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
    }
}

impl SocketHandler for Guarded {
    fn on_data(&mut self, socket: &Socket, _: &[u8]) {
        self.enter(socket);
    }
    fn on_connect(&mut self, socket: &Socket) {
        self.enter(socket);
    }
    fn on_end(&mut self, socket: &Socket) {
        self.enter(socket);
    }
    fn on_drain(&mut self, socket: &Socket) {
        self.enter(socket);
    }
    fn on_finish(&mut self, socket: &Socket) {
        self.enter(socket);
    }
    fn on_timeout(&mut self, socket: &Socket) {
        self.enter(socket);
    }
    fn on_notify(&mut self, socket: &Socket) {
        self.enter(socket);
    }
    fn on_close(&mut self, socket: &Socket, _: bool) {
        self.enter(socket);
    }
}

#[test]
fn upcalls_never_nest_and_towers_are_dropped_exactly_once() {
    let (event_loop, env) = new_loop();
    let (inside, dropped) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let server = Server::new(&env, ServerOptions::default().allow_half_open(true));
    let (flag, count, served) = (Rc::clone(&inside), Rc::clone(&dropped), Cell::new(0));
    let handler = move |server: &Server, socket: Socket| {
        assert!(!flag.get(), "upcalls nest");
        let (inside, dropped) = (Rc::clone(&flag), Rc::clone(&count));
        socket.set_handler(Guarded { inside, dropped, step: 0 });
        socket.notify();
        served.set(served.get() + 1);
        if served.get() == 20 {
            server.close().expect("it listens");
        }
    };
    server.listen(anywhere(), handler).expect("the server listens");
    for _ in 0..20 {
        let end = Peer::new("there", &Log::default()).on_bytes(|_, _| {}).on("connect", |socket| {
            socket.write(b"hello").expect("it is open");
        });
        end.connect(&env, to(&server));
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(dropped.get(), 20);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_handler_replaced_in_its_own_call_takes_over_after_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let noted = log.clone();
    let here = Peer::new("first", &log).telling_drop().on("data", move |socket| {
        Peer::new("second", &noted).telling_drop().attach(socket);
        noted.push("replaced");
    });
    let there = Peer::new("there", &Log::default()).on("connect", |socket| {
        socket.end_with(b"one").expect("it is open");
    });
    connection(&env, ServerOptions::default(), here, there);
    run_to_the_end(&event_loop, &env);
    let expected = [
        "first data one",
        "replaced",
        "first dropped",
        "second end",
        "second finish",
        "second close",
        "second dropped",
    ];
    assert_eq!(log.take(), expected);
}

// Each report looks for the handler again: law 3.
#[test]
fn pending_reports_go_to_the_new_handler_and_to_none_after_destroy() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    for replaces in [true, false] {
        let noted = log.clone();
        let there = Peer::new("first", &log)
            .on("connect", |socket| {
                socket.stream().shutdown().expect("it is open");
                // Makes a finish pending, because there is no connection to end, and a notify.
                socket.end();
                socket.notify();
            })
            .on("finish", move |socket| match replaces {
                true => Peer::new("second", &noted).attach(socket),
                false => socket.destroy(),
            });
        connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("second notify"), log.count("first notify")), (1, 0));
    assert_eq!((log.count("second close"), log.count("first close")), (1, 1));
}

#[test]
fn several_notifies_make_one_call_and_none_after_destroy() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let there = Peer::new("there", &log)
        .on("connect", |socket| {
            socket.notify();
            socket.notify();
        })
        .on("notify", |socket| {
            socket.notify();
            socket.destroy();
        });
    connection(&env, ServerOptions::default(), Peer::new("here", &Log::default()), there);
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["there connect", "there notify", "there close"]);
}

// Node: socket.release() has no counterpart; http hands sockets over with it (Upgrade)
#[test]
fn a_socket_that_is_given_up_is_destroyed_unless_somebody_takes_it() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    for taken in [true, false] {
        let noted = log.clone();
        let here = Peer::new("first", &log).telling_drop().on("data", move |socket| {
            socket.release();
            if taken {
                Peer::new("second", &noted).attach(socket);
            }
            socket.destroy_unless_handled();
            assert_eq!(socket.is_destroyed(), !taken);
        });
        let there =
            Peer::new("there", &Log::default()).on("connect", |socket| socket.end_with(b"x").expect("open"));
        connection(&env, ServerOptions::default(), here, there);
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!((log.count("first dropped"), log.count("first close"), log.count("second close")), (2, 0, 1));
}

#[test]
fn a_panic_in_any_upcall_leaves_loop_and_server_usable() {
    for event in ["connect", "data", "end", "drain", "finish", "timeout", "notify", "error", "close"] {
        let (event_loop, env) = new_loop();
        let log = Log::default();
        let there = Peer::new("there", &log)
            .on("connect", move |socket| {
                socket.notify();
                match event {
                    "drain" => drop(socket.write(&vec![b'x'; 8 * 1024 * 1024])),
                    "error" => socket.destroy_with(uv_core::Error::new("x", uv_core::Errno::EINVAL).into()),
                    "timeout" => socket.set_timeout(Duration::from_millis(1)),
                    _ => socket.end(),
                }
            })
            .on("drain", |socket| socket.end())
            .on("timeout", |socket| socket.end())
            .on(event, |_| resume_unwind(Box::new("in a handler")));
        let here = Peer::new("here", &Log::default()).on_bytes(|_, _| {});
        let server = common::serve_one(&env, ServerOptions::default(), move |socket| {
            here.attach(&socket);
            socket.write(b"hello").expect("it is open");
        });
        there.connect(&env, to(&server));
        assert_eq!(run_to_a_panic(&env), "in a handler", "{event}");
        run_to_the_end(&event_loop, &env);
        assert_eq!(server.connections(), 0, "{event}");
    }
}

/// A server whose handler keeps the server and every connection: only the end of the loop drops it.
struct Hoarder {
    _server: Server,
    sockets: Vec<Socket>,
    log: Log,
}

impl ServerHandler for Hoarder {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        Peer::new("here", &self.log).telling_drop().attach(&socket);
        self.sockets.push(socket);
        self.log.push("connection");
    }
}

impl Drop for Hoarder {
    fn drop(&mut self) {
        self.log.push("server dropped");
    }
}

fn hoard(env: &Environment, log: &Log) -> Server {
    let server = Server::new(env, ServerOptions::default());
    let handler = Hoarder { _server: server.clone(), sockets: Vec::new(), log: log.clone() };
    server.listen(anywhere(), handler).expect("the server listens");
    server
}

fn turn_until(env: &Environment, log: &Log, event: &str) {
    while !log.has(event) {
        env.run(RunMode::Once).expect("the loop runs");
    }
}

#[test]
fn a_dropped_loop_drops_every_handler_in_every_phase_of_a_server() {
    for phase in ["just listening", "connected", "closing", "closed at once"] {
        let log = Log::default();
        let (event_loop, env) = new_loop();
        let server = hoard(&env, &log);
        let there = Peer::new("there", &log).telling_drop().connect(&env, to(&server));
        if matches!(phase, "connected" | "closing") {
            turn_until(&env, &log, "connection");
        }
        if matches!(phase, "closing" | "closed at once") {
            server.close().expect("it listens");
        }
        log.take();
        drop((event_loop, env));
        let connected = usize::from(matches!(phase, "connected" | "closing"));
        assert_eq!(log.count("server dropped"), 1, "{phase}");
        assert_eq!(log.count("there dropped"), 1, "{phase}");
        assert_eq!(log.count("here dropped"), connected, "{phase}");
        assert_eq!(log.take().len(), 2 + connected, "no handler is called: {phase}");
        drop((server, there));
    }
}

#[test]
fn a_kept_socket_does_not_keep_the_handlers() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let kept = Rc::new(RefCell::new(Vec::new()));
    let server = Server::new(&env, ServerOptions::default());
    let (me, noted, keep) = (server.clone(), log.clone(), Rc::clone(&kept));
    let host = Host::new(&log, move |socket| {
        Peer::new("here", &noted).telling_drop().attach(&socket);
        keep.borrow_mut().push(socket);
        me.close().expect("it listens");
    });
    server.listen(anywhere(), host.telling_drop()).expect("the server listens");
    drop(TcpStream::connect(port_of(&server)).expect("it listens"));
    run_to_the_end(&event_loop, &env);
    assert!(log.has("here dropped") && log.has("server dropped"), "{:?}", log.take());
    assert!(kept.borrow().iter().all(Socket::is_destroyed));
}
