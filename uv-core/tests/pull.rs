//! Streams whose program reads by itself: `try_read` and `on_readable`. libuv has neither, and so no tests for them.

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, Pipe, Prepare, Result, RunMode, Stream, Tcp, Timer};

type OnReadable = Box<dyn FnMut(&Stream)>;

/// Logs its upcalls, and lets the test's closure pull.
struct Puller {
    log: Log,
    readable: OnReadable,
}

impl StreamUpcall for Puller {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        self.log.add(format!("read {}", data.len()));
    }

    fn on_readable(&mut self, stream: &Stream) {
        self.log.add("readable");
        (self.readable)(stream);
    }

    fn on_end(&mut self, _: &Stream) {
        self.log.add("end");
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        self.log.add(format!("error {}", error.errno().name()));
    }

    fn on_unread_end(&mut self, _: &Stream) {
        self.log.add("unread end");
    }

    fn on_write(&mut self, _: &Stream, result: Result<()>) {
        self.log.add(format!("write {}", outcome(&result)));
    }

    fn on_close(&mut self, _: &Stream) {
        self.log.add("close");
    }
}

fn pull(log: &Log, stream: &Stream, readable: impl FnMut(&Stream) + 'static) {
    stream.set_upcall(Puller { log: log.clone(), readable: Box::new(readable) });
    stream.readable_start().expect("to start");
}

/// A pulled connection whose bytes are collected, `room` bytes in each call.
fn collect(event_loop: &TestLoop, log: &Log, room: usize) -> (Tcp, TcpStream, Rc<RefCell<Vec<u8>>>) {
    let (tcp, peer) = connected(event_loop);
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let (all, into) = (Rc::clone(&bytes), log.clone());
    pull(log, &tcp, move |stream| {
        let mut buffer = vec![0; room];
        match stream.try_read(&mut buffer) {
            Ok(0) => into.add("the end"),
            Ok(count) => all.borrow_mut().extend_from_slice(&buffer[..count]),
            Err(error) => into.add(format!("try_read {}", error.errno().name())),
        }
    });
    (tcp, peer, bytes)
}

fn would_block(stream: &Stream) -> bool {
    stream.try_read(&mut [0; 8]).is_err_and(|error| error.op() == "read" && error.errno() == Errno::EAGAIN)
}

#[test]
fn nothing_bytes_and_the_end_are_told_apart_on_every_kind_of_stream() {
    let event_loop = test_loop();
    let (tcp, tcp_peer) = connected(&event_loop);
    let unix = Pipe::new(&event_loop);
    let unix_peer = UnixStream::from(unix.open_pair().expect("a pair"));
    let pipe = Pipe::new(&event_loop);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    pipe.open(reader.into()).expect("open");
    let peers: [Box<dyn Write>; 3] = [Box::new(tcp_peer), Box::new(unix_peer), Box::new(writer)];
    for (stream, mut peer) in
        [Stream::clone(&tcp), Stream::clone(&unix), Stream::clone(&pipe)].into_iter().zip(peers)
    {
        let mut buffer = [0; 8];
        assert!(would_block(&stream), "{stream:?}");
        peer.write_all(b"more than eight").expect("write");
        assert_eq!(stream.try_read(&mut buffer), Ok(8));
        assert_eq!(&buffer, b"more tha");
        assert_eq!(stream.try_read(&mut buffer), Ok(7));
        assert!(would_block(&stream), "{stream:?}");
        assert_eq!(stream.bytes_read(), 15);
        drop(peer);
        event_loop.turn();
        assert_eq!(stream.try_read(&mut buffer), Ok(0));
        assert_eq!(stream.try_read(&mut buffer), Ok(0), "the end stays");
        assert!(stream.is_readable() && !stream.is_active());
    }
    event_loop.close_and_finish();
}

#[test]
fn input_that_is_left_is_reported_again_until_it_is_pulled() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer, bytes) = collect(&event_loop, &log, 1);
    peer.write_all(b"level").expect("write");
    event_loop.until(|| bytes.borrow().len() == 5);
    assert_eq!(log.take(), ["readable"; 5]);
    assert_eq!(*bytes.borrow(), b"level");
    // A buffer that was just filled may have been the last: one more call finds that out.
    event_loop.turn();
    log.take();
    for _ in 0..5 {
        event_loop.turn();
    }
    assert_eq!(log.take(), [] as [&str; 0], "nothing is there, and nothing is reported");
    peer.write_all(b"!").expect("write");
    event_loop.until(|| bytes.borrow().len() == 6);
    assert_eq!(tcp.bytes_read(), 6);
    event_loop.close_and_finish();
}

