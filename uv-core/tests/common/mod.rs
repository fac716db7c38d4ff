//! Helpers of the loop's tests: a loop with a timeout, a log, a tower that logs every upcall, and connected sockets.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its share")]

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use uv_core::Stream;
use uv_core::upcall::StreamUpcall;
use uv_core::{BindOptions, Errno, Error, Loop, Result, RunMode, Tcp};

/// The time after which a test counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A loop that aborts its test if the test hangs.
pub struct TestLoop {
    event_loop: Loop,
    _watched: mpsc::Sender<()>,
}

pub fn test_loop() -> TestLoop {
    let (watched, gone) = mpsc::channel::<()>();
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    std::thread::spawn(move || {
        if gone.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{test} hangs");
            std::process::abort();
        }
    });
    TestLoop { event_loop: Loop::new().expect("a loop"), _watched: watched }
}

impl Deref for TestLoop {
    type Target = Loop;

    fn deref(&self) -> &Loop {
        &self.event_loop
    }
}

impl TestLoop {
    /// Runs to the end and asserts that no handle is alive.
    pub fn finish(self) {
        assert_eq!(self.run(RunMode::Default), Ok(false));
        assert_eq!(self.event_loop.close(), Ok(()));
        assert!(!self.is_alive());
    }

    /// Closes all handles, and then does as `finish`.
    pub fn close_and_finish(self) {
        self.close_all();
        self.finish();
    }

    /// Runs until `done` returns `true`.
    pub fn until(&self, mut done: impl FnMut() -> bool) {
        while !done() {
            let alive = self.run(RunMode::Once).expect("the loop runs");
            assert!(alive || done(), "the loop ended first: {:?}", self.event_loop);
        }
    }

    /// Runs one iteration that does not block.
    pub fn turn(&self) {
        self.run(RunMode::NoWait).expect("the loop runs");
    }
}

/// The logged events, in order, with an assertion that upcalls never nest.
#[derive(Clone, Default)]
pub struct Log(Rc<LogInner>);

#[derive(Default)]
struct LogInner {
    lines: RefCell<Vec<String>>,
    in_upcall: Cell<bool>,
}

impl Log {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(&self, line: impl Into<String>) {
        self.0.lines.borrow_mut().push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lines.borrow().clone()
    }

    pub fn take(&self) -> Vec<String> {
        self.0.lines.take()
    }

    pub fn has(&self, line: &str) -> bool {
        self.count(line) > 0
    }

    pub fn count(&self, line: &str) -> usize {
        self.0.lines.borrow().iter().filter(|known| *known == line).count()
    }

    fn enter(&self) -> Entered {
        assert!(!self.0.in_upcall.replace(true), "an upcall inside of an upcall");
        Entered(self.clone())
    }
}

struct Entered(Log);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.in_upcall.set(false);
    }
}

pub fn outcome(result: &Result<()>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(error) => error.errno().name(),
    }
}

type OnRead = Box<dyn FnMut(&[u8])>;

/// A tower that logs each upcall under its name and then calls the test's closure.
pub struct Tower {
    log: Log,
    name: &'static str,
    read: OnRead,
    end: Box<dyn FnMut()>,
    error: Box<dyn FnMut(Error)>,
    connect: Box<dyn FnMut(Result<()>)>,
    write: Box<dyn FnMut(Result<()>)>,
    shutdown: Box<dyn FnMut(Result<()>)>,
    close: Box<dyn FnMut()>,
    notify: Box<dyn FnMut()>,
}

impl Tower {
    pub fn new(log: &Log, name: &'static str) -> Self {
        Self {
            log: log.clone(),
            name,
            read: Box::new(|_| {}),
            end: Box::new(|| {}),
            error: Box::new(|_| {}),
            connect: Box::new(|_| {}),
            write: Box::new(|_| {}),
            shutdown: Box::new(|_| {}),
            close: Box::new(|| {}),
            notify: Box::new(|| {}),
        }
    }

    pub fn on_read(mut self, call: impl FnMut(&[u8]) + 'static) -> Self {
        self.read = Box::new(call);
        self
    }

    pub fn on_end(mut self, call: impl FnMut() + 'static) -> Self {
        self.end = Box::new(call);
        self
    }

    pub fn on_error(mut self, call: impl FnMut(Error) + 'static) -> Self {
        self.error = Box::new(call);
        self
    }

    pub fn on_connect(mut self, call: impl FnMut(Result<()>) + 'static) -> Self {
        self.connect = Box::new(call);
        self
    }

