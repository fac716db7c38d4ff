//! What a read of an awaited socket costs: one `recv(2)` into the caller's buffer. The only test of its process, whose records it
//! counts.

use async_wrap::Environment;
use log::{Log, Metadata, Record};
use net::futures::AsyncSocket;
use net::uv_core::RunMode;
use std::future::poll_fn;
use std::io::Write;
use std::mem::replace;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the receiving calls of the layers.
struct Counter;

static CALLS: AtomicUsize = AtomicUsize::new(0);

impl Log for Counter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        if text.trim_start().starts_with("down") && (text.contains("recv") || text.contains("readv")) {
            CALLS.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// Reads, and writes fifty bytes on the other side once the read waits.
async fn read_while_it_comes(socket: &mut AsyncSocket, theirs: &mut UnixStream) -> net::Result<usize> {
    let mut buffer = [0; 100];
    let mut waiting = pin!(socket.read(&mut buffer));
    let mut is_sent = false;
    poll_fn(|context| {
        let read = waiting.as_mut().poll(context);
        if !replace(&mut is_sent, true) {
            theirs.write_all(&[8; 50]).expect("open");
        }
        read
    })
    .await
}

// AI2
#[test]
fn a_read_is_one_system_call_into_the_buffer_of_the_caller() {
    log::set_logger(&Counter).expect("no other logger");
    log::set_max_level(log::LevelFilter::Trace);
    let env = Environment::with_new_loop().expect("a loop");
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let mut socket = AsyncSocket::new(net::Socket::from_fd(&env, ours.into()).expect("connected"));
    theirs.write_all(&[7; 1000]).expect("there is room");
    let calls = || CALLS.swap(0, Ordering::Relaxed);
    env.block_on(async move {
        let mut buffer = [0; 100];
        calls();
        for _ in 0..10 {
            assert_eq!(socket.read(&mut buffer).await, Ok(100));
            assert_eq!(calls(), 1);
        }
        // A read that waits: one call finds nothing, and one reads what has come.
        assert_eq!(read_while_it_comes(&mut socket, &mut theirs).await, Ok(50));
        assert_eq!(calls(), 2);
        // Behind a short read there is nothing, so the next one waits at once.
        assert_eq!(read_while_it_comes(&mut socket, &mut theirs).await, Ok(50));
        assert_eq!(calls(), 1);
    })
    .expect("the loop runs");
    assert_eq!(env.run(RunMode::Default), Ok(false));
}
