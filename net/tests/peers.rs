//! What a peer that ends or resets its side leaves to be read and to be written.

use net::async_wrap::Environment;
use net::futures::{AsyncSocket, AsyncUdpSocket, Incoming};
use net::process::{Command, Stdio};
use net::uv_core::{Errno, Loop, RunMode};
use net::{Error, ListenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// Runs `work` in an environment of its own, to the end.
fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce(Environment) -> F) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    env.block_on(work(env.clone())).expect("it ends");
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    assert_eq!(env.tasks(), 0, "{}", env.why_pending());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A connection with a peer outside of the loop.
async fn connected(env: &Environment) -> (AsyncSocket, TcpStream) {
    let mut incoming = Incoming::listen(env, ListenOptions::addr(anywhere())).expect("to listen");
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    let peer = TcpStream::connect(address).expect("it listens");
    (incoming.accept().await.expect("a connection"), peer)
}

/// Closes with a RST, since there is input that was not read.
fn reset(peer: TcpStream) {
    peer.peek(&mut [0]).expect("input");
    drop(peer);
}

fn is_broken(error: &Error) -> bool {
    error.system().is_some_and(|error| matches!(error.errno(), Errno::ECONNRESET | Errno::EPIPE))
}

// oven-sh/bun#33389
#[test]
fn a_reset_amid_a_large_write_is_never_taken_for_its_end() {
    run(|env| async move {
        let (mut socket, mut peer) = connected(&env).await;
        let reading = thread::spawn(move || {
            peer.read_exact(&mut [0; 128 * 1024]).expect("it comes");
            reset(peer);
        });
        let error = socket.write_all(&vec![0; 64 << 20]).await.expect_err("it was reset");
        assert!(is_broken(&error), "{error}");
        assert!(socket.finish().await.is_err());
        reading.join().expect("it ends");

        // All of it is queued, and only the FIN is awaited.
        let (mut socket, peer) = connected(&env).await;
        let filling = socket.write_all(&[0; 8 << 20]);
        env.timeout(Duration::from_millis(20), filling).await.expect_err("the peer does not read");
        let resetting = env.work(move || reset(peer));
        env.spawn_local(async move { resetting.await.expect("it ends") });
        let error = socket.finish().await.expect_err("it was reset");
        assert!(is_broken(&error), "{error}");
    });
}

// tokio-rs/tokio#4665, craftytrickster/stubborn-io#25
#[test]
fn a_finish_behind_the_end_of_the_peer_is_no_error_also_the_second_time() {
    run(|env| async move {
        let (mut socket, peer) = connected(&env).await;
        drop(peer);
        assert_eq!(socket.read(&mut [0; 10]).await.expect("the end"), 0);
        socket.finish().await.expect("the FIN is sent");
        socket.finish().await.expect("it was sent");
        assert_eq!(socket.read(&mut [0; 10]).await.expect("the end"), 0);
        socket.write(b"late").await.expect_err("behind the FIN");
    });
}

// oven-sh/bun#42182
#[test]
fn what_has_come_before_a_reset_is_read_by_who_waits_for_it() {
    run(|env| async move {
        let (mut socket, mut peer) = connected(&env).await;
        socket.write_all(b"not read").await.expect("to write");
        peer.write_all(&[7; 1000]).expect("to write");
        reset(peer);
        let mut all = Vec::new();
        let read = socket.read_to_end(&mut all).await;
        assert_eq!((all.len(), read.is_err()), (1000, true));
    });
}

// ponylang/ponyc#5644, pupnp/pupnp#498
#[test]
fn a_datagram_without_bytes_is_one() {
    run(|env| async move {
        let socket = AsyncUdpSocket::bind(&env, anywhere()).expect("to bind");
        let address = socket.address().expect("it is bound");
        let peer = UdpSocket::bind(anywhere()).expect("to bind");
        for data in [&b""[..], b"a", b"", b"lost", b"b"] {
            peer.send_to(data, address).expect("to send");
        }
        let mut buffer = [0; 10];
        for len in [0, 1, 0] {
            assert_eq!(socket.recv_from(&mut buffer).await.expect("it comes").0, len);
        }
        // The begin of a datagram, of which the rest is lost, as the system has it.
        let (len, envelope) = socket.receive(&mut []).await.expect("it comes");
        assert!(len == 0 && envelope.is_truncated, "{envelope:?}");
        assert_eq!(socket.recv_from(&mut buffer).await.expect("it comes").0, 1);
    });
}

// ponylang/ponyc#5748
#[test]
fn a_child_that_ends_is_told_of_while_its_input_is_open() {
    run(|env| async move {
        let command = Command::new("sh").args(["-c", "read line; exit 3"]).stdin(Stdio::Pipe);
        let mut child = command.spawn(&env).expect("sh is there");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(b"quit\n").await.expect("it reads");
        assert_eq!(child.wait().await.code, 3);
        // Its reader has ended.
        while input.write(b"more").await.is_ok() {}
    });
}
