//! Helpers of this crate's tests: a log, handlers that write to it and call the test's closures, and an assertion that
//! no handle is left alive.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod named;

use async_wrap::Environment;
use async_wrap::tcp_wrap::TcpWrap;
use net::upcall::{ServerHandler, SocketHandler};
use net::uv_core::{BindOptions, Loop, RunMode};
use net::{ConnectOptions, Dropped, Error, ListenOptions, Server, ServerOptions, Socket};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// The logged events, in order. Clones share the log.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn push(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub fn has(&self, what: &str) -> bool {
        self.0.borrow().iter().any(|entry| entry == what)
    }

    pub fn count(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|entry| *entry == what).count()
    }
}

type Hook = (&'static str, Box<dyn FnMut(&Socket)>);
type OnData = Box<dyn FnMut(&Socket, &[u8])>;

/// One end of a connection: logs every event as `name event`, then calls the test's closure for it.
pub struct Peer {
    name: &'static str,
    log: Log,
    hooks: Vec<Hook>,
    on_data: Option<OnData>,
    tells_drop: bool,
}

impl Peer {
    pub fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: log.clone(), hooks: Vec::new(), on_data: None, tells_drop: false }
    }

    /// Sets the closure for `connect`, `data`, `end`, `drain`, `finish`, `timeout`, `notify`, `error` or `close`.
    pub fn on(mut self, event: &'static str, hook: impl FnMut(&Socket) + 'static) -> Self {
        self.hooks.push((event, Box::new(hook)));
        self
    }

    /// Passes the bytes to a closure instead of logging them.
    pub fn on_bytes(mut self, hook: impl FnMut(&Socket, &[u8]) + 'static) -> Self {
        self.on_data = Some(Box::new(hook));
        self
    }

    /// Also logs its drop.
    pub fn telling_drop(mut self) -> Self {
        self.tells_drop = true;
        self
    }

    pub fn attach(self, socket: &Socket) {
        socket.set_handler(self);
    }

    pub fn connect(self, env: &Environment, options: ConnectOptions) -> Socket {
        Socket::connect(env, options, self).expect("nothing is refused at once")
    }

    fn event(&mut self, socket: &Socket, event: &'static str, note: &str) {
        self.log.push(format!("{} {note}", self.name));
        for (_, hook) in self.hooks.iter_mut().filter(|(name, _)| *name == event) {
            hook(socket);
        }
    }
}

impl SocketHandler for Peer {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        match &mut self.on_data {
            Some(hook) => hook(socket, data),
            None => self.event(socket, "data", &format!("data {}", String::from_utf8_lossy(data))),
        }
    }

    fn on_connect(&mut self, socket: &Socket) {
        self.event(socket, "connect", "connect");
    }

    fn on_end(&mut self, socket: &Socket) {
        self.event(socket, "end", "end");
    }

    fn on_drain(&mut self, socket: &Socket) {
        self.event(socket, "drain", "drain");
    }

    fn on_finish(&mut self, socket: &Socket) {
        self.event(socket, "finish", "finish");
    }

    fn on_timeout(&mut self, socket: &Socket) {
        self.event(socket, "timeout", "timeout");
    }

    fn on_notify(&mut self, socket: &Socket) {
        self.event(socket, "notify", "notify");
    }

    fn on_error(&mut self, socket: &Socket, error: Error) {
        self.event(socket, "error", &format!("error {error}"));
    }

    fn on_close(&mut self, socket: &Socket, had_error: bool) {
        self.event(socket, "close", if had_error { "close after an error" } else { "close" });
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.tells_drop {
            self.log.push(format!("{} dropped", self.name));
        }
    }
}