    pub fn on_write(mut self, call: impl FnMut(Result<()>) + 'static) -> Self {
        self.write = Box::new(call);
        self
    }

    pub fn on_shutdown(mut self, call: impl FnMut(Result<()>) + 'static) -> Self {
        self.shutdown = Box::new(call);
        self
    }

    pub fn on_close(mut self, call: impl FnMut() + 'static) -> Self {
        self.close = Box::new(call);
        self
    }

    pub fn on_notify(mut self, call: impl FnMut() + 'static) -> Self {
        self.notify = Box::new(call);
        self
    }

    fn enter(&self, what: &str) -> Entered {
        let entered = self.log.enter();
        self.log.add(format!("{} {what}", self.name));
        entered
    }
}

impl StreamUpcall for Tower {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        let _entered = self.enter(&format!("read {}", data.len()));
        (self.read)(data);
    }

    fn on_end(&mut self, _: &Stream) {
        let _entered = self.enter("end");
        (self.end)();
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        let _entered = self.enter(&format!("error {}", error.errno().name()));
        (self.error)(error);
    }

    fn on_connect(&mut self, _: &Stream, result: Result<()>) {
        let _entered = self.enter(&format!("connect {}", outcome(&result)));
        (self.connect)(result);
    }

    fn on_write(&mut self, _: &Stream, result: Result<()>) {
        let _entered = self.enter(&format!("write {}", outcome(&result)));
        (self.write)(result);
    }

    fn on_shutdown(&mut self, _: &Stream, result: Result<()>) {
        let _entered = self.enter(&format!("shutdown {}", outcome(&result)));
        (self.shutdown)(result);
    }

    fn on_notify(&mut self, _: &Stream) {
        let _entered = self.enter("notify");
        (self.notify)();
    }

    fn on_close(&mut self, _: &Stream) {
        let _entered = self.enter("close");
        (self.close)();
    }
}

pub const LOCALHOST: &str = "127.0.0.1:0";

pub fn localhost() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A port of this machine without a listener.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind(LOCALHOST).and_then(|listener| listener.local_addr()).expect("a port")
}

/// A bound listener of the loop, which does not listen yet.
pub fn bound(event_loop: &TestLoop) -> (Tcp, SocketAddr) {
    let server = Tcp::new(event_loop);
    server.bind(localhost(), BindOptions::default()).expect("bind");
    let addr = server.local_addr().expect("an address");
    (server, addr)
}

/// A listener of the loop that passes every connection to `take`.
pub fn serve(event_loop: &TestLoop, mut take: impl FnMut(Tcp) + 'static) -> (Tcp, SocketAddr) {
    let (server, addr) = bound(event_loop);
    let listener = server.clone();
    server
        .listen_with(128, move |_, status| {
            status.expect("a connection");
            take(listener.accept().expect("accept"));
        })
        .expect("listen");
    (server, addr)
}

/// Two connected sockets outside of any loop.
pub fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOCALHOST).expect("bind");
    let peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (ours, _) = listener.accept().expect("accept");
    (ours, peer)
}

/// A connection of the loop, and its peer outside of the loop.
pub fn connected(event_loop: &TestLoop) -> (Tcp, TcpStream) {
    let (ours, peer) = sockets();
    let tcp = Tcp::new(event_loop);
    tcp.open(ours.into()).expect("open");
    (tcp, peer)
}

/// Closes a socket outside of the loop with a reset, by leaving input unread.
pub fn reset(event_loop: &TestLoop, tcp: &Tcp, peer: TcpStream) {
    assert_eq!(tcp.try_write(b"unread"), Ok(6));
    let mut byte = [0];
    assert_eq!(peer.peek(&mut byte).expect("the byte is there"), 1);
    drop(peer);
    let _ = event_loop;
}

/// A path for a socket, removed with its directory.
pub struct SocketPath(PathBuf);

pub fn socket_path() -> SocketPath {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("uv-core-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).expect("a temporary folder");
    SocketPath(folder)
}

impl SocketPath {
    pub fn folder(&self) -> &std::path::Path {
        &self.0
    }

    pub fn path(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The number of open descriptors of this process.
pub fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc").count()
}

/// Makes a closure own a value that it does not use.
pub fn hold<T>(_: &T) {}

pub fn errno<T: std::fmt::Debug>(result: Result<T>) -> Errno {
    result.expect_err("it fails").errno()
}