#[test]
fn input_that_is_not_pulled_at_all_is_reported_in_every_turn_and_not_after_the_stop() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    pull(&log, &tcp, |_| {});
    peer.write_all(b"x").expect("write");
    event_loop.until(|| log.has("readable"));
    for turn in 2..6 {
        event_loop.turn();
        assert_eq!(log.count("readable"), turn);
    }
    tcp.read_stop();
    assert!(!tcp.is_active());
    // The loop waits for the timer instead of taking turns.
    let (turns, count) = (Rc::new(Cell::new(0)), Prepare::new(&event_loop));
    let counted = Rc::clone(&turns);
    count.start(move |_: &Prepare| counted.set(counted.get() + 1)).expect("to start");
    let (timer, is_over) = (Timer::new(&event_loop), Rc::new(Cell::new(false)));
    let over = Rc::clone(&is_over);
    timer
        .start(Duration::from_millis(20), Duration::ZERO, move |_: &Timer| over.set(true))
        .expect("to start");
    event_loop.until(|| is_over.get());
    assert!(turns.get() < 5, "{} turns", turns.get());
    assert_eq!(log.count("readable"), 5);
    tcp.readable_start().expect("to start again");
    event_loop.until(|| log.count("readable") == 6);
    event_loop.close_and_finish();
}

#[test]
fn a_stop_in_the_call_is_the_last_of_it_and_loses_nothing() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    pull(&log, &tcp, Stream::read_stop);
    peer.write_all(b"abc").expect("write");
    event_loop.until(|| log.has("readable"));
    assert_eq!(event_loop.run(RunMode::Default), Ok(false), "a stopped stream keeps nothing alive");
    assert_eq!(log.take(), ["readable"]);
    tcp.read_start().expect("the loop reads from now on");
    event_loop.until(|| log.has("read 3"));
    tcp.read_stop();
    peer.write_all(b"de").expect("write");
    tcp.readable_start().expect("to start");
    event_loop.until(|| log.has("readable"));
    assert_eq!(tcp.try_read(&mut [0; 8]), Ok(2));
    event_loop.close_and_finish();
}

#[test]
fn the_end_and_a_reset_are_reported_and_pulled_and_end_the_reports() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer, bytes) = collect(&event_loop, &log, 2);
    peer.write_all(b"abc").expect("write");
    peer.shutdown(Shutdown::Write).expect("shutdown");
    event_loop.until(|| log.has("the end"));
    assert_eq!(*bytes.borrow(), b"abc");
    assert!(!tcp.is_active() && tcp.is_readable() && tcp.is_writable());
    log.take();
    event_loop.turn();
    assert_eq!(log.take(), [] as [&str; 0], "the end is no unread end");
    // As after `on_end`, the program may start again, and the end is there again.
    tcp.readable_start().expect("to start");
    event_loop.until(|| log.has("the end"));

    let (tcp, peer, _) = collect(&event_loop, &log, 2);
    event_loop.turn();
    reset(&event_loop, &tcp, peer);
    event_loop.until(|| log.has("try_read ECONNRESET"));
    assert!(!tcp.is_readable() && !tcp.is_writable() && !tcp.is_active());
    assert_eq!(errno(tcp.try_read(&mut [0])), Errno::ENOTCONN);
    assert_eq!(errno(tcp.readable_start()), Errno::ENOTCONN);
    assert!(!log.lines().iter().any(|line| line.starts_with("error")), "{:?}", log.lines());
    event_loop.close_and_finish();
}

#[test]
fn a_stream_is_read_or_pulled_and_mistakes_are_typed_errors() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    pull(&log, &tcp, |_| {});
    assert_eq!(errno(tcp.readable_start()), Errno::EALREADY);
    assert_eq!(errno(tcp.read_start()), Errno::EALREADY);
    let empty = tcp.try_read(&mut []).expect_err("no room");
    assert_eq!((empty.errno(), empty.note()), (Errno::EINVAL, Some("the buffer is empty")));
    tcp.read_stop();
    tcp.read_start().expect("to read");
    assert_eq!(errno(tcp.readable_start()), Errno::EALREADY);
    peer.write_all(b"x").expect("write");
    assert_eq!(errno(tcp.try_read(&mut [0])), Errno::EALREADY, "the loop reads it");
    event_loop.until(|| log.has("read 1"));
    tcp.close();
    assert_eq!(errno(tcp.try_read(&mut [0])), Errno::EBADF);
    assert_eq!(errno(tcp.readable_start()), Errno::EINVAL);

    let (listener, address) = serve(&event_loop, |_| {});
    assert_eq!(errno(listener.try_read(&mut [0])), Errno::ENOTCONN);
    assert_eq!(errno(listener.readable_start()), Errno::ENOTCONN);
    let connecting = Tcp::new(&event_loop);
    assert_eq!(errno(connecting.try_read(&mut [0])), Errno::EBADF);
    connecting.connect(address).expect("connect");
    assert_eq!(errno(connecting.try_read(&mut [0])), Errno::ENOTCONN);
    assert_eq!(errno(connecting.readable_start()), Errno::ENOTCONN);
    let writer = Pipe::new(&event_loop);
    let (_reader, write_end) = std::io::pipe().expect("a pipe");
    writer.open(write_end.into()).expect("open");
    assert_eq!(errno(writer.try_read(&mut [0])), Errno::ENOTCONN);
    event_loop.close_and_finish();
}

