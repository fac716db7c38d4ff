//! A side that has ended waits until its peer has received the data.

mod common;

use async_wrap::Environment;
use common::{Log, Peer, new_loop, port_of, run_to_the_end, serve_one};
use net::upcall::SocketHandler;
use net::uv_core::RunMode;
use net::{Linger, ServerOptions, Socket};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

/// More than the kernel buffers for one connection.
const MUCH: usize = 12 * 1024 * 1024;

const NEVER: Duration = Duration::from_secs(3600);

fn half_open() -> ServerOptions {
    ServerOptions::default().allow_half_open(true)
}

/// Reads to the end and sends a byte after each read, as long as that is possible. Returns the number of bytes read.
fn chatter(address: SocketAddr) -> std::io::Result<usize> {
    let mut client = TcpStream::connect(address)?;
    let (mut piece, mut received) = (vec![0; 16 * 1024], 0);
    loop {
        match client.read(&mut piece)? {
            0 => return Ok(received),
            count => received += count,
        }
        // Fails once the other side is closed.
        let _ = client.write(b"\n");
    }
}

// nginx: lingering_close. Node destroys the socket, which cuts what the kernel holds.
#[test]
fn destroy_soon_delivers_everything_to_a_peer_that_still_sends() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &log).on_bytes(|_, _| {});
    let server = serve_one(&env, half_open(), move |socket| {
        here.attach(&socket);
        socket.write(&vec![b'x'; MUCH]).expect("it is open");
        socket.destroy_soon();
    });
    let address = port_of(&server);
    let client = std::thread::spawn(move || chatter(address));
    run_to_the_end(&event_loop, &env);
    assert_eq!(client.join().expect("no panic").expect("no reset"), MUCH);
    assert_eq!(log.take(), ["here finish", "here close"]);
}

#[test]
fn nothing_is_told_while_only_the_peer_is_waited_for() {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let here = Peer::new("here", &log)
        .on_bytes(|socket, _| {
            // Input behind the end is not reported, otherwise this would fail.
            socket.write(b"y").expect("it is open");
        })
        .on("finish", |socket| {
            socket.pause();
            socket.destroy_soon();
            socket.destroy_soon();
        });
    let server = serve_one(&env, half_open(), move |socket| {
        here.attach(&socket);
        socket.write(&vec![b'x'; MUCH]).expect("it is open");
        socket.end();
    });
    let address = port_of(&server);
    let client = std::thread::spawn(move || {
        let mut client = TcpStream::connect(address).expect("to connect");
        let mut received = vec![0; MUCH];
        client.read_exact(&mut received).expect("all of it");
        let _ = client.write(b"\n");
        client.read(&mut received).expect("the end")
    });
    run_to_the_end(&event_loop, &env);
    assert_eq!(client.join().expect("no panic"), 0);
    assert_eq!(log.take(), ["here finish", "here close"]);
}

/// A socket with much data in flight, and its peer, which has to read it.
fn stuck(env: &Environment) -> (Socket, TcpStream) {
    struct Deaf;
    impl SocketHandler for Deaf {
        fn on_data(&mut self, _: &Socket, _: &[u8]) {}
    }
    let accepted = Rc::new(RefCell::new(None));
    let place = Rc::clone(&accepted);
    let server = serve_one(env, half_open(), move |socket| {
        socket.set_handler(Deaf);
        place.replace(Some(socket));
    });
    let peer = TcpStream::connect(port_of(&server)).expect("to connect");
    peer.set_nonblocking(true).expect("a socket");
    while accepted.borrow().is_none() {
        env.run(RunMode::Once).expect("the loop runs");
    }
    let socket = accepted.take().expect("accepted");
    socket.write(&vec![b'x'; MUCH]).expect("it is open");
    // Until the peer's kernel has all that fits: sent data carries the acknowledgement of received data.
    let mut before = 0;
    while socket.unacknowledged() != before {
        before = socket.unacknowledged();
        send(env, &socket, &peer);
    }
    (socket, peer)
}

/// Sends a byte and waits until the socket has read it.
fn send(env: &Environment, socket: &Socket, mut peer: &TcpStream) {
    let before = socket.bytes_read();
    peer.write_all(b"\n").expect("there is room");
    while socket.bytes_read() == before {
        env.run(RunMode::Once).expect("the loop runs");
    }
}

/// Reads until the socket has seen the acknowledgement.
fn fetch(env: &Environment, socket: &Socket, mut peer: &TcpStream) {
    let before = socket.unacknowledged();
    while socket.unacknowledged() >= before {
        let _ = peer.read(&mut [0; 64 * 1024]);
        env.run(RunMode::NoWait).expect("the loop runs");
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_peer_that_neither_sends_nor_fetches_is_waited_for_during_five_seconds() {
    let (event_loop, env) = new_loop();
    let (socket, peer) = stuck(&env);
    let mut linger = Linger::new(&socket, NEVER);
    assert!(!linger.is_over(&socket, NEVER + 4 * SECOND, NEVER));
    assert!(linger.is_over(&socket, NEVER + 5 * SECOND, NEVER));
    send(&env, &socket, &peer);
    assert!(!linger.is_over(&socket, NEVER + 6 * SECOND, NEVER), "it has sent something");
    fetch(&env, &socket, &peer);
    assert!(!linger.is_over(&socket, NEVER + 11 * SECOND, NEVER), "it has fetched something");
    assert!(linger.is_over(&socket, NEVER + 16 * SECOND, NEVER));
    socket.destroy();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_peer_that_only_sends_is_waited_for_during_half_a_minute() {
    let (event_loop, env) = new_loop();
    let (socket, peer) = stuck(&env);
    let mut linger = Linger::new(&socket, NEVER);
    for passed in (1..30).step_by(4) {
        send(&env, &socket, &peer);
        assert!(!linger.is_over(&socket, NEVER + passed * SECOND, NEVER), "{passed} s");
    }
    send(&env, &socket, &peer);
    assert!(linger.is_over(&socket, NEVER + 30 * SECOND, NEVER));
    socket.destroy();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_peer_that_fetches_a_little_now_and_then_is_not_waited_for_without_end() {
    let (event_loop, env) = new_loop();
    let (socket, peer) = stuck(&env);
    let mut linger = Linger::new(&socket, NEVER);
    let limit = 30 * SECOND + socket.unacknowledged() as u32 / 4096 * SECOND;
    fetch(&env, &socket, &peer);
    assert!(!linger.is_over(&socket, NEVER + 29 * SECOND, NEVER));
    fetch(&env, &socket, &peer);
    assert!(!linger.is_over(&socket, NEVER + limit - SECOND, NEVER));
    fetch(&env, &socket, &peer);
    assert!(linger.is_over(&socket, NEVER + limit, NEVER));
    socket.destroy();
    run_to_the_end(&event_loop, &env);
}

#[test]
fn a_peer_that_has_everything_is_waited_for_as_long_as_it_sends_and_a_while_longer() {
    let (event_loop, env) = new_loop();
    let (socket, peer) = stuck(&env);
    while socket.unacknowledged() > 0 {
        fetch(&env, &socket, &peer);
    }
    let mut linger = Linger::new(&socket, NEVER);
    send(&env, &socket, &peer);
    assert!(!linger.is_over(&socket, NEVER + 2 * SECOND, SECOND));
    assert!(linger.is_over(&socket, NEVER + 3 * SECOND, SECOND));
    assert!(Linger::new(&socket, NEVER).is_over(&socket, NEVER, Duration::ZERO));
    socket.destroy();
    run_to_the_end(&event_loop, &env);
}
