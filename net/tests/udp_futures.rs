//! Datagrams to await: pulled from the kernel, sent when there is room, by address and by name.

use net::async_wrap::Environment;
use net::futures::AsyncUdpSocket;
use net::names::Resolver;
use net::udp::{SendOptions, UdpSocketOptions};
use net::uv_core::{Errno, Loop, RunMode};
use net::{Error, ErrorCode};
use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// Runs to the end, and asserts that nothing is left.
fn finish(event_loop: &Loop, env: &Environment) {
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

/// Runs `work` in an environment of its own.
fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce(Environment) -> F) {
    let (event_loop, env) = new_loop();
    env.block_on(work(env.clone())).expect("it ends");
    finish(&event_loop, &env);
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn bound(env: &Environment) -> (AsyncUdpSocket, SocketAddr) {
    let socket = AsyncUdpSocket::bind(env, anywhere()).expect("a free port");
    let address = socket.address().expect("it is bound");
    (socket, address)
}

/// A socket of the test, and its address.
fn outside() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(anywhere()).expect("a free port");
    socket.set_nonblocking(true).expect("an option");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

fn code<T>(result: Result<T, Error>) -> ErrorCode {
    result.map(drop).expect_err("an error").code()
}

// Node: parallel/test-dgram-send-address-types, test-dgram-connect-send-callback
#[test]
fn datagrams_go_there_and_back() {
    run(|env| async move {
        let (server, address) = bound(&env);
        let (client, _) = bound(&env);
        let mut buffer = [0; 100];
        client.send_to(b"hello", address).await.expect("sent");
        let (count, from) = server.recv_from(&mut buffer).await.expect("it came");
        assert_eq!(&buffer[..count], b"hello");
        server.send_to(b"", from).await.expect("sent");
        assert_eq!(client.recv_from(&mut buffer).await, Ok((0, address)));
        client.connect(address.ip(), address.port()).await.expect("a peer");
        client.send(b"with a peer").await.expect("sent");
        let (count, envelope) = server.receive(&mut buffer[..4]).await.expect("it came");
        assert_eq!((&buffer[..count], envelope.is_truncated, envelope.from), (&b"with"[..], true, from));
        server.send_to(b"answer", from).await.expect("sent");
        assert_eq!(client.recv(&mut buffer).await, Ok(6));
    });
}

#[test]
fn what_no_task_waits_for_stays_in_the_kernel() {
    let (event_loop, env) = new_loop();
    let (socket, address) = bound(&env);
    let (peer, _) = outside();
    for number in 0..10_u8 {
        peer.send_to(&[number], address).expect("sent");
    }
    // Nothing waits: the loop ends, and each of the datagrams is there later.
    assert_eq!(env.run(RunMode::Default), Ok(false));
    let waiting = env.clone();
    env.block_on(async move {
        let mut buffer = [0; 100];
        for number in 0..10 {
            drop(socket.recv_from(&mut buffer));
            socket.recv_from(&mut buffer).await.expect("it came");
            assert_eq!(buffer[0], number);
        }
        // A wait that is given up loses none.
        for number in 10..20 {
            let waited = waiting.timeout(Duration::from_millis(1), socket.recv_from(&mut buffer)).await;
            assert!(waited.is_err());
            peer.send_to(&[number], address).expect("sent");
            let (count, _) = socket.recv_from(&mut buffer).await.expect("it came");
            assert_eq!(buffer[..count], [number]);
        }
    })
    .expect("the loop runs");
    finish(&event_loop, &env);
}

// tokio-rs/tokio#615: a second task that waits does not take the place of the first.
#[test]
fn tasks_share_a_socket() {
    run(|env| async move {
        let (socket, address) = bound(&env);
        let (peer, _) = outside();
        let socket = Rc::new(socket);
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let socket = Rc::clone(&socket);
                env.spawn_local(async move { socket.recv_from(&mut [0; 10]).await.map(|(count, _)| count) })
            })
            .collect();
        // One of them is given up, and the others go on.
        env.sleep(Duration::from_millis(1)).await;
        tasks[1].abort();
        for _ in 0..3 {
            peer.send_to(b"one", address).expect("sent");
        }
        for (number, task) in tasks.into_iter().enumerate() {
            match task.await {
                Ok(received) => assert_eq!(received, Ok(3)),
                Err(error) => assert!(error.is_aborted() && number == 1),
            }
        }
        let (sender, receiver) = (Rc::clone(&socket), Rc::clone(&socket));
        let receiving = env.spawn_local(async move { receiver.recv_from(&mut [0; 10]).await });
        env.sleep(Duration::from_millis(1)).await;
        sender.send_to(b"to itself", address).await.expect("sent");
        assert_eq!(receiving.await.expect("it ends"), Ok((9, address)));
    });
}

// A call that finds a datagram at once does not end the wait of another task.
#[test]
fn a_task_that_waits_gets_what_comes_after_another_has_received() {
    run(|env| async move {
        let (socket, address) = bound(&env);
        let (peer, _) = outside();
        let socket = Rc::new(socket);
        let waiting = Rc::clone(&socket);
        let task =
            env.spawn_local(async move { waiting.recv_from(&mut [0; 10]).await.map(|(count, _)| count) });
        env.sleep(Duration::from_millis(1)).await;
        peer.send_to(b"one", address).expect("sent");
        // Without a turn of the loop in between.
        assert_eq!(socket.recv_from(&mut [0; 10]).await.map(|(count, _)| count), Ok(3));
        peer.send_to(b"the next", address).expect("sent");
        assert_eq!(
            env.timeout(Duration::from_secs(10), task).await.expect("it is told").expect("it ends"),
            Ok(8)
        );
    });
}