#[test]
fn descriptors_that_come_with_pulled_bytes_are_kept() {
    let event_loop = test_loop();
    let (left, right) = (Pipe::new_ipc(&event_loop), Pipe::new_ipc(&event_loop));
    right.open(left.open_pair().expect("a pair")).expect("open");
    let (mut ours, passed) = UnixStream::pair().expect("a pair");
    let passed = Rc::new(OwnedFd::from(passed));
    for _ in 0..3 {
        left.write_fds("fd", vec![Rc::clone(&passed)]).expect("to send");
    }
    drop(passed);
    // One byte of the first message brings its descriptor; the next messages follow.
    let mut buffer = [0; 1];
    assert_eq!(right.try_read(&mut buffer), Ok(1));
    assert_eq!(right.pending_count(), 1);
    let received = right.take_received_fd().expect("a descriptor");
    ours.write_all(b"through").expect("write");
    let mut text = [0; 7];
    UnixStream::from(received).read_exact(&mut text).expect("it is the same socket");
    let mut bytes = 1;
    while let Ok(count) = right.try_read(&mut [0; 64]) {
        bytes += count;
    }
    assert_eq!((bytes, right.pending_count()), (6, 2));
    // The close closes those that are not taken.
    left.close();
    right.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(ours.read(&mut [0]).expect("all copies of its peer are closed"), 0);
    event_loop.finish();
}

#[test]
fn a_pull_from_elsewhere_keeps_the_reports_right() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    pull(&log, &tcp, |_| {});
    peer.write_all(b"0123456789").expect("write");
    event_loop.until(|| log.has("readable"));
    // All of it, outside of the call: the turn that was asked for has nothing to report.
    assert_eq!(tcp.try_read(&mut [0; 64]), Ok(10));
    log.take();
    event_loop.turn();
    assert_eq!(log.take(), [] as [&str; 0]);
    // A part of it, before any event: the rest is reported.
    peer.write_all(b"0123456789").expect("write");
    assert_eq!(tcp.try_read(&mut [0; 4]), Ok(4));
    event_loop.until(|| log.has("readable"));
    assert_eq!(tcp.try_read(&mut [0; 64]), Ok(6));
    event_loop.close_and_finish();
}

#[test]
fn a_pulled_stream_keeps_its_loop_alive_and_writes() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    pull(&log, &tcp, |_| {});
    assert!(tcp.is_active() && event_loop.is_alive());
    let size = 4 << 20;
    tcp.write(vec![7; size]).expect("write");
    let reader = std::thread::spawn(move || {
        peer.read_exact(&mut vec![0; size]).expect("all of it");
        peer
    });
    event_loop.until(|| log.has("write ok"));
    let peer = reader.join().expect("it reads");
    assert!(!log.has("readable"));
    tcp.unref();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    drop(peer);
    event_loop.close_and_finish();
}

#[test]
fn a_close_in_the_call_and_a_panic_in_it_are_survived() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    let mut calls = 0;
    pull(&log, &tcp, move |stream| {
        calls += 1;
        match calls {
            1 => std::panic::resume_unwind(Box::new("meant")),
            _ => stream.close(),
        }
    });
    peer.write_all(b"x").expect("write");
    let run = || while event_loop.run(RunMode::Once).expect("the loop runs") {};
    catch_unwind(AssertUnwindSafe(run)).expect_err("the call panics");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["readable", "readable", "close"]);
    event_loop.finish();
}

#[test]
fn a_flood_is_pulled_once_a_turn_and_other_streams_have_theirs() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (_flooded, mut flood, bytes) = collect(&event_loop, &log, 16);
    flood.set_nonblocking(true).expect("to set");
    while flood.write(&[7; 64 * 1024]).is_ok() {}
    let (_other, mut peer, others) = collect(&event_loop, &Log::new(), 16);
    peer.write_all(b"me too").expect("write");
    event_loop.until(|| others.borrow().len() == 6);
    assert!(bytes.borrow().len() <= 16 * 8, "{} bytes", bytes.borrow().len());
    event_loop.close_and_finish();
}

#[test]
fn a_stream_that_was_never_watched_is_watched_when_it_is_pulled() {
    let (event_loop, log) = (test_loop(), Log::new());
    let accepted = Rc::new(RefCell::new(None));
    let (into, to) = (Rc::clone(&accepted), log.clone());
    let (_listener, address) = serve(&event_loop, move |tcp: Tcp| {
        pull(&to, &tcp, |stream| assert_eq!(stream.try_read(&mut [0; 8]), Ok(2)));
        into.borrow_mut().replace(tcp);
    });
    let mut peer = TcpStream::connect(address).expect("connect");
    event_loop.until(|| accepted.borrow().is_some());
    for _ in 0..3 {
        event_loop.turn();
    }
    assert_eq!(log.take(), [] as [&str; 0], "nothing was sent");
    peer.write_all(b"hi").expect("write");
    event_loop.until(|| log.has("readable"));
    event_loop.close_and_finish();
}
