//! Sockets that are awaited: reads and writes of futures-io, halves, connects by name, connections one by one.

use futures_io::{AsyncRead, AsyncWrite};
use net::async_wrap::Environment;
use net::futures::{AsyncSocket, Incoming};
use net::uv_core::{Check, Errno, Loop, RunMode};
use net::{Address, ConnectOptions, ErrorCode, ListenOptions, Server, ServerOptions};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// Runs to the end, and asserts that nothing is left.
fn finish(event_loop: &Loop, env: &Environment) {
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    assert_eq!(env.tasks(), 0, "{}", env.why_pending());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

fn listen(env: &Environment) -> (Incoming, SocketAddr) {
    let incoming = Incoming::listen(env, ListenOptions::addr(([127, 0, 0, 1], 0).into())).expect("to listen");
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    (incoming, address)
}

async fn connect(env: &Environment, address: SocketAddr) -> AsyncSocket {
    AsyncSocket::connect(env, ConnectOptions::addr(address)).await.expect("it listens")
}

/// Two ends of a connection.
async fn pair(env: &Environment) -> (AsyncSocket, AsyncSocket) {
    let (mut incoming, address) = listen(env);
    let client = connect(env, address).await;
    (client, incoming.accept().await.expect("a connection"))
}

/// Runs `work` in an environment of its own.
fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce(Environment) -> F) {
    let (event_loop, env) = new_loop();
    env.block_on(work(env.clone())).expect("it ends");
    finish(&event_loop, &env);
}

async fn echo(mut socket: AsyncSocket) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = socket.read(&mut buffer).await {
        socket.write_all(&buffer[..count]).await.expect("the client reads");
    }
    socket.finish().await.expect("the FIN is sent");
}

// AI1
#[test]
fn a_gigabyte_comes_back_through_two_sockets() {
    const TOTAL: usize = if cfg!(debug_assertions) { 1 << 27 } else { 1 << 30 };
    run(|env| async move {
        let (client, server) = pair(&env).await;
        env.spawn_local(echo(server)).detach();
        let (mut reader, mut writer) = client.split();
        let sending = env.spawn_local(async move {
            let data: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
            for _ in 0..TOTAL >> 16 {
                writer.write_all(&data).await.expect("it is read");
                assert!(writer.socket().buffered() <= 2 << 16, "what waits is bounded");
            }
            writer.finish().await.expect("the FIN is sent");
        });
        let (mut buffer, mut came) = (vec![0; 50_000], 0);
        loop {
            let count = reader.read(&mut buffer).await.expect("it comes");
            if count == 0 {
                break;
            }
            let right = |(at, byte): (usize, &u8)| *byte == ((came + at) % 256) as u8;
            assert!(buffer[..count].iter().enumerate().all(right), "wrong bytes behind {came}");
            came += count;
        }
        assert_eq!(came, TOTAL);
        sending.await.expect("it ends");
    });
}

// AI4
#[test]
fn a_read_future_that_is_dropped_loses_no_byte() {
    run(|env| async move {
        let (mut client, mut server) = pair(&env).await;
        let mut buffer = [0; 10];
        assert!(env.timeout(Duration::from_millis(2), server.read(&mut buffer)).await.is_err());
        client.write_all(b"0123456789").await.expect("open");
        let mut read = Vec::new();
        for _ in 0..10 {
            // Dropped before its first poll, and after a poll that has found nothing.
            drop(server.read(&mut buffer));
            let count = server.read(&mut buffer[..1]).await.expect("open");
            read.extend_from_slice(&buffer[..count]);
            let _ = env.timeout(Duration::ZERO, std::future::pending::<()>()).await;
        }
        assert_eq!(read, b"0123456789");
    });
}

// AI3, AI4
#[test]
fn a_write_waits_for_room_and_a_dropped_one_leaves_what_was_accepted() {
    run(|env| async move {
        let (mut client, mut server) = pair(&env).await;
        let (data, mut written) = (vec![7; 1 << 16], 0);
        while let Ok(result) = env.timeout(Duration::from_millis(5), client.write(&data)).await {
            written += result.expect("open");
        }
        assert!(written > 0 && client.socket().buffered() > 0);
        let reading = env.spawn_local(async move {
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.expect("it ends");
            all.len()
        });
        client.finish().await.expect("it is read");
        assert_eq!(reading.await.expect("it ends"), written);
    });
}

// AI3
#[test]
fn finish_waits_for_the_fin_and_the_other_direction_goes_on() {
    run(|env| async move {
        let (mut client, mut server) = pair(&env).await;
        client.finish().await.expect("the FIN is sent");
        let mut all = Vec::new();
        assert_eq!(server.read_to_end(&mut all).await, Ok(0));
        assert_eq!(server.read(&mut [0; 1]).await, Ok(0), "the end stays");
        server.write_all(b"late").await.expect("it is open");
        drop(server);
        assert_eq!(client.read_to_end(&mut all).await, Ok(4));
        assert_eq!(client.read(&mut [0; 1]).await, Ok(0), "the end stays, also behind the close");
        let error = client.write(b"x").await.expect_err("it has finished");
        assert!(matches!(error.code(), ErrorCode::WriteAfterEnd | ErrorCode::SocketClosed), "{error}");
    });
}