#[test]
fn a_host_is_looked_up() {
    run(|env| async move {
        let (server, address) = bound(&env);
        let client = AsyncUdpSocket::new(&env, UdpSocketOptions::v4());
        client.send_to_host(b"hello", "localhost", address.port()).await.expect("found and sent");
        assert_eq!(server.recv_from(&mut [0; 10]).await.map(|(count, _)| count), Ok(5));
        client.socket().set_resolver(Resolver::new(|_, _, answer| answer.missing()));
        let error = client.connect("nowhere", 1).await.expect_err("it is not found");
        assert_eq!(error.errno(), Some(Errno::EAI_NONAME));
        // A look-up that is given up tells its resolver.
        let kept = Rc::new(Cell::new(None));
        let keep = Rc::clone(&kept);
        client.socket().set_resolver(Resolver::new(move |_, _, answer| keep.set(Some(answer))));
        assert!(env.timeout(Duration::from_millis(1), client.connect("later", 1)).await.is_err());
        assert!(!kept.take().expect("it was asked").is_wanted());
        client.connect("127.0.0.1", address.port()).await.expect("a peer");
        client.send(b"hi").await.expect("sent");
        assert_eq!(server.recv_from(&mut [0; 10]).await.map(|(count, _)| count), Ok(2));
    });
}

#[test]
fn a_peer_that_does_not_listen_is_an_error_of_a_later_call() {
    run(|env| async move {
        let (closed, address) = outside();
        drop(closed);
        let (socket, _) = bound(&env);
        socket.connect(address.ip(), address.port()).await.expect("a peer");
        socket.send(b"hello").await.expect("the kernel has it");
        let error = socket.recv(&mut [0; 10]).await.expect_err("nothing listens");
        assert_eq!(error.errno(), Some(Errno::ECONNREFUSED));
        let again = UdpSocket::bind(address).expect("it is free");
        again.send_to(b"here", socket.address().expect("bound")).expect("sent");
        assert_eq!(socket.recv(&mut [0; 10]).await, Ok(4));
    });
}

#[test]
fn mistakes_are_errors_and_a_close_ends_what_waits() {
    run(|env| async move {
        let (socket, address) = bound(&env);
        let too_long = vec![0; 70_000];
        let error = socket.send_to(&too_long, address).await.expect_err("too long");
        assert_eq!(error.errno(), Some(Errno::EMSGSIZE));
        assert_eq!(code(socket.send(b"").await), ErrorCode::NotConnected);
        assert_eq!(code(socket.recv(&mut []).await), ErrorCode::NotConnected);
        assert_eq!(code(socket.send_to(b"", ([127, 0, 0, 1], 0).into()).await), ErrorCode::BadPort);
        assert_eq!(code(socket.connect("", 0).await), ErrorCode::BadPort);
        let socket = Rc::new(socket);
        let closing = Rc::clone(&socket);
        let waiting = env.spawn_local(async move { socket.recv_from(&mut [0; 10]).await });
        env.sleep(Duration::from_millis(1)).await;
        closing.socket().close().expect("it is open");
        assert_eq!(code(waiting.await.expect("it ends")), ErrorCode::NotRunning);
        assert_eq!(code(closing.send_to(b"", address).await), ErrorCode::NotRunning);
    });
}

// tokio-rs/tokio#5946: a peer that sends without end leaves timers and other sockets their turns.
#[test]
fn a_flood_does_not_starve_the_loop() {
    let (event_loop, env) = new_loop();
    let (socket, address) = bound(&env);
    let inner = env.clone();
    env.block_on(async move {
        // It sends to itself: there is always a datagram.
        for _ in 0..10 {
            socket.send_to(b"again", address).await.expect("sent");
        }
        let rounds = Rc::new(Cell::new(0_u64));
        let counted = Rc::clone(&rounds);
        let flood = inner.spawn_local(async move {
            let mut buffer = [0; 10];
            loop {
                let (count, from) = socket.recv_from(&mut buffer).await.expect("it came");
                socket.send_with(&buffer[..count], &SendOptions::to(from)).await.expect("sent");
                counted.set(counted.get() + 1);
            }
        });
        for _ in 0..5 {
            inner.sleep(Duration::from_millis(2)).await;
        }
        assert!(rounds.get() > 0);
        flood.abort();
    })
    .expect("the loop runs");
    finish(&event_loop, &env);
}

/// Wakes nothing.
#[derive(Default)]
struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

// A task that awaits what is ready at once leaves the loop its turns.
#[test]
fn a_send_that_is_dropped_while_it_waits_for_its_turn_leaves_nothing_in_the_loop() {
    let (event_loop, env) = new_loop();
    let (receiver, address) = outside();
    let (client, _) = bound(&env);
    let quiet = Arc::<Quiet>::default();
    let waker = Waker::from(Arc::clone(&quiet));
    let mut context = Context::from_waker(&waker);
    let polls = (0..).find(|_| pin!(client.send_to(b"hello", address)).poll(&mut context).is_pending());
    assert!(polls.is_some_and(|polls| polls > 1), "{polls:?}");
    assert_eq!(Arc::strong_count(&quiet), 2, "an immediate has the waker");
    drop((client, receiver));
    finish(&event_loop, &env);
}
