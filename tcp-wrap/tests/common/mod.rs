//! Helpers of this crate's tests: streams whose peer is a standard-library socket, a handler that logs its calls, and an
//! assertion that no handle is left open.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{PipeWrap, StreamWrap, TcpWrap};
use uv_core::{BindOptions, Error, Loop, LoopHandle, Result, RunMode};

/// More bytes than any socket buffer holds.
pub const MUCH: usize = 16 << 20;

pub fn new_loop() -> Loop {
    Loop::new().expect("the system has descriptors left")
}

/// Runs the loop until no handle is alive and asserts that no handle is open.
pub fn run_to_the_end(event_loop: &Loop) {
    assert!(
        !event_loop.run(RunMode::Default).expect("the loop runs"),
        "still alive: {:?}",
        event_loop.handles()
    );
    event_loop.close().expect("nothing is open");
}

pub fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

pub fn bound_tcp(event_loop: &LoopHandle) -> (TcpWrap, SocketAddr) {
    let server = TcpWrap::new(event_loop);
    server.bind(loopback(), BindOptions::default()).expect("a free port");
    let addr = server.local_addr().expect("bound");
    (server, addr)
}

/// A TCP connection: one end in the loop, the other in the test.
pub fn tcp_pair(event_loop: &LoopHandle) -> (TcpWrap, TcpStream) {
    let listener = TcpListener::bind(loopback()).expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let wrap = TcpWrap::new(event_loop);
    wrap.open(listener.accept().expect("it was connected to").0.into()).expect("a socket");
    (wrap, peer)
}

/// A Unix connection: one end in the loop, the other in the test.
pub fn pipe_pair(event_loop: &LoopHandle) -> (PipeWrap, UnixStream) {
    let (ours, peer) = UnixStream::pair().expect("descriptors are left");
    let wrap = PipeWrap::new(event_loop);
    wrap.open(ours.into()).expect("a socket");
    (wrap, peer)
}

/// The calls of a handler, in order, and the bytes that arrived.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<(Vec<String>, Vec<u8>)>>);

impl Log {
    pub fn push(&self, what: impl Into<String>) {
        self.0.borrow_mut().0.push(what.into());
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().0)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().1.clone()
    }
}

type ReadHook = Box<dyn FnMut(&StreamWrap, &[u8])>;

/// Logs every call; closes the stream after the peer's FIN or an error.
pub struct Logger {
    log: Log,
    on_read: ReadHook,
}

impl Logger {
    pub fn set(stream: &StreamWrap) -> Log {
        Self::set_reading(stream, |_, _| {})
    }

    /// Also calls `on_read` at every read.
    pub fn set_reading(stream: &StreamWrap, on_read: impl FnMut(&StreamWrap, &[u8]) + 'static) -> Log {
        let log = Log::default();
        stream.set_handler(Self { log: log.clone(), on_read: Box::new(on_read) });
        log
    }

    fn note(&self, what: &str, result: Result<()>) {
        match result {
            Ok(()) => self.log.push(what),
            Err(error) => self.log.push(format!("{what} failed: {}", error.errno().name())),
        }
    }
}

impl OnStream for Logger {
    fn on_read(&mut self, stream: &StreamWrap, data: &[u8]) {
        self.log.push("read");
        self.log.0.borrow_mut().1.extend_from_slice(data);
        (self.on_read)(stream, data);
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        self.log.push("end");
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, error: Error) {
        self.note("read", Err(error));
        stream.close();
    }

    fn on_connect(&mut self, _: &StreamWrap, result: Result<()>) {
        self.note("connect", result);
    }

    fn on_write(&mut self, _: &StreamWrap, result: Result<()>) {
        self.note("write", result);
    }

    fn on_shutdown(&mut self, _: &StreamWrap, result: Result<()>) {
        self.note("shutdown", result);
    }

    fn on_notify(&mut self, _: &StreamWrap) {
        self.log.push("notify");
    }

    fn on_close(&mut self, _: &StreamWrap) {
        self.log.push("close");
    }
}
