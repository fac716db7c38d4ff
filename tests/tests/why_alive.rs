//! `why_alive` of a program on any layer names the program's own lines, whatever a layer has made for them and when.

use async_wrap::upcall::OnStream;
use async_wrap::{AsyncStream, AsyncUdp, Environment, OwnedEnvironment};
use http::{Server as HttpServer, ServerOptions as HttpOptions};
use net::names::Resolver;
use net::udp::{UdpSocket, UdpSocketOptions};
use net::upcall::SocketHandler;
use net::{ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use tcp_wrap::{PipeWrap, StreamWrap, TcpWrap, UdpWrap};
use uv_core::udp::UdpOptions;
use uv_core::{BindOptions, Error, Loop, LoopHandle, Result, RunMode};

const HERE: &str = "tests/tests/why_alive.rs";
const MINUTE: Duration = Duration::from_secs(60);

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Holds that `count` handles keep the loop alive, all of which were made for lines of this file.
#[track_caller]
fn check(event_loop: &LoopHandle, count: usize) {
    let why = event_loop.why_alive();
    // Others are requests and results, which have no place.
    let handles = why.lines().filter(|line| !line.starts_with(|first: char| first.is_ascii_digit()));
    let foreign: Vec<_> =
        handles.clone().filter(|line| !line.contains(&format!(", made at {HERE}:"))).collect();
    assert_eq!(handles.count(), count, "{why}");
    assert!(foreign.is_empty() || !cfg!(debug_assertions), "{foreign:#?}");
}

/// Holds that some handle was made for this line.
fn has_line(event_loop: &LoopHandle, line: u32) {
    let why = event_loop.why_alive();
    assert!(why.contains(&format!(", made at {HERE}:{line}:")) || !cfg!(debug_assertions), "{line}: {why}");
}

fn until(env: &Environment, is_so: impl Fn() -> bool) {
    while !is_so() {
        env.run(RunMode::Once).expect("the loop runs");
    }
}

/// Ignores everything.
struct Silent;

impl SocketHandler for Silent {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}

#[test]
fn wraps_belong_to_the_lines_that_made_them_and_connections_to_that_of_their_listener() {
    let event_loop = Loop::new().expect("a loop");
    let listener = TcpWrap::new(&event_loop);
    let line = line!() - 1;
    listener.bind(anywhere(), BindOptions::default()).expect("bind");
    let kept = Rc::<RefCell<Vec<StreamWrap>>>::default();
    let into = Rc::clone(&kept);
    listener
        .listen_with(8, move |_: &StreamWrap, connection: Result<StreamWrap>| {
            let connection = connection.expect("a connection");
            connection.read_start().expect("to start");
            into.borrow_mut().push(connection);
        })
        .expect("listen");
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let pipe = PipeWrap::new(&event_loop);
    pipe.open(reader.into()).expect("open");
    pipe.read_start().expect("to start");
    has_line(&event_loop, line!() - 3);
    let udp = UdpWrap::new(&event_loop);
    udp.bind(anywhere(), &UdpOptions::default()).expect("bind");
    udp.receive_start().expect("to start");
    has_line(&event_loop, line!() - 3);
    let _peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    while kept.borrow().is_empty() {
        event_loop.run(RunMode::Once).expect("the loop runs");
    }
    check(&event_loop, 4);
    listener.close();
    event_loop.run(RunMode::NoWait).expect("the loop runs");
    has_line(&event_loop, line);
}

struct Reading;

impl OnStream for Reading {
    fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

    fn on_end(&mut self, _: &AsyncStream) {}

    fn on_error(&mut self, _: &AsyncStream, _: Error) {}
}

#[test]
fn streams_timeouts_and_sockets_of_datagrams_belong_to_the_lines_that_made_them() {
    let env = Environment::with_new_loop().expect("a loop");
    let listener = TcpListener::bind(anywhere()).expect("bind");
    let stream = AsyncStream::tcp(&env);
    stream.set_handler(Reading);
    stream.connect_tcp(listener.local_addr().expect("an address")).expect("connect");
    has_line(env.loop_handle(), line!() - 3);
    env.set_timeout(MINUTE, || {});
    has_line(env.loop_handle(), line!() - 1);
    env.set_interval(MINUTE, || {});
    has_line(env.loop_handle(), line!() - 1);
    env.set_deadline(MINUTE, |_| {});
    has_line(env.loop_handle(), line!() - 1);
    env.set_inspection(MINUTE, |_| {});
    has_line(env.loop_handle(), line!() - 1);
    let udp = AsyncUdp::new(&env);
    udp.bind(anywhere(), &UdpOptions::default()).expect("bind");
    udp.receive_start().expect("to start");
    has_line(env.loop_handle(), line!() - 3);
    check(env.loop_handle(), 6);
}

/// A server whose connections stay open, and a connection to it from outside of the loop.
fn serve(env: &OwnedEnvironment, listen: ListenOptions) -> (Server, TcpStream) {
    let server = Server::new(env, ServerOptions::default());
    server.listen_with(listen, |_, socket| socket.set_handler(Silent)).expect("it listens");
    until(env, || server.is_listening());
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let peer = TcpStream::connect(address).expect("it listens");
    until(env, || server.connections() == 1);
    (server, peer)
}

#[test]
fn servers_and_sockets_belong_to_the_calls_of_listen_and_connect() {
    let env = Environment::with_new_loop().expect("a loop");
    let (server, _peer) = serve(&env, ListenOptions::addr(anywhere()));
    check(env.loop_handle(), 2);
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    Socket::connect(&env, ConnectOptions::addr(address), Silent).expect("nothing is refused at once");
    let line = line!() - 1;
    until(&env, || server.connections() == 2);
    check(env.loop_handle(), 4);
    has_line(env.loop_handle(), line);
    let udp = UdpSocket::new_with(&env, UdpSocketOptions::v4(), |_, _, _| {});
    udp.bind(anywhere()).expect("bind");
    has_line(env.loop_handle(), line!() - 2);
    let _socket = Socket::from_fd(&env, TcpStream::connect(address).expect("it listens").into());
    until(&env, || server.connections() == 3);
    check(env.loop_handle(), 6);
    server.shutdown().expect("it listens");
    has_line(env.loop_handle(), line!() - 1);
    check(env.loop_handle(), 7);
}

#[test]
fn a_server_that_was_looked_up_belongs_to_the_call_of_listen() {
    let env = Environment::with_new_loop().expect("a loop");
    let resolver = Resolver::new(|_, _, answer| answer.found([([127, 0, 0, 1], 0)]));
    let (_server, _peer) = serve(&env, ListenOptions::host("a.test", 0).resolver(resolver));
    check(env.loop_handle(), 2);
}

/// Notes what keeps the loop alive while an attempt begins, and when it has begun.
struct Attempting(Rc<RefCell<Vec<String>>>);

impl SocketHandler for Attempting {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_connection_attempt(&mut self, socket: &Socket, _: SocketAddr) {
        let (seen, event_loop) = (Rc::clone(&self.0), socket.environment().loop_handle().clone());
        let note = move || {
            check(&event_loop, 2);
            seen.borrow_mut().push(event_loop.why_alive());
        };
        socket.environment().set_immediate(note);
    }
}

#[test]
fn attempts_to_connect_belong_to_the_call_of_connect() {
    let env = Environment::with_new_loop().expect("a loop");
    let listener = TcpListener::bind(anywhere()).expect("bind");
    let port = listener.local_addr().expect("an address").port();
    let resolver = Resolver::new(|_, _, answer| answer.found([([127, 0, 0, 1], 0)]));
    let seen = Rc::default();
    let options = ConnectOptions::host("a.test", port).resolver(resolver);
    let socket =
        Socket::connect(&env, options, Attempting(Rc::clone(&seen))).expect("nothing is refused at once");
    until(&env, || !seen.borrow().is_empty());
    socket.destroy();
    env.run(RunMode::Default).expect("the loop runs");
}

#[test]
fn http_servers_belong_to_the_calls_of_listen_and_shutdown() {
    let env = Environment::with_new_loop().expect("a loop");
    let server = HttpServer::new(&env, HttpOptions::default()).expect("options");
    server.listen_with(ListenOptions::addr(anywhere()), |_, _| {}).expect("it listens");
    has_line(env.loop_handle(), line!() - 1);
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let _peer = TcpStream::connect(address).expect("it listens");
    until(&env, || server.connections() == 1);
    check(env.loop_handle(), 2);
    server.shutdown(MINUTE).expect("it listens");
    has_line(env.loop_handle(), line!() - 1);
    // The listener, the connection, the grace and the time for handshakes.
    check(env.loop_handle(), 4);
}
