//! Streams whose program hears of input once for each time it asks. libuv has no counterpart; epoll has (`EPOLLONESHOT`).

mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, RunMode, Stream};

type OnReadable = Box<dyn FnMut(&Stream)>;

struct Once {
    log: Log,
    readable: OnReadable,
}

impl StreamUpcall for Once {
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
}

fn once(log: &Log, stream: &Stream, readable: impl FnMut(&Stream) + 'static) {
    stream.set_upcall(Once { log: log.clone(), readable: Box::new(readable) });
    stream.readable_once().expect("to start");
}

#[test]
fn input_is_reported_once_and_the_stream_keeps_nothing_alive_behind_it() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    once(&log, &tcp, |_| {});
    assert!(tcp.is_active(), "it waits");
    peer.write_all(b"abc").expect("write");
    event_loop.until(|| log.has("readable"));
    assert!(!tcp.is_active());
    assert_eq!(event_loop.run(RunMode::Default), Ok(false), "it waits no more");
    assert_eq!(log.take(), ["readable"]);
    // What it has left is there for the next time, and for the loop.
    tcp.readable_once().expect("to start again");
    event_loop.until(|| log.has("readable"));
    assert_eq!(tcp.try_read(&mut [0; 1]), Ok(1));
    tcp.read_start().expect("the loop reads from now on");
    event_loop.until(|| log.has("read 2"));
    event_loop.close_and_finish();
}

#[test]
fn a_program_that_asks_again_in_the_call_hears_of_all_of_it() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&bytes);
    once(&log, &tcp, move |stream| {
        let mut buffer = [0; 2];
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => all.borrow_mut().extend_from_slice(&buffer[..count]),
            Err(error) => assert_eq!(error.errno(), Errno::EAGAIN),
        }
        stream.readable_once().expect("to wait again");
        assert!(stream.is_active());
    });
    for piece in [&b"a"[..], b"bcd", b"efghij"] {
        peer.write_all(piece).expect("write");
        let len = bytes.borrow().len() + piece.len();
        event_loop.until(|| bytes.borrow().len() == len);
        assert!(tcp.is_active(), "it waits for more");
    }
    assert_eq!(*bytes.borrow(), b"abcdefghij");
    peer.shutdown(Shutdown::Write).expect("shutdown");
    event_loop.until(|| !tcp.is_active());
    assert!(!log.has("end") && !log.has("unread end"), "the program has read the end");
    event_loop.close_and_finish();
}

#[test]
fn an_end_that_the_program_leaves_is_told_as_unread() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    once(&log, &tcp, |_| {});
    peer.write_all(b"x").expect("write");
    peer.shutdown(Shutdown::Write).expect("shutdown");
    event_loop.until(|| log.has("unread end"));
    assert_eq!(log.take(), ["readable", "unread end"]);
    assert_eq!(tcp.try_read(&mut [0; 8]), Ok(1));
    assert_eq!(tcp.try_read(&mut [0; 8]), Ok(0));
    event_loop.close_and_finish();
}

#[test]
fn a_stop_withdraws_the_wish_and_a_level_is_no_wish_for_once() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    once(&log, &tcp, |_| {});
    assert_eq!(tcp.readable_once().map_err(|error| error.errno()), Err(Errno::EALREADY));
    tcp.read_stop();
    assert!(!tcp.is_active());
    tcp.readable_start().expect("every turn from now on");
    peer.write_all(b"x").expect("write");
    event_loop.until(|| log.count("readable") == 3);
    assert!(tcp.is_active());
    event_loop.close_and_finish();
}

#[test]
fn a_close_and_a_panic_in_the_call_are_survived() {
    let (event_loop, log) = (test_loop(), Log::new());
    let (tcp, mut peer) = connected(&event_loop);
    let calls = Cell::new(0);
    once(&log, &tcp, move |stream| {
        calls.set(calls.get() + 1);
        match calls.get() {
            1 => std::panic::resume_unwind(Box::new("meant")),
            _ => stream.close(),
        }
    });
    peer.write_all(b"x").expect("write");
    let run = || while event_loop.run(RunMode::Once).expect("the loop runs") {};
    catch_unwind(AssertUnwindSafe(run)).expect_err("the call panics");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false), "the call was the only one");
    tcp.readable_once().expect("to wait again");
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    assert_eq!(log.take(), ["readable", "readable"]);
    assert!(tcp.is_closing());
    event_loop.finish();
}
