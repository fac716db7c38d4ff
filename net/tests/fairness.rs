//! A task that awaits again and again what is ready at once leaves the loop its turns.

use net::Socket;
use net::async_wrap::Environment;
use net::futures::AsyncSocket;
use net::uv_core::{Loop, RunMode};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// Longer than any turn.
const SHORT: Duration = Duration::from_millis(2);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let one = TcpStream::connect(listener.local_addr().expect("it listens")).expect("connected");
    (one, listener.accept().expect("connected").0)
}

/// Runs `busy` with the socket beside sleeps, each of which must end; then drops it.
fn beside_sleeps<F: Future<Output = ()> + 'static>(
    ours: TcpStream,
    busy: impl FnOnce(AsyncSocket, Rc<Cell<u64>>) -> F + 'static,
) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let inner = env.clone();
    env.block_on(async move {
        let socket = AsyncSocket::new(Socket::from_fd(&inner, ours.into()).expect("a connected socket"));
        let calls = Rc::<Cell<u64>>::default();
        let task = inner.spawn_local(busy(socket, Rc::clone(&calls)));
        for _ in 0..20 {
            inner.sleep(SHORT).await;
        }
        assert!(!task.is_finished() && calls.get() > 0);
        task.abort();
    })
    .expect("the loop runs");
    assert_eq!(env.run(RunMode::Default), Ok(false), "{:?}", event_loop.handles());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

// dabeaz/curio#106, tokio-rs/website#422
#[test]
fn a_peer_that_sends_without_end_leaves_timers_their_time() {
    let (ours, mut theirs) = pair();
    let peer = thread::spawn(move || while theirs.write_all(&[1; 1 << 16]).is_ok() {});
    beside_sleeps(ours, |mut socket, calls| async move {
        while socket.read(&mut [0; 1]).await.expect("open") > 0 {
            calls.set(calls.get() + 1);
        }
    });
    peer.join().expect("it ends");
}

#[test]
fn a_peer_that_reads_without_end_leaves_timers_their_time() {
    let (ours, mut theirs) = pair();
    let peer = thread::spawn(move || while theirs.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0) {});
    beside_sleeps(ours, |mut socket, calls| async move {
        while socket.write(b"x").await.is_ok() {
            calls.set(calls.get() + 1);
        }
    });
    peer.join().expect("it ends");
}

// The share is over in the middle of input: what is left comes without a further event of the kernel.
#[test]
fn input_that_is_left_at_the_end_of_a_share_is_read_without_a_new_event() {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.write_all(&[7; 1000]).expect("there is room");
    let inner = env.clone();
    let (read, _theirs) = env
        .block_on(async move {
            let mut socket = AsyncSocket::new(Socket::from_fd(&inner, ours.into()).expect("connected"));
            for _ in 0..1000 {
                socket.read(&mut [0; 1]).await.expect("open");
            }
            (1000, theirs)
        })
        .expect("the loop runs");
    assert_eq!(read, 1000);
}