// AI5
#[test]
fn a_half_that_is_dropped_ends_its_direction_only() {
    run(|env| async move {
        let (client, server) = pair(&env).await;
        let ((mut from_server, to_server), (mut from_client, mut to_client)) =
            (client.split(), server.split());
        drop(to_server);
        assert_eq!(from_client.read(&mut [0; 1]).await, Ok(0));
        to_client.write_all(b"hello").await.expect("open");
        drop(from_client);
        let mut buffer = [0; 10];
        assert_eq!(from_server.read(&mut buffer).await, Ok(5));
        assert_eq!(to_client.write(b"the rest").await, Ok(8));
        drop(to_client);
        let mut rest = Vec::new();
        assert_eq!(from_server.read_to_end(&mut rest).await, Ok(8));
        assert_eq!(rest, b"the rest");
    });
}

#[test]
fn what_was_written_arrives_behind_the_drop_of_the_socket() {
    run(|env| async move {
        let (mut client, mut server) = pair(&env).await;
        let mut written = 0;
        while let Ok(result) = env.timeout(Duration::from_millis(5), client.write(&[1; 1 << 16])).await {
            written += result.expect("open");
        }
        drop(client);
        let mut all = Vec::new();
        assert_eq!(server.read_to_end(&mut all).await, Ok(written));
    });
}

#[test]
fn a_connect_by_name_works_and_one_that_fails_says_why() {
    run(|env| async move {
        let (mut incoming, address) = listen(&env);
        let named = ConnectOptions::host("localhost", address.port());
        let mut client = AsyncSocket::connect(&env, named).await.expect("it listens");
        let mut server = incoming.accept().await.expect("a connection");
        client.write_all(b"hello").await.expect("open");
        assert_eq!(server.read(&mut [0; 10]).await, Ok(5));
        drop(incoming);
        let refused = AsyncSocket::connect(&env, ConnectOptions::addr(address)).await.expect_err("closed");
        assert_eq!(refused.system().map(|error| error.errno()), Some(Errno::ECONNREFUSED));
    });
}

#[test]
fn a_connect_that_is_dropped_leaves_nothing() {
    run(|env| async move {
        let (_incoming, address) = listen(&env);
        for _ in 0..100 {
            let connecting = AsyncSocket::connect(&env, ConnectOptions::addr(address));
            let _ = env.timeout(Duration::ZERO, connecting).await;
            drop(AsyncSocket::connect(&env, ConnectOptions::addr(address)));
        }
    });
}

#[test]
fn a_reset_ends_reads_and_writes_with_its_error() {
    run(|env| async move {
        let (client, mut server) = pair(&env).await;
        client.socket().reset_and_destroy().expect("TCP");
        drop(client);
        let error = server.read(&mut [0; 10]).await.expect_err("it was reset");
        assert_eq!(error.system().map(|error| error.errno()), Some(Errno::ECONNRESET));
        assert!(server.write(b"x").await.is_err());
        assert!(server.finish().await.is_err());
    });
}

// AI6. tokio-rs/tokio and Node: a server whose `accept` is not awaited leaves connections to the backlog.
// The write that meets the reset is taken, and the socket closed: the next write is to say why.
#[test]
fn a_write_behind_the_one_that_has_met_a_reset_gets_its_error() {
    run(|env| async move {
        for reads_too in [false, true] {
            let (mut one, other) = pair(&env).await;
            other.socket().reset_and_destroy().expect("it is TCP");
            // The reset is there before the loop has polled.
            let first = one.write_all(b"met").await;
            let later =
                if reads_too { one.read(&mut [0; 10]).await.map(drop) } else { one.write_all(b"x").await };
            let errors = [first, later].map(|result| result.err().and_then(|error| error.errno()));
            assert!(
                errors[1].is_some_and(|errno| matches!(errno, Errno::ECONNRESET | Errno::EPIPE)),
                "{errors:?}"
            );
        }
    });
}

#[test]
fn a_connection_is_accepted_only_when_something_waits_for_it() {
    let (event_loop, env) = new_loop();
    let (mut incoming, address) = listen(&env);
    let clients: Vec<_> =
        (0..3).map(|_| TcpStream::connect(address).expect("the backlog has room")).collect();
    for _ in 0..10 {
        env.run(RunMode::NoWait).expect("the loop runs");
    }
    assert_eq!(incoming.server().connections(), 0);
    env.block_on(async move {
        let mut sockets = Vec::new();
        for number in 1..=3 {
            sockets.push(incoming.accept().await.expect("a connection"));
            assert!(incoming.server().connections() <= number + 1, "at most one is accepted ahead");
        }
    })
    .expect("the loop runs");
    drop(clients);
    finish(&event_loop, &env);
}

