//! The drain of a listener, and connections that it refuses before there is a handle for them.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use uv_core::socket::{PipeName, SocketName};
use uv_core::upcall::AcceptUpcall;
use uv_core::{Errno, Pipe, Result, Stream};

type OnConnection = Box<dyn FnMut(&Stream)>;

/// Logs what a listener is told, and does with its connections what the test says.
struct Gate {
    log: Log,
    on_connection: OnConnection,
}

impl Gate {
    fn new(log: &Log, on_connection: impl FnMut(&Stream) + 'static) -> Self {
        Self { log: log.clone(), on_connection: Box::new(on_connection) }
    }
}

impl AcceptUpcall for Gate {
    fn on_connection(&mut self, listener: &Stream, status: Result<()>) {
        status.expect("nothing is lacking");
        self.log.add("connection");
        (self.on_connection)(listener);
    }

    fn on_drained(&mut self, _: &Stream) {
        self.log.add("drained");
    }

    fn on_close(&mut self, _: &Stream) {
        self.log.add("close");
    }
}

fn take(listener: &Stream) {
    listener.accept().expect("it was announced").close();
}

fn visitors(addr: std::net::SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(addr).expect("it listens")).collect()
}

#[test]
fn a_drain_accepts_what_waits_and_reports_its_end_from_the_loop() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, addr) = bound(&event_loop);
    server.listen(16, Gate::new(&log, take)).expect("listen");
    let _visitors = visitors(addr, 3);
    server.drain().expect("it listens");
    assert_eq!(log.take(), Vec::<String>::new(), "no upcall from a downcall");
    event_loop.until(|| log.has("drained"));
    assert_eq!(log.take(), ["connection", "connection", "connection", "drained"]);
    for _ in 0..3 {
        event_loop.turn();
    }
    assert_eq!(log.take(), Vec::<String>::new(), "once");
    // With nothing to accept the answer comes, too, and the listener goes on afterwards.
    server.drain().expect("it listens");
    event_loop.until(|| log.has("drained"));
    let _another = visitors(addr, 1);
    event_loop.until(|| log.has("connection"));
    assert_eq!(log.take(), ["drained", "connection"]);
    event_loop.close_and_finish();
}

#[test]
fn a_drain_waits_for_a_connection_that_is_not_taken() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, addr) = bound(&event_loop);
    server.listen(16, Gate::new(&log, |_| {})).expect("listen");
    let _visitors = visitors(addr, 2);
    event_loop.until(|| log.has("connection"));
    server.drain().expect("it listens");
    for _ in 0..3 {
        event_loop.turn();
    }
    assert_eq!(log.take(), ["connection"]);
    take(&server);
    event_loop.until(|| log.has("connection"));
    take(&server);
    event_loop.until(|| log.has("drained"));
    event_loop.close_and_finish();
}

#[test]
fn a_close_ends_a_drain_without_a_call() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, _) = bound(&event_loop);
    assert_eq!(errno(server.drain()), Errno::EINVAL, "it does not listen");
    server.listen(16, Gate::new(&log, take)).expect("listen");
    server.drain().expect("it listens");
    server.close();
    assert_eq!(errno(server.drain()), Errno::EINVAL, "it listens no more");
    event_loop.finish();
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn a_close_in_the_last_connection_of_a_drain_ends_it_without_a_call() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, addr) = bound(&event_loop);
    let gate = |listener: &Stream| {
        take(listener);
        listener.close();
    };
    server.listen(16, Gate::new(&log, gate)).expect("listen");
    let _visitors = visitors(addr, 1);
    server.drain().expect("it listens");
    event_loop.finish();
    assert_eq!(log.take(), ["connection", "close"]);
}

#[test]
fn refused_connections_are_closed_and_do_not_count_in_the_batch() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, addr) = bound(&event_loop);
    let count = Cell::new(0);
    let gate = move |listener: &Stream| {
        count.set(count.get() + 1);
        if count.get() <= 3 {
            listener.refuse().expect("it was announced");
            assert_eq!(errno(listener.accept()), Errno::EAGAIN);
            assert_eq!(errno(listener.refuse()), Errno::EAGAIN);
        } else {
            take(listener);
        }
    };
    server.listen(16, Gate::new(&log, gate)).expect("listen");
    let mut visitors = visitors(addr, 5);
    event_loop.turn();
    assert_eq!(log.take(), ["connection"; 4], "a batch of one, and three that were refused");
    event_loop.turn();
    assert_eq!(log.take(), ["connection"]);
    for visitor in &mut visitors[..3] {
        assert_eq!(visitor.read(&mut [0]).expect("a FIN"), 0);
    }
    event_loop.close_and_finish();
}

#[test]
fn a_flood_of_refused_connections_has_a_bounded_share_of_each_turn() {
    let event_loop = test_loop();
    let log = Log::new();
    let (server, addr) = bound(&event_loop);
    server
        .listen(256, Gate::new(&log, |listener| listener.refuse().expect("it was announced")))
        .expect("listen");
    let _visitors = visitors(addr, 150);
    event_loop.turn();
    assert_eq!(log.take().len(), 65);
    event_loop.turn();
    assert_eq!(log.take().len(), 65);
    event_loop.until(|| log.count("connection") == 20);
    event_loop.close_and_finish();
}

#[test]
fn the_names_of_an_announced_connection_are_known_before_it_has_a_handle() {
    let event_loop = test_loop();
    let (server, addr) = bound(&event_loop);
    let names = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&names);
    let look = move |listener: &Stream| {
        let both = listener.with_announced(|fd| [SocketName::of(fd), SocketName::of_peer(fd)]);
        seen.borrow_mut().extend(both.expect("it was announced"));
        take(listener);
    };
    server.listen(16, Gate::new(&Log::new(), look)).expect("listen");
    assert!(server.with_announced(|_| ()).is_none());
    let visitor = TcpStream::connect(addr).expect("it listens");
    event_loop.until(|| !names.borrow().is_empty());
    let peer = visitor.local_addr().expect("an address");
    assert_eq!(names.take(), [Ok(SocketName::Inet(addr)), Ok(SocketName::Inet(peer))]);
    event_loop.close_and_finish();
}

#[test]
fn a_listener_that_is_closed_while_a_connection_is_lent_closes_that_too() {
    let event_loop = test_loop();
    let path = socket_path();
    let pipe = Pipe::new(&event_loop);
    pipe.bind(path.path()).expect("bind");
    let log = Log::new();
    let close = |listener: &Stream| {
        let name = listener.with_announced(|fd| {
            listener.close();
            SocketName::of_peer(fd)
        });
        assert_eq!(name, Some(Ok(SocketName::Unix(PipeName::Unnamed))));
        assert_eq!(errno(listener.accept()), Errno::EAGAIN);
    };
    pipe.listen(16, Gate::new(&log, close)).expect("listen");
    let mut visitor = UnixStream::connect(path.path()).expect("it listens");
    event_loop.finish();
    assert_eq!(visitor.read(&mut [0]).expect("the end"), 0);
    assert_eq!(log.take(), ["connection", "close"]);
}
