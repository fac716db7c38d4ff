//! The guard of one event: it surrounds that event's turn and no other.

mod common;

use common::*;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use uv_core::Stream;
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Loop, RunMode, Tcp};

type Log = Rc<RefCell<Vec<String>>>;

/// Answers, and logs that it was called.
struct Answer {
    name: &'static str,
    log: Log,
    panics: bool,
}

impl StreamUpcall for Answer {
    fn on_read(&mut self, stream: &Stream, _: &[u8]) {
        self.log.borrow_mut().push(format!("read by {}", self.name));
        stream.try_write(b"answer").expect("write");
        if std::mem::take(&mut self.panics) {
            resume_unwind(Box::new("on purpose"));
        }
    }

    fn on_end(&mut self, stream: &Stream) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        stream.close();
    }
}

/// Logs its creation and its drop.
struct Note(Log);

impl Note {
    fn begin(log: &Log) -> impl FnOnce() -> Self + 'static {
        let log = Rc::clone(log);
        move || {
            log.borrow_mut().push("begin".to_owned());
            Self(log)
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.0.borrow_mut().push("end".to_owned());
    }
}

fn answering(event_loop: &Loop, name: &'static str, log: &Log, panics: bool) -> (Tcp, TcpStream) {
    let (ours, peer) = sockets();
    let connection = Tcp::new(event_loop);
    connection.open(ours.into()).expect("open");
    let answer = Answer { name, log: Rc::clone(log), panics };
    connection.set_upcall(answer);
    connection.read_start().expect("read_start");
    // Input that is there when reading starts causes no event.
    event_loop.run(RunMode::NoWait).expect("the loop runs");
    (connection, peer)
}

fn ask(peer: &mut TcpStream) {
    peer.write_all(b"request").expect("write");
}

fn has_answer(peer: &mut TcpStream) {
    let mut answer = [0; 6];
    peer.read_exact(&mut answer).expect("read");
}

#[test]
fn only_the_next_event_of_the_stream_is_surrounded() {
    let (event_loop, log) = (test_loop(), Log::default());
    let (surrounded, mut peer) = answering(&event_loop, "one", &log, false);
    let (_, mut other) = answering(&event_loop, "other", &log, false);
    surrounded.surround_next_event(Note::begin(&log));
    let exchange = |peer: &mut TcpStream| {
        ask(peer);
        assert_eq!(event_loop.run(RunMode::Once), Ok(true));
        has_answer(peer);
    };
    exchange(&mut other);
    exchange(&mut peer);
    exchange(&mut peer);
    assert_eq!(log.take(), ["read by other", "begin", "read by one", "end", "read by one"]);
    event_loop.close_and_finish();
}

#[test]
fn a_later_wish_takes_the_place_of_an_earlier_one() {
    let (event_loop, log) = (test_loop(), Log::default());
    let (surrounded, mut peer) = answering(&event_loop, "one", &log, false);
    surrounded.surround_next_event(|| panic!("it was replaced"));
    surrounded.surround_next_event(Note::begin(&log));
    ask(&mut peer);
    assert_eq!(event_loop.run(RunMode::Once), Ok(true));
    assert_eq!(log.take(), ["begin", "read by one", "end"]);
    event_loop.close_and_finish();
}

#[test]
fn a_panic_in_the_turn_ends_what_surrounds_it() {
    let (event_loop, log) = (test_loop(), Log::default());
    let (surrounded, mut peer) = answering(&event_loop, "one", &log, true);
    surrounded.surround_next_event(Note::begin(&log));
    ask(&mut peer);
    catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Once))).expect_err("the upcall panics");
    assert_eq!(log.take(), ["begin", "read by one", "end"]);
    event_loop.close_and_finish();
}

#[test]
fn a_panic_of_what_surrounds_a_turn_does_not_lose_the_turn() {
    let (event_loop, log) = (test_loop(), Log::default());
    let (surrounded, mut peer) = answering(&event_loop, "one", &log, false);
    surrounded.surround_next_event(|| resume_unwind(Box::new("on purpose")));
    ask(&mut peer);
    catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Once))).expect_err("it panics");
    assert_eq!(event_loop.run(RunMode::Once), Ok(true));
    assert_eq!(log.take(), ["read by one"]);
    has_answer(&mut peer);
    event_loop.close_and_finish();
}

#[test]
fn what_was_to_surround_an_event_is_dropped_with_the_stream() {
    let (event_loop, held) = (test_loop(), Rc::new(()));
    let (surrounded, _peer) = answering(&event_loop, "one", &Log::default(), false);
    let inside = Rc::clone(&held);
    surrounded.surround_next_event(move || drop(inside));
    surrounded.close();
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(Rc::strong_count(&held), 1);
    surrounded.surround_next_event({
        let inside = Rc::clone(&held);
        move || drop(inside)
    });
    assert_eq!(Rc::strong_count(&held), 1, "a closed stream takes nothing");
    event_loop.close_and_finish();
}
