//! What is written for futures-io runs over the sockets: copies, buffers, lines, and writes of several buffers.

use futures_util::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, copy, copy_buf};
use net::async_wrap::Environment;
use net::futures::{AsyncSocket, Incoming};
use net::uv_core::{Loop, RunMode};
use net::{ConnectOptions, ListenOptions};
use std::io::{ErrorKind, IoSlice};

/// Runs `work` in an environment of its own, and asserts that nothing is left.
fn run<F: Future<Output = ()> + 'static>(work: impl FnOnce(Environment) -> F) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    env.block_on(work(env.clone())).expect("it ends");
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "still alive: {:?}", event_loop.handles());
    env.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    event_loop.close().expect("nothing is open");
}

/// Two ends of a connection.
async fn pair(env: &Environment) -> (AsyncSocket, AsyncSocket) {
    let mut incoming =
        Incoming::listen(env, ListenOptions::addr(([127, 0, 0, 1], 0).into())).expect("to listen");
    let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
    let client = AsyncSocket::connect(env, ConnectOptions::addr(address)).await.expect("it listens");
    (client, incoming.accept().await.expect("a connection"))
}

/// A connection whose other end sends everything back.
async fn echoing(env: &Environment) -> AsyncSocket {
    let (client, server) = pair(env).await;
    let (reader, mut writer) = server.split();
    env.spawn_local(async move {
        copy(reader, &mut writer).await.expect("the client reads");
        writer.close().await.expect("the FIN is sent");
    });
    client
}

// AI1, AI5: a gibibyte; an eighth of it without optimization, so that the test takes seconds.
#[test]
fn a_copy_echoes_a_gibibyte_in_less_than_a_mebibyte_of_memory() {
    const TOTAL: u64 = if cfg!(debug_assertions) { 1 << 27 } else { 1 << 30 };
    let used = allocation_counter::measure(|| {
        run(|env| async move {
            let (mut reader, mut writer) = echoing(&env).await.split();
            env.spawn_local(async move {
                let zeros = futures_util::io::repeat(7).take(TOTAL);
                assert_eq!(copy_buf(BufReader::new(zeros), &mut writer).await.expect("it is read"), TOTAL);
                writer.close().await.expect("the FIN is sent");
            });
            let came = copy(&mut reader, &mut futures_util::io::sink()).await;
            assert_eq!(came.expect("it comes"), TOTAL);
        });
    });
    assert!(used.bytes_max < 1 << 20, "{used:?}");
}

#[test]
fn lines_and_buffered_writes_work() {
    run(|env| async move {
        let (reader, writer) = echoing(&env).await.split();
        let (mut reader, mut writer) = (BufReader::new(reader), BufWriter::new(writer));
        for number in 0..100 {
            writer.write_all(format!("line {number}\n").as_bytes()).await.expect("open");
        }
        writer.close().await.expect("open");
        let mut line = String::new();
        for number in 0..100 {
            line.clear();
            reader.read_line(&mut line).await.expect("open");
            assert_eq!(line, format!("line {number}\n"));
        }
        assert_eq!(reader.read_line(&mut line).await.expect("the end"), 0);
    });
}

#[test]
fn several_buffers_leave_by_one_write() {
    run(|env| async move {
        let (mut client, mut server) = pair(&env).await;
        let buffers = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b" and two")];
        assert_eq!(client.write_vectored(&buffers).await.expect("open"), 11);
        let mut text = [0; 11];
        AsyncReadExt::read_exact(&mut server, &mut text).await.expect("open");
        assert_eq!(&text, b"one and two");
        // More than may be queued: a part is written, which is not nothing.
        let long = vec![1; 1 << 20];
        let count = client.write_vectored(&[IoSlice::new(&long), IoSlice::new(&long)]).await.expect("open");
        assert!(count > 0 && count <= long.len());
        assert_eq!(client.write_vectored(&[]).await.expect("open"), 0);
    });
}

// What a program that knows only `std::io::Error` learns.
#[test]
fn errors_have_the_kinds_of_std() {
    run(|env| async move {
        let (mut client, mut server) = pair(&env).await;
        client.close().await.expect("open");
        let error = AsyncWriteExt::write(&mut client, b"x").await.expect_err("it has finished");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let error = AsyncReadExt::read_exact(&mut server, &mut [0; 1]).await.expect_err("the end");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        server.socket().reset_and_destroy().expect("TCP");
        let error = AsyncReadExt::read(&mut client, &mut [0; 1]).await.expect_err("it was reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let error = AsyncWriteExt::write(&mut server, b"x").await.expect_err("it is closed");
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        let mut incoming =
            Incoming::listen(&env, ListenOptions::addr(([127, 0, 0, 1], 0).into())).expect("to listen");
        let address = incoming.address().and_then(|address| address.as_tcp()).expect("it listens");
        incoming.server().close().expect("it listens");
        assert!(incoming.accept().await.is_err());
        let refused = AsyncSocket::connect(&env, ConnectOptions::addr(address)).await.expect_err("closed");
        assert_eq!(std::io::Error::from(refused).kind(), ErrorKind::ConnectionRefused);
    });
}
