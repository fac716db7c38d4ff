//! What a read of an awaited socket costs: one `recv(2)` into the caller's buffer. The only test of its process, whose records it
//! counts.

use async_wrap::Environment;
use log::{Log, Metadata, Record};
use net::futures::AsyncSocket;
use net::uv_core::RunMode;
use std::io::Write;
use std::os::unix::net::UnixStream;
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
        let waiting = socket.read(&mut buffer);
        let writing = async {
            theirs.write_all(&[8; 50]).expect("open");
            std::future::pending::<()>().await;
        };
        let mut both = (std::pin::pin!(waiting), std::pin::pin!(writing));
        let read = std::future::poll_fn(|context| {
            let read = both.0.as_mut().poll(context);
            let _ = both.1.as_mut().poll(context);
            read
        });
        assert_eq!(read.await, Ok(50));
        assert_eq!(calls(), 2);
    })
    .expect("the loop runs");
    assert_eq!(env.run(RunMode::Default), Ok(false));
}