type ServerHook = (&'static str, Box<dyn FnMut()>);

/// A server's handler: logs `server event`, and passes connections to the test.
pub struct Host {
    log: Log,
    on_connection: Box<dyn FnMut(Socket)>,
    on_drop: Option<Box<dyn FnMut(Dropped)>>,
    hooks: Vec<ServerHook>,
    tells_drop: bool,
}

impl Host {
    pub fn new(log: &Log, on_connection: impl FnMut(Socket) + 'static) -> Self {
        let on_connection = Box::new(on_connection);
        Self { log: log.clone(), on_connection, on_drop: None, hooks: Vec::new(), tells_drop: false }
    }

    /// Sets the closure for `listening`, `error` or `close`.
    pub fn on(mut self, event: &'static str, hook: impl FnMut() + 'static) -> Self {
        self.hooks.push((event, Box::new(hook)));
        self
    }

    pub fn on_dropped(mut self, hook: impl FnMut(Dropped) + 'static) -> Self {
        self.on_drop = Some(Box::new(hook));
        self
    }

    pub fn telling_drop(mut self) -> Self {
        self.tells_drop = true;
        self
    }

    fn event(&mut self, event: &'static str, note: &str) {
        self.log.push(format!("server {note}"));
        for (_, hook) in self.hooks.iter_mut().filter(|(name, _)| *name == event) {
            hook();
        }
    }
}

impl ServerHandler for Host {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        (self.on_connection)(socket);
    }

    fn on_listening(&mut self, _: &Server) {
        self.event("listening", "listening");
    }

    fn on_drop(&mut self, _: &Server, dropped: Dropped) {
        self.log.push("server drop");
        if let Some(hook) = &mut self.on_drop {
            hook(dropped);
        }
    }

    fn on_error(&mut self, _: &Server, error: Error) {
        self.event("error", &format!("error {error}"));
    }

    fn on_close(&mut self, _: &Server) {
        self.event("close", "close");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.tells_drop {
            self.log.push("server dropped");
        }
    }
}

pub fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("the system has descriptors left");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// Runs until no handle is alive, and asserts that only the environment's handles are open, and that no task is left.
pub fn run_to_the_end(event_loop: &Loop, env: &Environment) {
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    assert_eq!(env.tasks(), 0, "{}", env.why_pending());
    close(event_loop, env);
}

pub fn close(event_loop: &Loop, env: &Environment) {
    env.close();
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    event_loop.close().expect("nothing is open");
}

/// Runs until a callback panics. Returns the panic's message.
pub fn run_to_a_panic(env: &Environment) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| env.run(RunMode::Default))).expect_err("a callback panics");
    panic.downcast_ref::<&str>().map(ToString::to_string).expect("panics with a plain text")
}

pub fn anywhere() -> ListenOptions {
    ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub fn port_of(server: &Server) -> SocketAddr {
    server.address().and_then(|address| address.as_tcp()).expect("the server listens on TCP")
}

pub fn to(server: &Server) -> ConnectOptions {
    ConnectOptions::addr(port_of(server))
}

/// A server on a port of the kernel's choice that closes after its first connection, which is passed to
/// `on_connection`.
pub fn serve_one(
    env: &Environment,
    options: ServerOptions,
    on_connection: impl FnOnce(Socket) + 'static,
) -> Server {
    let server = Server::new(env, options);
    listen_for_one(&server, anywhere(), on_connection);
    server
}

pub fn listen_for_one(server: &Server, options: ListenOptions, on_connection: impl FnOnce(Socket) + 'static) {
    let mut on_connection = Some(on_connection);
    let handler = move |server: &Server, socket: Socket| {
        server.close().expect("the server listens");
        if let Some(on_connection) = on_connection.take() {
            on_connection(socket);
        }
    };
    server.listen(options, handler).expect("the server listens");
}

/// An address without a listener: a socket is bound to it and never listens. The caller closes it.
pub fn refusing_addr(event_loop: &Loop) -> (TcpWrap, SocketAddr) {
    let bound = TcpWrap::new(event_loop);
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    bound.bind(loopback, BindOptions::default()).expect("a port is free");
    let addr = bound.local_addr().expect("it has an address");
    (bound, addr)
}

/// Both ends of a connection, each with its handler; the server closes afterwards.
pub fn connection(env: &Environment, options: ServerOptions, here: Peer, there: Peer) -> Socket {
    let server = serve_one(env, options, move |socket| here.attach(&socket));
    there.connect(env, to(&server))
}

/// A path that no other process uses, removed with its directory.
pub struct TempPath(pub std::path::PathBuf);

impl TempPath {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("net-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder.join("socket"))
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