#[test]
fn a_read_that_takes_too_long_is_an_error_of_this_crate() {
    async fn read(env: &Environment, mut socket: AsyncSocket) -> net::Result<usize> {
        env.timeout(Duration::from_millis(1), socket.read(&mut [0; 8])).await?
    }
    run(async |env| {
        let (ours, _theirs) = pair(&env).await;
        let error = read(&env, ours).await.expect_err("nothing comes");
        assert_eq!(error.errno(), Some(Errno::ETIMEDOUT), "{error}");
    });
}

#[test]
fn a_server_that_is_closed_ends_the_stream() {
    let (event_loop, env) = new_loop();
    let server = Server::new(&env, ServerOptions::default());
    let any = ListenOptions::addr(([127, 0, 0, 1], 0).into());
    let mut incoming = Incoming::of(server.clone(), any).expect("to listen");
    env.set_timeout(Duration::from_millis(1), move || server.close().expect("it listens"));
    let error = env.block_on(async move {
        assert!(incoming.next().await.is_none());
        assert!(incoming.next().await.is_none(), "as often as it is asked");
        incoming.accept().await.map(drop)
    });
    assert_eq!(error.expect("the loop runs").map_err(|error| error.code()), Err(ErrorCode::ServerNotRunning));
    finish(&event_loop, &env);
}

#[test]
fn unix_sockets_are_awaited_too() {
    let path = std::env::temp_dir().join(format!("net-futures-{}", std::process::id()));
    let listening = path.clone();
    run(|env| async move {
        let mut incoming = Incoming::listen(&env, ListenOptions::path(&listening)).expect("to listen");
        assert!(matches!(incoming.address(), Some(Address::Path(_))));
        let mut client =
            AsyncSocket::connect(&env, ConnectOptions::path(&listening)).await.expect("it listens");
        env.spawn_local(echo(incoming.accept().await.expect("a connection"))).detach();
        client.write_all(b"hello").await.expect("open");
        client.finish().await.expect("open");
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("it ends");
        assert_eq!(all, b"hello");
    });
    assert!(!path.exists(), "the server has removed it");
}

#[test]
fn the_traits_of_futures_io_do_the_same() {
    run(|env| async move {
        let (mut client, mut server) = pair(&env).await;
        let write = poll_fn(|context| Pin::new(&mut client).poll_write(context, b"hello"));
        assert_eq!(write.await.expect("open"), 5);
        poll_fn(|context| Pin::new(&mut client).poll_flush(context)).await.expect("nothing to do");
        poll_fn(|context| Pin::new(&mut client).poll_close(context)).await.expect("the FIN is sent");
        let mut buffer = [0; 10];
        let read = poll_fn(|context| Pin::new(&mut server).poll_read(context, &mut buffer));
        assert_eq!(read.await.expect("it came"), 5);
        let read = poll_fn(|context| Pin::new(&mut server).poll_read(context, &mut buffer));
        assert_eq!(read.await.expect("the end"), 0);
    });
}

#[test]
fn a_socket_that_waits_keeps_the_loop_alive_and_one_that_does_not_read_does_not_spin() {
    let (event_loop, env) = new_loop();
    let (incoming, address) = listen(&env);
    let peer = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(&[1; 100_000]).expect("it is open");
        let mut end = [0];
        stream.read(&mut end).expect("it ends")
    });
    let (waiting, mut incoming) = (env.clone(), incoming);
    let turns = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = std::rc::Rc::clone(&turns);
    let check = Check::new(&event_loop);
    check.start(move |_| count.set(count.get() + 1)).expect("it is open");
    check.unref();
    env.block_on(async move {
        let mut socket = incoming.accept().await.expect("a connection");
        assert_eq!(socket.read(&mut [0; 1]).await, Ok(1));
        // Input is left, and nothing waits for it.
        let _ = waiting.timeout(Duration::from_millis(30), std::future::pending::<()>()).await;
        let mut all = Vec::new();
        let mut buffer = vec![0; 1000];
        while all.len() < 99_999 {
            let count = socket.read(&mut buffer).await.expect("open");
            all.extend_from_slice(&buffer[..count]);
        }
    })
    .expect("the loop runs");
    assert!(turns.get() < 300, "{} turns", turns.get());
    check.close();
    assert_eq!(peer.join().expect("it ends"), 0);
    finish(&event_loop, &env);
}

#[test]
fn polls_that_find_nothing_are_pending() {
    run(|env| async move {
        let (mut client, server) = pair(&env).await;
        let mut buffer = [0; 1];
        let first = poll_fn(|context| {
            Poll::Ready(Pin::new(&mut client).poll_read(context, &mut buffer).is_pending())
        });
        assert!(first.await);
        drop(server);
    });
}
