//! Helpers for connects by name: a client that logs its events, hosts with addresses of the test's choice, and addresses
//! that refuse or do not answer.

use super::{Log, Peer};
use async_wrap::Environment;
use net::names::Resolver;
use net::upcall::SocketHandler;
use net::uv_core::{Loop, Tcp};
use net::{ConnectOptions, Error, ReadyState, Socket};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

type Hook = Box<dyn FnMut(&Socket)>;

/// A client that logs every event, and calls the test's closure in one of them.
pub struct Client {
    log: Log,
    hook: Option<(&'static str, Hook)>,
}

impl Client {
    pub fn new(log: &Log) -> Self {
        Self { log: log.clone(), hook: None }
    }

    pub fn on(mut self, event: &'static str, hook: impl FnMut(&Socket) + 'static) -> Self {
        self.hook = Some((event, Box::new(hook)));
        self
    }

    fn event(&mut self, socket: &Socket, event: &str, note: impl std::fmt::Display) {
        self.log.push(format!("{event}{note}"));
        if let Some((_, hook)) = self.hook.as_mut().filter(|(name, _)| *name == event) {
            hook(socket);
        }
    }
}

impl SocketHandler for Client {
    fn on_lookup(&mut self, socket: &Socket, host: &str, found: Result<&[SocketAddr], &Error>) {
        assert_eq!(socket.ready_state(), ReadyState::Opening);
        match found {
            Ok(found) => self.event(socket, "lookup", format!(" {host} {}", found.len())),
            Err(error) => self.event(socket, "lookup", format!(" {host}: {error}")),
        }
    }

    fn on_connection_attempt(&mut self, socket: &Socket, addr: SocketAddr) {
        self.event(socket, "attempt", format!(" {addr}"));
    }

    fn on_connection_attempt_failed(&mut self, socket: &Socket, addr: SocketAddr, error: &Error) {
        let errno = error.errno().expect("an error of the system");
        self.event(socket, "failed", format!(" {addr} {}", errno.name()));
    }

    fn on_connection_attempt_timeout(&mut self, socket: &Socket, addr: SocketAddr) {
        self.event(socket, "late", format!(" {addr}"));
    }

    fn on_connect(&mut self, socket: &Socket) {
        let peer = socket.remote_address().and_then(|address| address.as_tcp());
        self.event(socket, "connect", format!(" {}", peer.expect("it has a peer")));
    }

    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        self.event(socket, "data", format!(" {}", String::from_utf8_lossy(data)));
    }

    fn on_end(&mut self, socket: &Socket) {
        self.event(socket, "end", "");
    }

    fn on_timeout(&mut self, socket: &Socket) {
        self.event(socket, "timeout", "");
    }

    fn on_error(&mut self, socket: &Socket, error: Error) {
        self.event(socket, "error", format!(" {error}"));
    }

    fn on_close(&mut self, socket: &Socket, had_error: bool) {
        self.event(socket, "close", if had_error { " after an error" } else { "" });
    }
}

/// Options for a host with these addresses.
pub fn host_of(addresses: &[SocketAddr]) -> ConnectOptions {
    let addresses = addresses.to_vec();
    ConnectOptions::host("host.test", 7).resolver(Resolver::new(move |_, query, answer| {
        assert_eq!(query.host.as_deref(), Some("host.test"));
        answer.found(addresses.clone());
    }))
}

pub fn connect(env: &Environment, options: ConnectOptions, client: Client) -> Socket {
    Socket::connect(env, options, client).expect("nothing is refused at once")
}

/// A listener whose queue is full, so that a connect to it waits. Its loop never runs.
pub struct Silent {
    pub listener: TcpListener,
    _in_queue: Vec<TcpStream>,
    _other: (Loop, Tcp),
}

impl Silent {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let (event_loop, addr) = (Loop::new().expect("a loop"), listener.local_addr().expect("an address"));
        let tcp = Tcp::new(&event_loop);
        tcp.open(listener.try_clone().expect("a descriptor").into()).expect("it is a listener");
        tcp.listen_with(0, |_, _| {}).expect("it listens");
        let mut in_queue = Vec::new();
        while let Ok(client) = TcpStream::connect_timeout(&addr, Duration::from_millis(50)) {
            in_queue.push(client);
        }
        Self { listener, _in_queue: in_queue, _other: (event_loop, tcp) }
    }

    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("it has an address")
    }
}

/// An IPv6 address without a listener.
pub fn refusing_v6() -> SocketAddr {
    let listener = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0"));
    let port = listener.and_then(|listener| listener.local_addr()).expect("an address").port();
    (Ipv6Addr::LOCALHOST, port).into()
}

/// Greets a client and ends.
pub fn greet(socket: Socket) {
    socket.set_handler(Peer::new("here", &Log::default()));
    socket.end_with(b"hello").expect("it is connected");
}
